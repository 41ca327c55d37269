/* One build of the kernels: included once an instruction set by kernels.c, which defines BLOCK, NAME,
 * K(name), the types of vectors and what they do. A vector holds the channels of one place; the next place of
 * a plane is BLOCK numbers on. Arguments `has_…`, `square` and `pair` are constants in every call, so that
 * the loops do not ask. */

#define VEC K(vec)
#define INTS K(ints)
#define MASK K(mask)
#define LINE K(line)
#define MIX K(mix)
#define BEST K(best)
#define FLOW K(flow)

INLINE VEC K(load)(const float *p)
{
    return *(const VEC *)p;
}

INLINE void K(store)(float *p, VEC v)
{
    *(VEC *)p = v;
}

INLINE VEC K(all)(float v)
{
    return v - (VEC){0};
}

/* ds_affine in vectors */
typedef struct LINE {
    VEC scale, shift, slope;
} LINE;

INLINE LINE K(line_of)(const ds_affine *f)
{
    return (LINE){K(load)(f->scale), K(load)(f->shift), K(all)(f->slope)};
}

INLINE VEC K(affine)(const LINE *f, VEC x)
{
    return FMA(f->scale, x, f->shift);
}

INLINE VEC K(active)(const LINE *f, VEC v)
{
    return GATE(v, v, f->slope);
}

/* ds_mix in vectors */
typedef struct MIX {
    VEC a, b, c;
} MIX;

INLINE MIX K(mix_of)(const ds_mix *m)
{
    return (MIX){K(load)(m->a), K(load)(m->b), K(load)(m->c)};
}

/* ---- planes ---- */

INLINE VEC K(plus)(VEC sum, VEC v, bool square)
{
    if (square)
        return FMA(v, v, sum);
    return sum + v;
}

