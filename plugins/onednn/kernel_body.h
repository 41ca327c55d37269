/* One build of the kernels: included once an instruction set by kernels.c, which defines BLOCK, LANES, NAME, K(name) and the vectors'
 * own functions. Where a vector holds less than a block, EACH_PART takes one vector's channels after the other. Pointers into a plane
 * point at the part's first channel of a place; the next place is BLOCK numbers on. Arguments `has_…` are constants in every call, so that
 * the loops do not ask. */

#define VEC K(vec)
#define INTS K(ints)
#define MASK K(mask)
#define LOOSE K(loose)
#define LINE K(line)
#define BEST K(best)
#define FLOW K(flow)
#define MIX K(mix)
#define FOUR K(four)
#define EACH_PART(c) for (int c = 0; c < BLOCK; c += LANES)

typedef float LOOSE __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

INLINE VEC K(load)(const float *p)
{
    return *(const VEC *)p;
}

INLINE VEC K(load_loose)(const float *p)
{
    return *(const LOOSE *)p;
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

INLINE LINE K(line_of)(const ds_affine *f, int c)
{
    return (LINE){K(load)(f->scale + c), K(load)(f->shift + c), K(all)(f->slope)};
}

/* Where outputs are at hand, only the slope counts. */
INLINE LINE K(gate_of)(const ds_affine *f, int c, bool has_y)
{
    return has_y ? (LINE){.slope = K(all)(f->slope)} : K(line_of)(f, c);
}

INLINE VEC K(affine)(const LINE *f, VEC x)
{
    return K(fma)(f->scale, x, f->shift);
}

INLINE VEC K(active)(const LINE *f, VEC v)
{
    return K(gate)(v, v, f->slope);
}

INLINE VEC K(fold)(const VEC s[UNROLL])
{
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

INLINE VEC K(mean_of)(const float *x, size_t places)
{
    VEC s[UNROLL] = {0};
    size_t i = 0;
    for (; i + UNROLL <= places; i += UNROLL)
#pragma GCC unroll 8
        for (int u = 0; u < UNROLL; u++)
            s[u] += K(load)(x + (i + u) * BLOCK);
    for (; i < places; i++)
        s[0] += K(load)(x + i * BLOCK);
    return K(fold)(s) / (float)places;
}

INLINE VEC K(squares_of)(const float *x, size_t places, VEC mean)
{
    VEC s[UNROLL] = {0};
    size_t i = 0;
    for (; i + UNROLL <= places; i += UNROLL)
#pragma GCC unroll 8
        for (int u = 0; u < UNROLL; u++) {
            VEC d = K(load)(x + (i + u) * BLOCK) - mean;
            s[u] = K(fma)(d, d, s[u]);
        }
    for (; i < places; i++) {
        VEC d = K(load)(x + i * BLOCK) - mean;
        s[0] = K(fma)(d, d, s[0]);
    }
    return K(fold)(s);
}

static void K(moments)(const float *x, size_t places, float *mean, float *m2)
{
    EACH_PART(c)
    {
        VEC m = K(mean_of)(x + c, places);
        K(store)(mean + c, m);
        K(store)(m2 + c, K(squares_of)(x + c, places, m));
    }
}

INLINE void K(normalize_part)(const float *x, const float *add, size_t places, LINE f, float *y, bool has_add)
{
#pragma GCC unroll 4
    for (size_t i = 0; i < places * BLOCK; i += BLOCK) {
        VEC v = K(affine)(&f, K(load)(x + i));
        if (has_add)
            v += K(load)(add + i);
        K(store)(y + i, K(active)(&f, v));
    }
}

static void K(normalize)(const float *x, const float *add, size_t places, const ds_affine *f, float *y)
{
    EACH_PART(c)
    {
        LINE line = K(line_of)(f, c);
        if (add)
            K(normalize_part)(x + c, add + c, places, line, y + c, true);
        else
            K(normalize_part)(x + c, NULL, places, line, y + c, false);
    }
}

/* The largest of a window, and which. */
typedef struct BEST {
    VEC value;
    INTS which;
} BEST;

/* Only a strictly larger value replaces one: the first of equals stays. */
INLINE void K(challenge)(BEST *b, VEC v, int which)
{
    MASK larger = K(greater)(v, b->value);
    b->value = K(max)(v, b->value);
    b->which = K(later)(larger, which, b->which);
}

INLINE VEC K(output)(const LINE *f, const float *x)
{
    return K(active)(f, K(affine)(f, K(load)(x)));
}

/* x: the window's first place; row: numbers from one row of the plane to the next. */
INLINE BEST K(best_of_four)(const float *x, size_t row, const LINE *f)
{
    BEST b = {K(output)(f, x), {0}};
    K(challenge)(&b, K(output)(f, x + BLOCK), 1);
    K(challenge)(&b, K(output)(f, x + row), 2);
    K(challenge)(&b, K(output)(f, x + row + BLOCK), 3);
    return b;
}

INLINE size_t K(place)(const ds_pool *p, const window *v, int i, int j)
{
    return ((size_t)(v->top + i) * p->w + (v->left + j)) * BLOCK;
}

static BEST K(best_of_window)(const float *x, const ds_pool *p, int oy, int ox, const LINE *f)
{
    BEST b = {K(all)(-FLT_MAX), {0}};
    window v = window_at(p, oy, ox);
    bool first = true;
    for (int i = v.y0; i < v.y1; i++)
        for (int j = v.x0; j < v.x1; j++, first = false) {
            VEC value = K(output)(f, x + K(place)(p, &v, i, j));
            if (first)
                b = (BEST){value, (INTS){0} + (i * p->size + j)};
            else
                K(challenge)(&b, value, i * p->size + j);
        }
    return b;
}

INLINE void K(keep_best)(const BEST *b, size_t at, float *y, uint8_t *index, bool has_index)
{
    K(store)(y + at, b->value);
    if (has_index)
        K(store_bytes)(index + at, b->which);
}

INLINE void K(normalize_pool_part)(const float *x, const ds_pool *p, LINE f, float *y, uint8_t *index,
                                   bool has_index)
{
    int rows = whole_windows(p, p->h, p->out_h), columns = whole_windows(p, p->w, p->out_w);
    size_t row = (size_t)p->w * BLOCK, at = 0;
    for (int oy = 0; oy < p->out_h; oy++) {
        int ox = 0, fast = oy < rows ? columns : 0;
        for (size_t corner = 2 * oy * row; ox < fast; ox++, at += BLOCK, corner += 2 * BLOCK) {
            BEST b = K(best_of_four)(x + corner, row, &f);
            K(keep_best)(&b, at, y, index, has_index);
        }
        for (; ox < p->out_w; ox++, at += BLOCK) {
            BEST b = K(best_of_window)(x, p, oy, ox, &f);
            K(keep_best)(&b, at, y, index, has_index);
        }
    }
}

static void K(normalize_pool)(const float *x, const ds_pool *p, const ds_affine *f, float *y, uint8_t *index)
{
    EACH_PART(c)
    {
        LINE line = K(line_of)(f, c);
        if (index)
            K(normalize_pool_part)(x + c, p, line, y + c, index + c, true);
        else
            K(normalize_pool_part)(x + c, p, line, y + c, NULL, false);
    }
}

/* What flows through a plane's reduction: pointers to the part's first channel, NULL where there is none. */
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
    g = K(gate)(has_y ? K(load)(q->y + i) : K(affine)(&q->f, x), g, q->f.slope);
    if (has_keep)
        K(store)(q->keep + i, g);
    *sum += g;
    *dot = K(fma)(g, x - q->mean, *dot);
}

INLINE void K(reduce_flow)(const FLOW *q, size_t places, float *sum, float *dot, bool has_y, bool has_g2,
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
    K(store)(sum, (s[0] + s[1]) + (s[2] + s[3]));
    K(store)(dot, (d[0] + d[1]) + (d[2] + d[3]));
}

static void K(reduce)(const float *x, const float *y, const float *g, const float *g2, size_t places,
                      const ds_affine *f, const float *mean, const ds_sums *out, float *keep)
{
    EACH_PART(c)
    {
        FLOW q = {.x = x + c,
                  .y = shifted(y, c),
                  .g = g + c,
                  .g2 = shifted(g2, c),
                  .keep = keep ? keep + c : NULL,
                  .f = K(gate_of)(f, c, y != NULL),
                  .mean = K(load)(mean + c)};
        float *s = out->sum + c, *d = out->dot + c;
        switch ((y ? 1 : 0) | (g2 ? 2 : 0) | (keep ? 4 : 0)) {
#define CASE(n)                                                \
    case n:                                                    \
        K(reduce_flow)(&q, places, s, d, n & 1, n & 2, n & 4); \
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
}

/* a, b, c of dx = a g' + b + c x */
typedef struct MIX {
    VEC a, b, c;
} MIX;

INLINE MIX K(mix_of)(const float *a, const float *b, const float *c, int part)
{
    return (MIX){K(load)(a + part), K(load)(b + part), K(load)(c + part)};
}

INLINE void K(gradient_part)(const float *x, const float *y, const float *g, size_t places, LINE f, MIX m,
                             float *dx, bool has_y)
{
#pragma GCC unroll 4
    for (size_t i = 0; i < places * BLOCK; i += BLOCK) {
        VEC v = K(load)(x + i), rest = K(fma)(m.c, v, m.b);
        VEC passed = K(gate)(has_y ? K(load)(y + i) : K(affine)(&f, v), K(load)(g + i), f.slope);
        K(store)(dx + i, K(fma)(m.a, passed, rest));
    }
}

static void K(gradient)(const float *x, const float *y, const float *g, size_t places, const ds_affine *f,
                        const float *a, const float *b, const float *c, float *dx)
{
    EACH_PART(part)
    {
        LINE line = K(gate_of)(f, part, y != NULL);
        MIX m = K(mix_of)(a, b, c, part);
        if (y)
            K(gradient_part)(x + part, y + part, g + part, places, line, m, dx + part, true);
        else
            K(gradient_part)(x + part, NULL, g + part, places, line, m, dx + part, false);
    }
}

/* A whole 2 x 2 window, row by row. */
typedef struct FOUR {
    VEC v[4];
} FOUR;

INLINE FOUR K(load_four)(const float *x, size_t row)
{
    return (FOUR){{K(load)(x), K(load)(x + BLOCK), K(load)(x + row), K(load)(x + row + BLOCK)}};
}

/* The one that the index names. */
INLINE VEC K(chosen_of_four)(const FOUR *x, INTS which)
{
    MASK right = K(bit)(which, 0);
    VEC top = K(blend)(right, x->v[1], x->v[0]), bottom = K(blend)(right, x->v[3], x->v[2]);
    return K(blend)(K(bit)(which, 1), bottom, top);
}

INLINE VEC K(chosen_of_window)(const float *x, const ds_pool *p, const window *v, INTS which)
{
    VEC chosen = {0};
    for (int i = v->y0; i < v->y1; i++)
        for (int j = v->x0; j < v->x1; j++)
            chosen = K(blend)(K(is)(which, i * p->size + j), K(load)(x + K(place)(p, v, i, j)), chosen);
    return chosen;
}

INLINE void K(reduce_chosen)(VEC x, VEC g, const LINE *f, VEC mean, VEC *sum, VEC *dot)
{
    g = K(gate)(K(affine)(f, x), g, f->slope);
    *sum += g;
    *dot = K(fma)(g, x - mean, *dot);
}

/* Each row of windows has its own sums: long sums stay exact, and additions of two rows do not wait for each other. */
INLINE void K(reduce_pool_part)(const float *x, const float *g, const uint8_t *index, const ds_pool *p,
                                LINE f, VEC mean, float *sum, float *dot)
{
    int rows = whole_windows(p, p->h, p->out_h), columns = whole_windows(p, p->w, p->out_w);
    size_t row = (size_t)p->w * BLOCK, at = 0;
    VEC s = {0}, d = {0};
    for (int oy = 0; oy < p->out_h; oy++) {
        VEC row_sum = {0}, row_dot = {0};
        int ox = 0, fast = oy < rows ? columns : 0;
        for (size_t corner = 2 * oy * row; ox < fast; ox++, at += BLOCK, corner += 2 * BLOCK) {
            FOUR four = K(load_four)(x + corner, row);
            VEC v = K(chosen_of_four)(&four, K(load_bytes)(index + at));
            K(reduce_chosen)(v, K(load)(g + at), &f, mean, &row_sum, &row_dot);
        }
        for (; ox < p->out_w; ox++, at += BLOCK) {
            window w = window_at(p, oy, ox);
            if (w.y0 >= w.y1 || w.x0 >= w.x1)
                continue;
            VEC v = K(chosen_of_window)(x, p, &w, K(load_bytes)(index + at));
            K(reduce_chosen)(v, K(load)(g + at), &f, mean, &row_sum, &row_dot);
        }
        s += row_sum;
        d += row_dot;
    }
    K(store)(sum, s);
    K(store)(dot, d);
}

static void K(reduce_pool)(const float *x, const float *g, const uint8_t *index, const ds_pool *p,
                           const ds_affine *f, const float *mean, const ds_sums *out)
{
    EACH_PART(c)
    {
        LINE line = K(line_of)(f, c);
        VEC m = K(load)(mean + c);
        K(reduce_pool_part)(x + c, g + c, index + c, p, line, m, out->sum + c, out->dot + c);
    }
}

/* dx of a row of whole windows, upper half (0) or lower (1): h arrives at the place that the index names. The second half computes h again:
 * writes that go to and fro between two rows of the plane cost up to twice the time of rows one after the other. */
INLINE void K(gradient_half)(const float *x, size_t row, const float *g, const uint8_t *index, int windows,
                             const LINE *f, const MIX *m, float *dx, int half)
{
    for (int ox = 0; ox < windows; ox++, x += 2 * BLOCK, g += BLOCK, index += BLOCK, dx += 2 * BLOCK) {
        FOUR four = K(load_four)(x, row);
        INTS which = K(load_bytes)(index);
        VEC v = K(affine)(f, K(chosen_of_four)(&four, which));
        VEC h = m->a * K(gate)(v, K(load)(g), f->slope);
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++) {
            VEC arrives = K(blend)(K(is)(which, 2 * half + i), h, (VEC){0});
            K(store)(dx + half * row + i * BLOCK, K(fma)(m->c, four.v[2 * half + i], m->b) + arrives);
        }
    }
}

/* to += v at the place that `which` names */
INLINE void K(spread)(VEC v, INTS which, const ds_pool *p, const window *w, float *to)
{
    for (int i = w->y0; i < w->y1; i++)
        for (int j = w->x0; j < w->x1; j++) {
            float *place = to + K(place)(p, w, i, j);
            VEC arrives = K(blend)(K(is)(which, i * p->size + j), v, (VEC){0});
            K(store)(place, K(load)(place) + arrives);
        }
}

/* dx = b + c x outside of the whole windows, which cover the first 2 rows x 2 columns places. */
INLINE void K(gradient_rest)(const float *x, const ds_pool *p, int rows, int columns, const MIX *m, float *dx)
{
    for (int y = 0; y < p->h; y++)
        for (int i = y < 2 * rows ? 2 * columns : 0; i < p->w; i++) {
            size_t at = ((size_t)y * p->w + i) * BLOCK;
            K(store)(dx + at, K(fma)(m->c, K(load)(x + at), m->b));
        }
}

INLINE void K(gradient_window)(const float *x, VEC g, INTS which, const ds_pool *p, const window *w,
                               const LINE *f, const MIX *m, float *dx)
{
    VEC v = K(affine)(f, K(chosen_of_window)(x, p, w, which));
    K(spread)(m->a * K(gate)(v, g, f->slope), which, p, w, dx);
}

INLINE void K(gradient_pool_part)(const float *x, const float *g, const uint8_t *index, const ds_pool *p,
                                  LINE f, MIX m, float *dx)
{
    int rows = whole_windows(p, p->h, p->out_h), columns = whole_windows(p, p->w, p->out_w);
    size_t row = (size_t)p->w * BLOCK, at = 0;
    K(gradient_rest)(x, p, rows, columns, &m, dx);
    for (int oy = 0; oy < p->out_h; oy++) {
        int ox = 0;
        if (oy < rows) {
            size_t top = 2 * oy * row;
            K(gradient_half)(x + top, row, g + at, index + at, columns, &f, &m, dx + top, 0);
            K(gradient_half)(x + top, row, g + at, index + at, columns, &f, &m, dx + top, 1);
            ox = columns;
            at += (size_t)columns * BLOCK;
        }
        for (; ox < p->out_w; ox++, at += BLOCK) {
            INTS which = K(load_bytes)(index + at);
            window w = window_at(p, oy, ox);
            K(gradient_window)(x, K(load)(g + at), which, p, &w, &f, &m, dx);
        }
    }
}

static void K(gradient_pool)(const float *x, const float *g, const uint8_t *index, const ds_pool *p,
                             const ds_affine *f, const float *a, const float *b, const float *c, float *dx)
{
    EACH_PART(part)
    {
        LINE line = K(line_of)(f, part);
        MIX m = K(mix_of)(a, b, c, part);
        K(gradient_pool_part)(x + part, g + part, index + part, p, line, m, dx + part);
    }
}

static void K(pool_gradient)(const float *g, const uint8_t *index, const ds_pool *p, float *dx)
{
    size_t at = 0;
    for (int oy = 0; oy < p->out_h; oy++)
        for (int ox = 0; ox < p->out_w; ox++, at += BLOCK) {
            window w = window_at(p, oy, ox);
            EACH_PART(c)
            {
                INTS which = K(load_bytes)(index + at + c);
                K(spread)(K(load)(g + at + c), which, p, &w, dx + c);
            }
        }
}

static void K(gate_gradient)(const float *y, const float *g, size_t places, float slope, bool add, float *dx)
{
    VEC s = K(all)(slope);
    for (size_t i = 0; i < places * BLOCK; i += LANES) {
        VEC passed = K(gate)(K(load)(y + i), K(load)(g + i), s);
        K(store)(dx + i, add ? K(load)(dx + i) + passed : passed);
    }
}

static void K(add)(const float *from, size_t places, float *to)
{
    for (size_t i = 0; i < places * BLOCK; i += LANES)
        K(store)(to + i, K(load)(to + i) + K(load)(from + i));
}

static void K(average)(const float *x, size_t places, float *mean)
{
    EACH_PART(c)
    {
        K(store)(mean + c, K(mean_of)(x + c, places));
    }
}

static void K(average_gradient)(const float *g, size_t places, bool add, float *dx)
{
    EACH_PART(c)
    {
        VEC share = K(load)(g + c) / (float)places;
        for (size_t i = c; i < places * BLOCK; i += BLOCK)
            K(store)(dx + i, add ? K(load)(dx + i) + share : share);
    }
}

static void K(dropped)(const float *x, const uint8_t *keep, size_t places, float scale, bool add, float *y)
{
    for (size_t i = 0; i < places * BLOCK; i += LANES) {
        MASK gone = K(is)(K(load_bytes)(keep + i), 0);
        VEC v = K(blend)(gone, (VEC){0}, scale * K(load)(x + i));
        K(store)(y + i, add ? K(load)(y + i) + v : v);
    }
}

/* Exchanges, at each distance 1, 2, 4 …, the squares beside the diagonal. */
INLINE void K(transpose)(VEC v[LANES])
{
    const INTS lane = {NUMBERS};
#pragma GCC unroll 4
    for (int d = 1; d < LANES; d *= 2) {
        INTS low = lane + (((lane & d) != 0) & (LANES - d)), high = low + d;
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++)
            if ((i & d) == 0) {
                VEC a = v[i], b = v[i + d];
                v[i] = __builtin_shuffle(a, b, low);
                v[i + d] = __builtin_shuffle(a, b, high);
            }
    }
}

INLINE int K(present)(int channels, int c)
{
    return channels - c < 0 ? 0 : channels - c < LANES ? channels - c : LANES;
}

/* plain: the part's first channel */
INLINE void K(to_plane_part)(const float *plain, int channels, size_t places, float *plane)
{
    size_t i = 0;
    for (; i + LANES <= places; i += LANES) {
        VEC v[LANES];
#pragma GCC unroll 16
        for (int j = 0; j < LANES; j++)
            v[j] = j < channels ? K(load_loose)(plain + j * places + i) : (VEC){0};
        K(transpose)(v);
#pragma GCC unroll 16
        for (int j = 0; j < LANES; j++)
            K(store)(plane + (i + j) * BLOCK, v[j]);
    }
    for (; i < places; i++)
        for (int j = 0; j < LANES; j++)
            plane[i * BLOCK + j] = j < channels ? plain[j * places + i] : 0;
}

static void K(to_plane)(const float *plain, int channels, size_t places, float *plane)
{
    EACH_PART(c)
    {
        int n = K(present)(channels, c);
        K(to_plane_part)(n ? plain + c * places : NULL, n, places, plane + c);
    }
}

INLINE void K(from_plane_part)(const float *plane, int channels, size_t places, bool add, float *plain)
{
    size_t i = 0;
    for (; i + LANES <= places; i += LANES) {
        VEC v[LANES];
#pragma GCC unroll 16
        for (int j = 0; j < LANES; j++)
            v[j] = K(load)(plane + (i + j) * BLOCK);
        K(transpose)(v);
#pragma GCC unroll 16
        for (int j = 0; j < LANES; j++)
            if (j < channels) {
                float *to = plain + j * places + i;
                *(LOOSE *)to = add ? K(load_loose)(to) + v[j] : v[j];
            }
    }
    for (; i < places; i++)
        for (int j = 0; j < channels; j++)
            plain[j * places + i] = (add ? plain[j * places + i] : 0) + plane[i * BLOCK + j];
}

static void K(from_plane)(const float *plane, int channels, size_t places, bool add, float *plain)
{
    EACH_PART(c)
    {
        int n = K(present)(channels, c);
        if (n)
            K(from_plane_part)(plane + c, n, places, add, plain + c * places);
    }
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
    .gate = K(gate_gradient),
    .add = K(add),
    .average = K(average),
    .average_gradient = K(average_gradient),
    .mask = K(dropped),
    .to_plane = K(to_plane),
    .from_plane = K(from_plane),
};

#undef EACH_PART
#undef VEC
#undef INTS
#undef MASK
#undef LOOSE
#undef LINE
#undef BEST
#undef FLOW
#undef MIX
#undef FOUR
#undef BLOCK
#undef LANES
#undef NUMBERS
#undef NAME
#undef K
