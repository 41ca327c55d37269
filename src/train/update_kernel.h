/* One build of the kernels of update.c: included once an instruction set, with KERNEL(name), LANES and, where the set has square roots of
 * vectors, ROOT(v) defined. What is left of a stretch behind its last whole vector goes through the same lines in a vector of its own. */

typedef float KERNEL(vec) __attribute__((vector_size(LANES * 4), aligned(4)));
typedef int KERNEL(mask) __attribute__((vector_size(LANES * 4), aligned(4)));

static inline KERNEL(vec) KERNEL(root)(KERNEL(vec) v)
{
#ifdef ROOT
    return ROOT(v);
#else
    for (int i = 0; i < LANES; i++)
        v[i] = sqrtf(v[i]);
    return v;
#endif
}

static inline KERNEL(vec) KERNEL(choose)(KERNEL(mask) where, KERNEL(vec) a, KERNEL(vec) b)
{
    return (KERNEL(vec))((where & (KERNEL(mask))a) | (~where & (KERNEL(mask))b));
}

static inline KERNEL(vec) KERNEL(clamp)(KERNEL(vec) w, float limit)
{
    const KERNEL(vec) zero = {0}, high = zero + limit, low = zero - limit;
    w = KERNEL(choose)(w > high, high, w);
    return KERNEL(choose)(w < low, low, w);
}

/* The roundings of each line are the host's. */
static inline void KERNEL(sgd_vector)(bool decayed, ds_sgd c, KERNEL(vec) * w, KERNEL(vec) * u)
{
    KERNEL(vec) step = decayed ? *u + c.decay * *w : *u;
    *w = KERNEL(clamp)(*w + c.rate * step, c.limit);
    *u = step * c.momentum;
}

static inline void KERNEL(adam_vector)(ds_adam c, KERNEL(vec) * w, KERNEL(vec) * u, KERNEL(vec) * m,
                                       KERNEL(vec) * v)
{
    KERNEL(vec) g = c.inverse * *u + c.decay * *w;
    KERNEL(vec) m1 = c.B1 * *m + c.rest1 * g, v1 = c.B2 * *v + c.rest2 * g * g;
    *w = KERNEL(clamp)(*w - c.step * m1 / (KERNEL(root)(v1 * c.unbias) + c.eps), c.limit);
    *m = m1;
    *v = v1;
    *u = (KERNEL(vec)){0};
}

static inline __attribute__((always_inline)) void KERNEL(sgd_loop)(bool decayed, ds_sgd c, float *w, float *u,
                                                                   size_t n)
{
    KERNEL(vec) wt = {0}, ut = {0};
    size_t whole = n - n % LANES, rest = (n - whole) * sizeof *w;
    for (size_t i = 0; i < whole; i += LANES)
        KERNEL(sgd_vector)(decayed, c, (KERNEL(vec) *)(w + i), (KERNEL(vec) *)(u + i));
    memcpy(&wt, w + whole, rest);
    memcpy(&ut, u + whole, rest);
    KERNEL(sgd_vector)(decayed, c, &wt, &ut);
    memcpy(w + whole, &wt, rest);
    memcpy(u + whole, &ut, rest);
}

static void KERNEL(sgd)(ds_sgd c, float *w, float *u, size_t n)
{
    if (c.decayed)
        KERNEL(sgd_loop)(true, c, w, u, n);
    else
        KERNEL(sgd_loop)(false, c, w, u, n);
}

static void KERNEL(adam)(ds_adam c, float *w, float *u, float *m, float *v, size_t n)
{
    KERNEL(vec) wt = {0}, ut = {0}, mt = {0}, vt = {0};
    size_t whole = n - n % LANES, rest = (n - whole) * sizeof *w;
    for (size_t i = 0; i < whole; i += LANES)
        KERNEL(adam_vector)
    (c, (KERNEL(vec) *)(w + i), (KERNEL(vec) *)(u + i), (KERNEL(vec) *)(m + i), (KERNEL(vec) *)(v + i));
    memcpy(&wt, w + whole, rest);
    memcpy(&ut, u + whole, rest);
    memcpy(&mt, m + whole, rest);
    memcpy(&vt, v + whole, rest);
    KERNEL(adam_vector)(c, &wt, &ut, &mt, &vt);
    memcpy(w + whole, &wt, rest);
    memcpy(u + whole, &ut, rest);
    memcpy(m + whole, &mt, rest);
    memcpy(v + whole, &vt, rest);
}