/* The sum of x - from, or of its squares. */
INLINE VEC K(sum)(const float *x, size_t places, VEC from, bool square)
{
    VEC s[UNROLL] = {0};
    size_t i = 0;
    for (; i + UNROLL <= places; i += UNROLL)
#pragma GCC unroll 8
        for (int u = 0; u < UNROLL; u++)
            s[u] = K(plus)(s[u], K(load)(x + (i + u) * BLOCK) - from, square);
    for (; i < places; i++)
        s[0] = K(plus)(s[0], K(load)(x + i * BLOCK) - from, square);
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

INLINE VEC K(mean_of)(const float *x, size_t places)
{
    return K(sum)(x, places, (VEC){0}, false) / (float)places;
}

static void K(moments)(const float *x, size_t places, float *mean, float *m2)
{
    VEC m = K(mean_of)(x, places);
    K(store)(mean, m);
    K(store)(m2, K(sum)(x, places, m, true));
}

static void K(normalize)(const float *x, const float *add, size_t places, const ds_affine *f, float *y)
{
    LINE line = K(line_of)(f);
#pragma GCC unroll 4
    for (size_t i = 0; i < places * BLOCK; i += BLOCK) {
        VEC v = K(affine)(&line, K(load)(x + i));
        if (add)
            v += K(load)(add + i);
        K(store)(y + i, K(active)(&line, v));
    }
}

/* What flows through a plane's reduction; NULL where there is none. */
typedef struct FLOW {
    const float *x, *y, *g, *g2;
    float *keep;
    LINE f;
    VEC mean;
} FLOW;

INLINE void K(reduce_place)(const FLOW *q, size_t i, VEC *sum, VEC *dot, bool has_y, bool has_g2,
                            bool has_keep)
{
    VEC x = K(load)(q->x + i), g = K(load)(q->g + i);
    if (has_g2)
        g += K(load)(q->g2 + i);
    g = GATE(has_y ? K(load)(q->y + i) : K(affine)(&q->f, x), g, q->f.slope);
    if (has_keep)
        K(store)(q->keep + i, g);
    *sum += g;
    *dot = FMA(g, x - q->mean, *dot);
}

INLINE void K(reduce_flow)(const FLOW *q, size_t places, const ds_sums *out, bool has_y, bool has_g2,
                           bool has_keep)
{
    VEC s[4] = {0}, d[4] = {0};
    size_t i = 0;
    for (; i + 4 <= places; i += 4)
#pragma GCC unroll 4
        for (int u = 0; u < 4; u++)
            K(reduce_place)(q, (i + u) * BLOCK, s + u, d + u, has_y, has_g2, has_keep);
    for (; i < places; i++)
        K(reduce_place)(q, i * BLOCK, s, d, has_y, has_g2, has_keep);
    K(store)(out->sum, (s[0] + s[1]) + (s[2] + s[3]));
    K(store)(out->dot, (d[0] + d[1]) + (d[2] + d[3]));
}

static void K(reduce)(const float *x, const float *y, const float *g, const float *g2, size_t places,
                      const ds_affine *f, const ds_sums *out, float *keep)
{
    const FLOW q = {x, y, g, g2, keep, K(line_of)(f), K(load)(f->mean)};
    switch ((y ? 1 : 0) | (g2 ? 2 : 0) | (keep ? 4 : 0)) {
#define CASE(n)                                               \
    case n:                                                   \
        K(reduce_flow)(&q, places, out, (n)&1, (n)&2, (n)&4); \
        break
        CASE(0);
        CASE(1);
        CASE(2);
        CASE(3);
        CASE(4);
        CASE(5);
        CASE(6);
        CASE(7);
#undef CASE
    }
}

static void K(gradient)(const float *x, const float *y, const float *g, size_t places, const ds_affine *f,
                        const ds_mix *mix, float *dx)
{
    LINE line = K(line_of)(f);
    MIX m = K(mix_of)(mix);
#pragma GCC unroll 4
    for (size_t i = 0; i < places * BLOCK; i += BLOCK) {
        VEC v = K(load)(x + i), rest = FMA(m.c, v, m.b);
        VEC sign = y ? K(load)(y + i) : K(affine)(&line, v);
        K(store)(dx + i, FMA(m.a, GATE(sign, K(load)(g + i), line.slope), rest));
    }
}

/* ---- pooling ---- */

INLINE size_t K(place)(const ds_pool *p, const window *v, int i, int j)
{
    return ((size_t)(v->top + i) * p->w + (v->left + j)) * BLOCK;
}

#define EACH_PLACE(v, i, j)                 \
    for (int i = (v)->y0; i < (v)->y1; i++) \
        for (int j = (v)->x0; j < (v)->x1; j++)

/* The largest of a window, and which. */
typedef struct BEST {
    VEC value;
    INTS which;
} BEST;

/* Only a strictly larger value replaces one: the first of equals stays. */
INLINE BEST K(best_of)(const float *x, const ds_pool *p, const window *w, const LINE *f)
{
    BEST b = {K(all)(-FLT_MAX), {0}};
    bool first = true;
    EACH_PLACE(w, i, j)
    {
        VEC v = K(active)(f, K(affine)(f, K(load)(x + K(place)(p, w, i, j))));
        int which = i * w->size + j;
        MASK larger = GREATER(v, b.value);
        b = first ? (BEST){v, (INTS){0} + which} : (BEST){MAX(v, b.value), LATER(larger, which, b.which)};
        first = false;
    }
    return b;
}

/* Windows [ox, end) of row oy. */
INLINE void K(pool_row)(const float *x, const ds_pool *p, int oy, int ox, int end, const LINE *f, float *y,
                        uint8_t *index, bool pair)
{
    for (; ox < end; ox++) {
        size_t at = ((size_t)oy * p->out_w + ox) * BLOCK;
        window w = window_at(p, oy, ox, pair);
        BEST b = K(best_of)(x, p, &w, f);
        K(store)(y + at, b.value);
        if (index)
            STORE_BYTES(index + at, b.which);
    }
}

static void K(normalize_pool)(const float *x, const ds_pool *pool, const ds_affine *f, float *y,
                              uint8_t *index)
{
    const ds_pool p = *pool; /* a copy, which stores to an index cannot change */
    LINE line = K(line_of)(f);
    for (int oy = 0; oy < p.out_h; oy++) {
        int pairs = pairs_in(&p, oy);
        K(pool_row)(x, &p, oy, 0, pairs, &line, y, index, true);
        K(pool_row)(x, &p, oy, pairs, p.out_w, &line, y, index, false);
    }
}

/* The place of a window that the index names; 0 where the window is empty. */
INLINE VEC K(chosen)(const float *x, const ds_pool *p, const window *w, INTS which)
{
    VEC chosen = {0};
    bool first = true;
    EACH_PLACE(w, i, j)
    {
        VEC v = K(load)(x + K(place)(p, w, i, j));
        chosen = first ? v : (VEC)BLEND(IS(which, i * w->size + j), v, chosen);
        first = false;
    }
    return chosen;
}

INLINE void K(reduce_row)(const float *x, const float *g, const uint8_t *index, const ds_pool *p, int oy,
                          int ox, int end, const LINE *f, VEC mean, VEC *sum, VEC *dot, bool pair)
{
    for (; ox < end; ox++) {
        size_t at = ((size_t)oy * p->out_w + ox) * BLOCK;
        window w = window_at(p, oy, ox, pair);
        if (w.y0 >= w.y1 || w.x0 >= w.x1)
            continue;
        VEC v = K(chosen)(x, p, &w, LOAD_BYTES(index + at));
        VEC passed = GATE(K(affine)(f, v), K(load)(g + at), f->slope);
        *sum += passed;
        *dot = FMA(passed, v - mean, *dot);
    }
}

/* Each row of windows has its own sums: long sums stay exact, and additions of two rows do not wait for each
 * other. */
static void K(reduce_pool)(const float *x, const float *g, const uint8_t *index, const ds_pool *pool,
                           const ds_affine *f, const ds_sums *out)
{
    const ds_pool p = *pool; /* a copy, which stores to an index cannot change */
    LINE line = K(line_of)(f);
    VEC mean = K(load)(f->mean), sum = {0}, dot = {0};
    for (int oy = 0; oy < p.out_h; oy++) {
        VEC s = {0}, d = {0};
        int pairs = pairs_in(&p, oy);
        K(reduce_row)(x, g, index, &p, oy, 0, pairs, &line, mean, &s, &d, true);
        K(reduce_row)(x, g, index, &p, oy, pairs, p.out_w, &line, mean, &s, &d, false);
        sum += s;
        dot += d;
    }
    K(store)(out->sum, sum);
    K(store)(out->dot, dot);
}

/* a g' of a window */
INLINE VEC K(arriving)(const float *x, VEC g, INTS which, const ds_pool *p, const window *w, const LINE *f,
                       const MIX *m)
{
    VEC v = K(affine)(f, K(chosen)(x, p, w, which));
    return m->a * GATE(v, g, f->slope);
}

/* dx of the first `pairs` windows of row oy, upper half (0) or lower (1). The second half computes a g'
 * again: writes that go to and fro between two rows of the plane cost up to twice the time of rows one after
 * the other. */
INLINE void K(gradient_half)(const float *x, const float *g, const uint8_t *index, const ds_pool *p, int oy,
                             int pairs, const LINE *f, const MIX *m, float *dx, int half)
{
    for (int ox = 0; ox < pairs; ox++) {
        size_t at = ((size_t)oy * p->out_w + ox) * BLOCK;
        window w = window_at(p, oy, ox, true);
        INTS which = LOAD_BYTES(index + at);
        VEC h = K(arriving)(x, K(load)(g + at), which, p, &w, f, m);
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++) {
            size_t to = K(place)(p, &w, half, j);
            VEC here = BLEND(IS(which, 2 * half + j), h, (VEC){0});
            K(store)(dx + to, FMA(m->c, K(load)(x + to), m->b) + here);
        }
    }
}

