/* One build of the kernels: included by kernels.c once an instruction set and type of a plane's numbers, with
 * BLOCK, NAME, K(name), the types of vectors and what they do, and NUM, GET, PUT. A vector holds the channels
 * of one place. Arguments `square` and `pair` are constants in every call, so that the loops do not ask. */

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
INLINE VEC K(sum)(const NUM *x, ds_extent n, VEC from, bool square)
{
    VEC s[UNROLL] = {0};
    size_t i = 0;
    for (; i + UNROLL <= n.places; i += UNROLL)
#pragma GCC unroll 8
        for (int u = 0; u < UNROLL; u++)
            s[u] = K(plus)(s[u], GET(x + (i + u) * n.next) - from, square);
    for (; i < n.places; i++)
        s[0] = K(plus)(s[0], GET(x + i * n.next) - from, square);
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

static void K(moments)(const void *x, ds_extent n, float *mean, float *m2)
{
    VEC m = K(sum)(x, n, (VEC){0}, false) / (float)n.places;
    K(store)(mean, m);
    K(store)(m2, K(sum)(x, n, m, true));
}

static void K(normalize)(const void *from, const void *other, ds_extent n, const ds_affine *f, void *to)
{
    const NUM *x = from, *add = other;
    NUM *y = to;
    LINE line = K(line_of)(f);
#pragma GCC unroll 4
    for (size_t i = 0; i < n.places * n.next; i += n.next) {
        VEC v = K(affine)(&line, GET(x + i));
        if (add)
            v += GET(add + i);
        PUT(y + i, K(active)(&line, v));
    }
}

/* What flows through a plane's reduction; NULL where there is none. */
typedef struct FLOW {
    const NUM *x, *y, *g, *g2;
    NUM *keep;
    LINE f;
    VEC mean;
} FLOW;

INLINE void K(reduce_place)(const FLOW *q, size_t i, VEC *sum, VEC *dot)
{
    VEC x = GET(q->x + i), g = GET(q->g + i);
    if (q->g2)
        g += GET(q->g2 + i);
    g = GATE(q->y ? GET(q->y + i) : K(affine)(&q->f, x), g, q->f.slope);
    if (q->keep)
        PUT(q->keep + i, g);
    *sum += g;
    *dot = FMA(g, x - q->mean, *dot);
}

static void K(reduce)(const void *x, const void *y, const void *g, const void *g2, ds_extent n,
                      const ds_affine *f, const ds_sums *out, void *keep)
{
    const FLOW q = {x, y, g, g2, keep, K(line_of)(f), K(load)(f->mean)};
    VEC s[4] = {0}, d[4] = {0};
    size_t i = 0;
    for (; i + 4 <= n.places; i += 4)
#pragma GCC unroll 4
        for (int u = 0; u < 4; u++)
            K(reduce_place)(&q, (i + u) * n.next, s + u, d + u);
    for (; i < n.places; i++)
        K(reduce_place)(&q, i * n.next, s, d);
    K(store)(out->sum, (s[0] + s[1]) + (s[2] + s[3]));
    K(store)(out->dot, (d[0] + d[1]) + (d[2] + d[3]));
}

static void K(gradient)(const void *from, const void *out, const void *grad, ds_extent n, const ds_affine *f,
                        const ds_mix *mix, void *to)
{
    const NUM *x = from, *y = out, *g = grad;
    NUM *dx = to;
    LINE line = K(line_of)(f);
    MIX m = K(mix_of)(mix);
#pragma GCC unroll 4
    for (size_t i = 0; i < n.places * n.next; i += n.next) {
        VEC v = GET(x + i), rest = FMA(m.c, v, m.b);
        VEC sign = y ? GET(y + i) : K(affine)(&line, v);
        PUT(dx + i, FMA(m.a, GATE(sign, GET(g + i), line.slope), rest));
    }
}

/* ---- pooling ---- */

INLINE size_t K(place)(const ds_pool *p, const window *v, int i, int j)
{
    return ((size_t)(v->top + i) * p->w + (v->left + j)) * p->next;
}

/* The largest of a window, and which. */
typedef struct BEST {
    VEC value;
    INTS which;
} BEST;

/* Only a strictly larger value replaces one: the first of equals stays. */
INLINE BEST K(best_of)(const NUM *x, const ds_pool *p, const window *w, const LINE *f)
{
    BEST b = {K(all)(-FLT_MAX), {0}};
    bool first = true;
    EACH_PLACE(w, i, j)
    {
        VEC v = K(active)(f, K(affine)(f, GET(x + K(place)(p, w, i, j))));
        int which = i * w->size + j;
        MASK larger = GREATER(v, b.value);
        b = first ? (BEST){v, (INTS){0} + which} : (BEST){MAX(v, b.value), LATER(larger, which, b.which)};
        first = false;
    }
    return b;
}

/* Windows [ox, end) of row oy. */
INLINE void K(pool_row)(const NUM *x, const ds_pool *p, int oy, int ox, int end, const LINE *f, NUM *y,
                        uint8_t *index, bool pair)
{
    for (; ox < end; ox++) {
        size_t at = (size_t)oy * p->out_w + ox;
        window w = window_at(p, oy, ox, pair);
        BEST b = K(best_of)(x, p, &w, f);
        PUT(y + at * p->next, b.value);
        if (index)
            STORE_BYTES(index + at * BLOCK, b.which);
    }
}

static void K(normalize_pool)(const void *x, const ds_pool *pool, const ds_affine *f, void *y, uint8_t *index)
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
INLINE VEC K(chosen)(const NUM *x, const ds_pool *p, const window *w, INTS which)
{
    VEC chosen = {0};
    bool first = true;
    EACH_PLACE(w, i, j)
    {
        VEC v = GET(x + K(place)(p, w, i, j));
        chosen = first ? v : (VEC)BLEND(IS(which, i * w->size + j), v, chosen);
        first = false;
    }
    return chosen;
}

INLINE void K(reduce_row)(const NUM *x, const NUM *g, const uint8_t *index, const ds_pool *p, int oy, int ox,
                          int end, const LINE *f, VEC mean, VEC *sum, VEC *dot, bool pair)
{
    for (; ox < end; ox++) {
        size_t at = (size_t)oy * p->out_w + ox;
        window w = window_at(p, oy, ox, pair);
        if (w.y0 >= w.y1 || w.x0 >= w.x1)
            continue;
        VEC v = K(chosen)(x, p, &w, LOAD_BYTES(index + at * BLOCK));
        VEC passed = GATE(K(affine)(f, v), GET(g + at * p->next), f->slope);
        *sum += passed;
        *dot = FMA(passed, v - mean, *dot);
    }
}

/* Each row of windows has its own sums: long sums stay exact, and additions of two rows do not wait for each
 * other. */
static void K(reduce_pool)(const void *x, const void *g, const uint8_t *index, const ds_pool *pool,
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
INLINE VEC K(arriving)(const NUM *x, VEC g, INTS which, const ds_pool *p, const window *w, const LINE *f,
                       const MIX *m)
{
    VEC v = K(affine)(f, K(chosen)(x, p, w, which));
    return m->a * GATE(v, g, f->slope);
}

/* dx of the first `pairs` windows of row oy, upper half (0) or lower (1). The second half computes a g'
 * again: writes that go to and fro between two rows of the plane cost up to twice the time of rows one after
 * the other. */
INLINE void K(gradient_half)(const NUM *x, const NUM *g, const uint8_t *index, const ds_pool *p, int oy,
                             int pairs, const LINE *f, const MIX *m, NUM *dx, int half)
{
    for (int ox = 0; ox < pairs; ox++) {
        size_t at = (size_t)oy * p->out_w + ox;
        window w = window_at(p, oy, ox, true);
        INTS which = LOAD_BYTES(index + at * BLOCK);
        VEC h = K(arriving)(x, GET(g + at * p->next), which, p, &w, f, m);
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++) {
            size_t to = K(place)(p, &w, half, j);
            VEC here = BLEND(IS(which, 2 * half + j), h, (VEC){0});
            PUT(dx + to, FMA(m->c, GET(x + to), m->b) + here);
        }
    }
}

/* to += v at the place that `which` names */
INLINE void K(spread)(VEC v, INTS which, const ds_pool *p, const window *w, NUM *to)
{
    EACH_PLACE(w, i, j)
    {
        NUM *place = to + K(place)(p, w, i, j);
        PUT(place, GET(place) + BLEND(IS(which, i * w->size + j), v, (VEC){0}));
    }
}

/* dx = b + c x outside of the pairs' rows and columns. */
INLINE void K(gradient_rest)(const NUM *x, const ds_pool *p, const MIX *m, NUM *dx)
{
    for (int y = 0; y < p->h; y++)
        for (int i = 2 * pairs_in(p, y / 2); i < p->w; i++) {
            size_t at = ((size_t)y * p->w + i) * p->next;
            PUT(dx + at, FMA(m->c, GET(x + at), m->b));
        }
}

static void K(gradient_pool)(const void *x, const void *g, const uint8_t *index, const ds_pool *pool,
                             const ds_affine *f, const ds_mix *mix, void *dx)
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
            size_t at = (size_t)oy * p.out_w + ox;
            window w = window_at(&p, oy, ox, false);
            INTS which = LOAD_BYTES(index + at * BLOCK);
            VEC in = GET((const NUM *)g + at * p.next);
            K(spread)(K(arriving)(x, in, which, &p, &w, &line, &m), which, &p, &w, dx);
        }
    }
}