/* to += v at the place that `which` names */
INLINE void K(spread)(VEC v, INTS which, const ds_pool *p, const window *w, float *to)
{
    EACH_PLACE(w, i, j)
    {
        float *place = to + K(place)(p, w, i, j);
        K(store)(place, K(load)(place) + BLEND(IS(which, i * w->size + j), v, (VEC){0}));
    }
}

/* dx = b + c x outside of the pairs' rows and columns. */
INLINE void K(gradient_rest)(const float *x, const ds_pool *p, const MIX *m, float *dx)
{
    for (int y = 0; y < p->h; y++)
        for (int i = 2 * pairs_in(p, y / 2); i < p->w; i++) {
            size_t at = ((size_t)y * p->w + i) * BLOCK;
            K(store)(dx + at, FMA(m->c, K(load)(x + at), m->b));
        }
}

static void K(gradient_pool)(const float *x, const float *g, const uint8_t *index, const ds_pool *pool,
                             const ds_affine *f, const ds_mix *mix, float *dx)
{
    const ds_pool p = *pool; /* a copy, which stores to an index cannot change */
    LINE line = K(line_of)(f);
    MIX m = K(mix_of)(mix);
    K(gradient_rest)(x, &p, &m, dx);
    for (int oy = 0; oy < p.out_h; oy++) {
        int pairs = pairs_in(&p, oy);
        K(gradient_half)(x, g, index, &p, oy, pairs, &line, &m, dx, 0);
        K(gradient_half)(x, g, index, &p, oy, pairs, &line, &m, dx, 1);
        for (int ox = pairs; ox < p.out_w; ox++) {
            size_t at = ((size_t)oy * p.out_w + ox) * BLOCK;
            window w = window_at(&p, oy, ox, false);
            INTS which = LOAD_BYTES(index + at);
            K(spread)(K(arriving)(x, K(load)(g + at), which, &p, &w, &line, &m), which, &p, &w, dx);
        }
    }
}

static void K(pool_gradient)(const float *g, const uint8_t *index, const ds_pool *pool, float *dx)
{
    const ds_pool p = *pool; /* a copy, which stores to an index cannot change */
    size_t at = 0;
    for (int oy = 0; oy < p.out_h; oy++)
        for (int ox = 0; ox < p.out_w; ox++, at += BLOCK) {
            window w = window_at(&p, oy, ox, false);
            K(spread)(K(load)(g + at), LOAD_BYTES(index + at), &p, &w, dx);
        }
}

/* ---- passes that only layers on their own need ---- */

static void K(gate)(const float *y, const float *g, size_t places, float slope, bool add, float *dx)
{
    for (size_t i = 0; i < places * BLOCK; i += BLOCK) {
        VEC passed = GATE(K(load)(y + i), K(load)(g + i), K(all)(slope));
        K(store)(dx + i, add ? K(load)(dx + i) + passed : passed);
    }
}

static void K(add)(const float *from, size_t places, float *to)
{
    for (size_t i = 0; i < places * BLOCK; i += BLOCK)
        K(store)(to + i, K(load)(to + i) + K(load)(from + i));
}

static void K(average)(const float *x, size_t places, float *mean)
{
    K(store)(mean, K(mean_of)(x, places));
}

static void K(average_gradient)(const float *g, size_t places, bool add, float *dx)
{
    VEC share = K(load)(g) / (float)places;
    for (size_t i = 0; i < places * BLOCK; i += BLOCK)
        K(store)(dx + i, add ? K(load)(dx + i) + share : share);
}

static void K(dropped)(const float *x, const uint8_t *keep, size_t places, float scale, bool add, float *y)
{
    for (size_t i = 0; i < places * BLOCK; i += BLOCK) {
        VEC v = BLEND(IS(LOAD_BYTES(keep + i), 0), (VEC){0}, scale * K(load)(x + i));
        K(store)(y + i, add ? K(load)(y + i) + v : v);
    }
}

static void K(to_plane)(const float *plain, int channels, size_t places, float *plane)
{
    for (size_t i = 0; i < places; i++)
        for (int c = 0; c < BLOCK; c++)
            plane[i * BLOCK + c] = c < channels ? plain[c * places + i] : 0;
}

static void K(from_plane)(const float *plane, int channels, size_t places, bool add, float *plain)
{
    for (int c = 0; c < channels; c++)
        for (size_t i = 0; i < places; i++)
            plain[c * places + i] = (add ? plain[c * places + i] : 0) + plane[i * BLOCK + c];
}

static const ds_kernels K(set) = {
    .name = NAME,
    .block = BLOCK,
    .moments = K(moments),
    .normalize = K(normalize),
    .normalize_pool = K(normalize_pool),
    .reduce = K(reduce),
    .gradient = K(gradient),
    .reduce_pool = K(reduce_pool),
    .gradient_pool = K(gradient_pool),
    .pool_gradient = K(pool_gradient),
    .gate = K(gate),
    .add = K(add),
    .average = K(average),
    .average_gradient = K(average_gradient),
    .mask = K(dropped),
    .to_plane = K(to_plane),
    .from_plane = K(from_plane),
};

#undef VEC
#undef INTS
#undef MASK
#undef LINE
#undef MIX
#undef BEST
#undef FLOW
#undef EACH_PLACE
#undef BLOCK
#undef NAME
#undef K
#undef FMA
#undef GREATER
#undef IS
#undef BLEND
#undef MAX
#undef GATE
#undef LATER
#undef LOAD_BYTES
#undef STORE_BYTES