static void K(pool_gradient)(const void *grad, const uint8_t *index, const ds_pool *pool, void *dx)
{
    const ds_pool p = *pool; /* a copy, which stores to an index cannot change */
    const NUM *g = grad;
    for (int oy = 0; oy < p.out_h; oy++)
        for (int ox = 0; ox < p.out_w; ox++, g += p.next, index += BLOCK) {
            window w = window_at(&p, oy, ox, false);
            K(spread)(GET(g), LOAD_BYTES(index), &p, &w, dx);
        }
}

/* ---- passes that only layers on their own need ---- */

static void K(gate)(const void *out, const void *grad, ds_extent n, float slope, bool add, void *to)
{
    const NUM *y = out, *g = grad;
    NUM *dx = to;
    for (size_t i = 0; i < n.places * n.next; i += n.next) {
        VEC passed = GATE(GET(y + i), GET(g + i), K(all)(slope));
        PUT(dx + i, add ? GET(dx + i) + passed : passed);
    }
}

static void K(move)(const void *from, ds_extent n, bool add, void *to, size_t next)
{
    const NUM *x = from;
    NUM *y = to;
    for (size_t i = 0; i < n.places; i++, x += n.next, y += next)
        PUT(y, add ? GET(y) + GET(x) : GET(x));
}

static void K(add)(const void *from, int n, void *to)
{
    _Alignas(64) NUM x[BLOCK] = {0}, y[BLOCK] = {0};
    memcpy(x, from, (size_t)n * sizeof *x);
    memcpy(y, to, (size_t)n * sizeof *y);
    PUT(y, GET(x) + GET(y));
    memcpy(to, y, (size_t)n * sizeof *y);
}

static void K(average_gradient)(const float *g, ds_extent n, bool add, void *to)
{
    NUM *dx = to;
    VEC share = K(load)(g) / (float)n.places;
    for (size_t i = 0; i < n.places * n.next; i += n.next)
        PUT(dx + i, add ? GET(dx + i) + share : share);
}

static void K(dropped)(const void *from, const uint8_t *keep, ds_extent n, float scale, bool add, void *to)
{
    const NUM *x = from;
    NUM *y = to;
    for (size_t i = 0; i < n.places; i++, x += n.next, y += n.next) {
        VEC v = BLEND(IS(LOAD_BYTES(keep + i * BLOCK), 0), (VEC){0}, scale * GET(x));
        PUT(y, add ? GET(y) + v : v);
    }
}

static void K(to_plane)(const float *plain, int channels, ds_extent n, void *plane)
{
    NUM *to = plane;
    for (size_t i = 0; i < n.places; i++, to += n.next) {
        VEC v = {0};
        for (int c = 0; c < channels; c++)
            v[c] = plain[(size_t)c * n.places + i];
        PUT(to, v);
    }
}

static void K(from_plane)(const void *plane, int channels, ds_extent n, bool add, float *plain)
{
    const NUM *from = plane;
    for (size_t i = 0; i < n.places; i++, from += n.next) {
        VEC v = GET(from);
        for (int c = 0; c < channels; c++)
            plain[(size_t)c * n.places + i] = (add ? plain[(size_t)c * n.places + i] : 0) + v[c];
    }
}

static const ds_kernels K(set) = {
    .name = NAME,
    .block = BLOCK,
    .size = sizeof(NUM),
    .moments = K(moments),
    .normalize = K(normalize),
    .normalize_pool = K(normalize_pool),
    .reduce = K(reduce),
    .gradient = K(gradient),
    .reduce_pool = K(reduce_pool),
    .gradient_pool = K(gradient_pool),
    .pool_gradient = K(pool_gradient),
    .gate = K(gate),
    .move = K(move),
    .add = K(add),
    .average_gradient = K(average_gradient),
    .mask = K(dropped),
    .to_plane = K(to_plane),
    .from_plane = K(from_plane),
};

#undef NAME
#undef K
#undef NUM
#undef GET
#undef PUT
#ifndef KEEP_SET
#undef BLOCK
#undef FMA
#undef GREATER
#undef IS
#undef BLEND
#undef MAX
#undef GATE
#undef LATER
#undef LOAD_BYTES
#undef STORE_BYTES
#endif
