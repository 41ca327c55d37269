/* The device's own passes: C for NVRTC and, through tests/gpu/emulate.h, for the compiler of the host. BF16 says how
 * activations are stored. A thread works on V channels of a place, 16 bytes, at a time. */
#ifdef __CUDACC_RTC__
#define DEVICE static __device__ __forceinline__
#define KERNEL(name, args) extern "C" __global__ void __launch_bounds__(512) name(const __grid_constant__ args a)
#define TID ((int)threadIdx.x)
#define BID ((int)blockIdx.x)
#define NT ((int)blockDim.x)
#define NB ((int)gridDim.x)
#define SYNC __syncthreads()
#define RELAX
#define SHUFFLE(v, m) __shfl_xor_sync(~0u, v, m)
#define ROOM                                                                                                 \
    extern __shared__ float4 room4[];                                                                        \
    float *room = (float *)room4
#define FRESH(p) __ldcg(p)
#define ASFLOAT(u) __uint_as_float(u)
#define ASUINT(f) __float_as_uint(f)
#define UNROLL _Pragma("unroll")
#define UNROLL4 _Pragma("unroll 4")
#define UNROLL16 _Pragma("unroll 16")
typedef unsigned long size_t;
static __device__ __forceinline__ unsigned add_release(unsigned *p)
{
    unsigned old;
    asm volatile("atom.add.acq_rel.gpu.u32 %0, [%1], 1;" : "=r"(old) : "l"(p) : "memory");
    return old;
}
static __device__ __forceinline__ unsigned load_acquire(const unsigned *p)
{
    unsigned v;
    asm volatile("ld.acquire.gpu.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
    return v;
}
#endif

/* ---- vectors ---- */

#if BF16
#define V 8
typedef unsigned short T;
typedef uint4 vector;
DEVICE float get(T h)
{
    return ASFLOAT((unsigned)h << 16);
}
DEVICE T put(float f)
{
#ifdef __CUDACC_RTC__
    T r;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(r) : "f"(f));
    return r;
#else
    unsigned u = ASUINT(f);
    return f != f ? (T)(u >> 16 | 64) : (T)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
#endif
}
DEVICE void unpack(vector q, float *v)
{
    const unsigned u[4] = {q.x, q.y, q.z, q.w};
    UNROLL
    for (int i = 0; i < 4; i++) {
        v[2 * i] = ASFLOAT(u[i] << 16);
        v[2 * i + 1] = ASFLOAT(u[i] & 0xffff0000u);
    }
}
DEVICE vector pack(const float *v)
{
    unsigned u[4];
    UNROLL
    for (int i = 0; i < 4; i++)
        u[i] = put(v[2 * i]) | (unsigned)put(v[2 * i + 1]) << 16;
    const vector q = {u[0], u[1], u[2], u[3]};
    return q;
}
#else
#define V 4
typedef float T;
typedef float4 vector;
DEVICE float get(T f)
{
    return f;
}
DEVICE T put(float f)
{
    return f;
}
DEVICE void unpack(vector q, float *v)
{
    v[0] = q.x, v[1] = q.y, v[2] = q.z, v[3] = q.w;
}
DEVICE vector pack(const float *v)
{
    const vector q = {v[0], v[1], v[2], v[3]};
    return q;
}
#endif

DEVICE vector read_at(const void *p, size_t at)
{
    return *(const vector *)((const T *)p + at);
}
DEVICE void write_at(void *p, size_t at, const float *v)
{
    *(vector *)((T *)p + at) = pack(v);
}
DEVICE float slope_at(float y, float slope)
{
    return y > 0 ? 1 : slope;
}
/* v += what is there */
DEVICE void add_at(const void *p, size_t at, float *v)
{
    float more[V];
    unpack(read_at(p, at), more);
    UNROLL
    for (int k = 0; k < V; k++)
        v[k] += more[k];
}
/* (add ? what is there : 0) + v */
DEVICE void leave(void *p, size_t at, int add, const float *v)
{
    float sum[V];
    UNROLL
    for (int k = 0; k < V; k++)
        sum[k] = v[k];
    if (add)
        add_at(p, at, sum);
    write_at(p, at, sum);
}

/* ---- batch normalisation, bias, activation, the other input of a shortcut, 2 x 2 pooling ----
 * y = max over the unit of act(f x + b + other); f = scale / (sqrt(variance) + 1e-6), variance over N - 1.
 * A unit is q = 1 place or a window of q = 4. Channels are cut into slices, units into parts: block = part x
 * slices + slice. Between the sums and the second pass a thread keeps up to HELD vectors in registers; the
 * blocks of a slice meet at a barrier. */

#define HELD 8

typedef struct work {
    int width, slices, slice, part, parts, lane, c0, first, stride;
} work;

DEVICE work find_work(const norm_args *a)
{
    work p;
    p.width = V << a->lanes_log;
    p.slices = a->c / p.width;
    p.slice = BID % p.slices;
    p.part = BID / p.slices;
    p.parts = NB / p.slices;
    p.lane = TID & ((1 << a->lanes_log) - 1);
    p.c0 = p.slice * p.width + p.lane * V;
    p.first = p.part * (NT >> a->lanes_log) + (TID >> a->lanes_log);
    p.stride = p.parts * (NT >> a->lanes_log);
    return p;
}

/* First place of a unit, and how far its j-th lies behind that. */
DEVICE size_t place_of(const norm_args *a, int q, int unit)
{
    const int oh = a->h / 2, ow = a->w / 2;
    return q == 1 ? (size_t)unit : ((size_t)(unit / (ow * oh)) * a->h + 2 * (unit / ow % oh)) * a->w + 2 * (unit % ow);
}
DEVICE size_t offset_of(const norm_args *a, int q, int j)
{
    return q == 1 ? 0 : (size_t)(j / 2 * a->w + j % 2) * a->c;
}

DEVICE void fold(const norm_args *a, int c, float mean, float variance, float *f, float *b)
{
    *f = a->scale ? a->scale[c] / (sqrtf(variance) + 1e-6f) : 1;
    *b = (a->bias ? a->bias[c] : 0) - (a->scale ? mean * *f : 0);
}

/* What the thread multiplies its channels by and adds. */
DEVICE void fold_lane(const norm_args *a, int c0, float *f, float *b)
{
    UNROLL
    for (int k = 0; k < V; k++)
        fold(a, c0 + k, a->scale ? a->statistics[c0 + k] : 0, a->scale ? a->statistics[a->c + c0 + k] : 0, &f[k], &b[k]);
}

/* The output of a unit, and the number x that it came from, and that one's place. */
DEVICE void activate(const norm_args *a, int q, const vector *raw, size_t unit_at, const float *f, const float *b,
                     float *best, float *won, int *from)
{
    float x[V], other[V];
    if (a->other)
        unpack(read_at(a->other, unit_at), other);
    UNROLL
    for (int j = 0; j < q; j++) {
        unpack(raw[j], x);
        UNROLL
        for (int k = 0; k < V; k++) {
            const float z = f[k] * x[k] + b[k] + (a->other ? other[k] : 0), y = z * slope_at(z, a->slope);
            if (j == 0 || y > best[k]) {
                best[k] = y;
                won[k] = x[k];
                from[k] = j;
            }
        }
    }
}

/* Sums of s and r over all units for channel TID of the slice, in the first `width` threads of every block;
 * always added in the same order. */
DEVICE void slice_sums(const norm_args *a, const work *p, float *s, float *r, float *room, double *sum_s,
                       double *sum_r)
{
    const int columns = 2 * p->width, groups = NT / columns, g = TID / columns, lanes = 1 << a->lanes_log;
    double *wide = (double *)(room + NT * 4), t = 0;
    float *mine = a->partial + ((size_t)p->slice * p->parts + p->part) * columns;
    const float *all = a->partial + (size_t)p->slice * p->parts * columns + TID % columns;
    for (int m = lanes; m < 32; m *= 2)
        UNROLL
        for (int k = 0; k < V; k++) {
            s[k] += SHUFFLE(s[k], m);
            r[k] += SHUFFLE(r[k], m);
        }
    if ((TID & 31) < lanes)
        for (int k = 0; k < V; k++) {
            room[TID / 32 * columns + p->lane * V + k] = s[k];
            room[TID / 32 * columns + p->width + p->lane * V + k] = r[k];
        }
    SYNC;
    if (TID < columns) {
        float x = 0;
        UNROLL16
        for (int i = 0; i < NT / 32; i++)
            x += room[i * columns + TID];
        mine[TID] = x;
    }
    SYNC;
    if (p->parts > 1) {
        if (TID == 0) {
            unsigned *sync = a->sync + 2 * p->slice;
            const unsigned generation = load_acquire(sync + 1);
            if (add_release(sync) == (unsigned)p->parts - 1) {
                *(volatile unsigned *)sync = 0;
                add_release(sync + 1);
            } else
                while (load_acquire(sync + 1) == generation)
                    RELAX;
        }
        SYNC;
    }
    if (g < groups) {
        UNROLL16
        for (int i = g; i < p->parts; i += groups)
            t += FRESH(all + (size_t)i * columns);
    }
    wide[TID] = t;
    SYNC;
    *sum_s = *sum_r = 0;
    if (TID < p->width)
        for (int i = 0; i < groups; i++) {
            *sum_s += wide[i * columns + TID];
            *sum_r += wide[i * columns + p->width + TID];
        }
}

/* n vectors of x and, for a backward pass, of dy; units `stride` apart. */
DEVICE void read_chunk(const norm_args *a, const work *p, int q, int held, int from, vector *raw)
{
    UNROLL
    for (int i = 0; i < held / q; i++)
        if (from + i * p->stride < a->units) {
            const size_t at = place_of(a, q, from + i * p->stride) * a->c + p->c0;
            UNROLL
            for (int j = 0; j < q; j++)
                raw[i * q + j] = read_at(a->x, at + offset_of(a, q, j));
        }
}

/* Mean, variance and averages of channel c from sums relative to its first number. */
DEVICE void keep_statistics(const norm_args *a, int c, double sum, double squares, int writes, float *f, float *b)
{
    const double m = sum / a->places, v = (squares - sum * m) / (a->places - 1);
    const float mean = (float)(get(((const T *)a->x)[c]) + m), variance = v > 0 ? (float)v : 0;
    fold(a, c, mean, variance, f, b);
    if (!writes)
        return;
    float *s = a->statistics + c;
    s[0] = mean;
    s[a->c] = variance;
    s[2 * a->c] = .99f * s[2 * a->c] + .01f * mean;
    s[3 * a->c] = .99f * s[3 * a->c] + .01f * variance;
}

DEVICE void forward_pass(const norm_args *a, int q, float *room)
{
    const work p = find_work(a);
    const int chunk = HELD / q * p.stride, whole = a->units <= chunk;
    vector raw[HELD];
    float s[V] = {0}, r[V] = {0}, f[V], b[V], pivot[V], x[V], won[V];
    int place[V];
    double sum, squares;
    unpack(read_at(a->x, p.c0), pivot); /* so that squares do not cancel */
    for (int from = p.first; from < a->units; from += chunk) {
        read_chunk(a, &p, q, HELD, from, raw);
        UNROLL
        for (int i = 0; i < HELD; i++)
            if (from + i / q * p.stride < a->units) {
                unpack(raw[i], x);
                UNROLL
                for (int k = 0; k < V; k++) {
                    s[k] += x[k] - pivot[k];
                    r[k] += (x[k] - pivot[k]) * (x[k] - pivot[k]);
                }
            }
    }
    slice_sums(a, &p, s, r, room, &sum, &squares);
    if (TID < p.width)
        keep_statistics(a, p.slice * p.width + TID, sum, squares, p.part == 0, &room[TID], &room[p.width + TID]);
    SYNC;
    UNROLL
    for (int k = 0; k < V; k++) {
        f[k] = room[p.lane * V + k];
        b[k] = room[p.width + p.lane * V + k];
    }
    for (int from = p.first; from < a->units; from += chunk) {
        if (!whole)
            read_chunk(a, &p, q, HELD, from, raw);
        UNROLL
        for (int i = 0; i < HELD / q; i++)
            if (from + i * p.stride < a->units) {
                const size_t at = (size_t)(from + i * p.stride) * a->c + p.c0;
                activate(a, q, raw + i * q, at, f, b, x, won, place);
                write_at(a->y, at, x);
            }
    }
}

/* The gradient of what goes into the activation, of its parts together. */
DEVICE void gradient_at(const norm_args *a, size_t at, const float *y, float *g)
{
    unpack(read_at(a->dy, at), g);
    if (a->dy2)
        add_at(a->dy2, at, g);
    UNROLL
    for (int k = 0; k < V; k++)
        g[k] *= slope_at(y[k], a->slope);
}

/* Gradients of the parameters of channel c and the factors of
 * dx = f (g - sum / N - (x - mean) dot / ((N - 1) sqrt(v) (sqrt(v) + 1e-6))), dot of g and x - mean. */
DEVICE void keep_gradients(const norm_args *a, int c, double sum, double dot, int writes, float *k1, float *k2)
{
    const float root = a->scale ? sqrtf(a->statistics[a->c + c]) : 0, e = root + 1e-6f;
    const float f = a->scale ? a->scale[c] / e : 1, n = (float)a->places;
    *k1 = a->scale ? f * ((float)sum / n) : 0;
    *k2 = root > 0 ? f * ((float)dot / ((n - 1) * root * e)) : 0;
    if (writes && a->dbias)
        a->dbias[c] = (float)sum;
    if (writes && a->dscale)
        a->dscale[c] = (float)dot / e;
}

DEVICE void backward_pass(const norm_args *a, int q, float *room)
{
    const int held = q == 1 ? HELD : HELD / 2;
    const work p = find_work(a);
    const int chunk = held / q * p.stride, whole = a->units <= chunk;
    vector raw[HELD], kept[HELD];
    float s[V] = {0}, r[V] = {0}, f[V], b[V], mean[V], k1[V], k2[V], y[V], won[V], g[V], x[V];
    int place[V];
    double sum, dot;
    fold_lane(a, p.c0, f, b);
    UNROLL
    for (int k = 0; k < V; k++)
        mean[k] = a->scale ? a->statistics[p.c0 + k] : 0;
    for (int from = p.first; from < a->units; from += chunk) {
        read_chunk(a, &p, q, held, from, raw);
        UNROLL
        for (int i = 0; i < held / q; i++)
            if (from + i * p.stride < a->units) {
                const size_t at = (size_t)(from + i * p.stride) * a->c + p.c0;
                activate(a, q, raw + i * q, at, f, b, y, won, place);
                gradient_at(a, at, y, g);
                kept[i] = pack(g);
                if (a->dother)
                    write_at(a->dother, at, g);
                UNROLL
                for (int k = 0; k < V; k++) {
                    s[k] += g[k];
                    r[k] += g[k] * (won[k] - mean[k]);
                }
            }
    }
    slice_sums(a, &p, s, r, room, &sum, &dot);
    if (TID < p.width)
        keep_gradients(a, p.slice * p.width + TID, sum, dot, p.part == 0, &room[TID], &room[p.width + TID]);
    SYNC;
    UNROLL
    for (int k = 0; k < V; k++) {
        k1[k] = room[p.lane * V + k];
        k2[k] = room[p.width + p.lane * V + k];
        k1[k] -= k2[k] * mean[k];
    }
    for (int from = p.first; from < a->units; from += chunk) {
        if (!whole)
            read_chunk(a, &p, q, held, from, raw);
        UNROLL
        for (int i = 0; i < held / q; i++)
            if (from + i * p.stride < a->units) {
                const int unit = from + i * p.stride;
                const size_t at = (size_t)unit * a->c + p.c0, to = place_of(a, q, unit) * a->c + p.c0;
                if (!whole || q > 1)
                    activate(a, q, raw + i * q, at, f, b, y, won, place);
                if (whole)
                    unpack(kept[i], g);
                else
                    gradient_at(a, at, y, g);
                UNROLL
                for (int j = 0; j < q; j++) {
                    unpack(raw[i * q + j], x);
                    UNROLL
                    for (int k = 0; k < V; k++)
                        x[k] = (q == 1 || place[k] == j ? f[k] * g[k] : 0) - k1[k] - k2[k] * x[k];
                    write_at(a->dx, to + offset_of(a, q, j), x);
                }
            }
    }
}

/* One pass without sums: known statistics, or a bias. */
DEVICE void apply_pass(const norm_args *a, int q)
{
    const int lanes = a->c / V, id = BID * NT + TID, c0 = id % lanes * V, stride = NB * NT / lanes;
    vector raw[4];
    float f[V], b[V], y[V], won[V];
    int place[V];
    if (id >= stride * lanes)
        return;
    fold_lane(a, c0, f, b);
    for (int unit = id / lanes; unit < a->units; unit += stride) {
        const size_t at = place_of(a, q, unit) * a->c + c0;
        UNROLL
        for (int j = 0; j < q; j++)
            raw[j] = read_at(a->x, at + offset_of(a, q, j));
        activate(a, q, raw, (size_t)unit * a->c + c0, f, b, y, won, place);
        write_at(a->y, (size_t)unit * a->c + c0, y);
    }
}

#define MEETING(name, pass, q)  \
    KERNEL(name, norm_args)     \
    {                           \
        ROOM;                   \
        pass(&a, q, room);      \
    }
MEETING(norm_forward, forward_pass, 1)
MEETING(norm_backward, backward_pass, 1)
MEETING(pooled_forward, forward_pass, 4)
MEETING(pooled_backward, backward_pass, 4)
KERNEL(norm_apply, norm_args)
{
    apply_pass(&a, 1);
}
KERNEL(pooled_apply, norm_args)
{
    apply_pass(&a, 4);
}

/* ---- pooling on its own ---- */

/* The largest of a window; first: its place in the window, the first one that has it. */
DEVICE void largest(const pool_args *a, int image, int oh, int ow, int c0, float *best, int *first)
{
    float x[V];
    int none = 1;
    for (int j = 0; j < a->size * a->size; j++) {
        const int h = oh * a->stride + a->offset + j / a->size, w = ow * a->stride + a->offset + j % a->size;
        if (h < 0 || w < 0 || h >= a->h || w >= a->w)
            continue;
        unpack(read_at(a->x, (((size_t)image * a->h + h) * a->w + w) * a->c + c0), x);
        UNROLL
        for (int k = 0; k < V; k++)
            if (none || x[k] > best[k]) {
                best[k] = x[k];
                first[k] = j;
            }
        none = 0;
    }
}

KERNEL(max_forward, pool_args)
{
    const int lanes = a.c / V, total = a.n * a.oh * a.ow * lanes;
    for (int i = BID * NT + TID; i < total; i += NB * NT) {
        const int place = i / lanes, c0 = i % lanes * V;
        float best[V] = {0};
        int first[V];
        largest(&a, place / (a.oh * a.ow), place / a.ow % a.oh, place % a.ow, c0, best, first);
        write_at(a.y, (size_t)place * a.c + c0, best);
    }
}

/* First window (of one side) that a row or column lies in, and the first behind the last. */
DEVICE int window_from(const pool_args *a, int at)
{
    const int reach = at - a->offset - a->size;
    return reach < 0 ? 0 : reach / a->stride + 1;
}
DEVICE int window_to(const pool_args *a, int at, int windows)
{
    const int to = (at - a->offset) / a->stride + 1;
    return to < windows ? to : windows;
}

KERNEL(max_backward, pool_args)
{
    const int lanes = a.c / V, total = a.n * a.h * a.w * lanes;
    for (int i = BID * NT + TID; i < total; i += NB * NT) {
        const int place = i / lanes, c0 = i % lanes * V;
        const int image = place / (a.h * a.w), h = place / a.w % a.h, w = place % a.w;
        float sum[V] = {0}, best[V], g[V];
        int first[V];
        for (int oh = window_from(&a, h); oh < window_to(&a, h, a.oh); oh++)
            for (int ow = window_from(&a, w); ow < window_to(&a, w, a.ow); ow++) {
                const int mine = (h - oh * a.stride - a.offset) * a.size + w - ow * a.stride - a.offset;
                largest(&a, image, oh, ow, c0, best, first);
                unpack(read_at(a.dy, (((size_t)image * a.oh + oh) * a.ow + ow) * a.c + c0), g);
                UNROLL
                for (int k = 0; k < V; k++)
                    sum[k] += first[k] == mine ? g[k] : 0;
            }
        leave(a.dx, (size_t)place * a.c + c0, a.add, sum);
    }
}

/* The mean of each channel; a block an image. */
KERNEL(average_forward, pool_args)
{
    ROOM;
    const int lanes = a.c / V, at_once = lanes < NT ? lanes : NT, groups = NT / at_once, g = TID / at_once;
    const int places = a.h * a.w;
    for (int from = 0; from < lanes; from += at_once) {
        const int lane = from + TID % at_once, c0 = lane * V;
        const int works = g < groups && lane < lanes;
        float s[V] = {0};
        for (int p = g; works && p < places; p += groups)
            add_at(a.x, ((size_t)BID * places + p) * a.c + c0, s);
        UNROLL
        for (int k = 0; k < V; k++)
            room[TID * V + k] = s[k];
        SYNC;
        if (g == 0 && works) {
            for (int i = 1; i < groups; i++)
                for (int k = 0; k < V; k++)
                    s[k] += room[(i * at_once + TID) * V + k];
            for (int k = 0; k < V; k++)
                s[k] /= (float)places;
            write_at(a.y, (size_t)BID * a.c + c0, s);
            for (int k = 0; a.plain && k < V && c0 + k < a.real_c; k++)
                a.plain[BID * a.real_c + c0 + k] = s[k];
        }
        SYNC;
    }
}

KERNEL(average_backward, pool_args)
{
    const int lanes = a.c / V, places = a.h * a.w, total = a.n * places * lanes;
    for (int i = BID * NT + TID; i < total; i += NB * NT) {
        float g[V];
        unpack(read_at(a.dy, ((size_t)(i / lanes / places) * lanes + i % lanes) * V), g);
        UNROLL
        for (int k = 0; k < V; k++)
            g[k] /= (float)places;
        leave(a.dx, (size_t)i * V, a.add, g);
    }
}

/* ---- sums, copies, dropout ---- */

KERNEL(sum_forward, sum_args)
{
    for (long long i = BID * NT + TID; i < a.n; i += NB * NT) {
        float y[V];
        unpack(read_at(a.a, (size_t)i * V), y);
        if (a.b)
            add_at(a.b, (size_t)i * V, y);
        UNROLL
        for (int k = 0; k < V; k++)
            y[k] *= slope_at(y[k], a.slope);
        write_at(a.y, (size_t)i * V, y);
    }
}

KERNEL(sum_backward, sum_args)
{
    for (long long i = BID * NT + TID; i < a.n; i += NB * NT) {
        float y[V], g[V];
        unpack(read_at(a.dy, (size_t)i * V), g);
        if (a.y)
            unpack(read_at(a.y, (size_t)i * V), y);
        UNROLL
        for (int k = 0; k < V; k++)
            g[k] *= a.y ? slope_at(y[k], a.slope) : 1;
        if (a.da)
            leave(a.da, (size_t)i * V, a.add_a, g);
        if (a.db)
            leave(a.db, (size_t)i * V, a.add_b, g);
    }
}

KERNEL(copy_channels, copy_args)
{
    const long long total = (long long)a.places * a.n;
    for (long long i = BID * NT + TID; i < total; i += NB * NT) {
        const size_t place = (size_t)(i / a.n), c = (size_t)(i % a.n);
        T *to = (T *)a.to + place * a.to_c + a.to_at + c;
        const float x = get(((const T *)a.from)[place * a.from_c + a.from_at + c]);
        *to = put(a.add ? get(*to) + x : x);
    }
}

/* SplitMix64 as in src/base/rng.c: draw k is a function of the state and k. */
DEVICE unsigned long long mix(unsigned long long z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

KERNEL(drop, drop_args)
{
    const unsigned long long golden = 0x9e3779b97f4a7c15ull;
    const unsigned long long state = mix(mix(mix(a.seed + golden) ^ (a.step[0] + golden)) ^ (a.layer + golden));
    const long long total = (long long)a.n * a.hw * a.c;
    for (long long i = BID * NT + TID; i < total; i += NB * NT) {
        const unsigned long long c = (unsigned long long)(i % a.c), place = (unsigned long long)(i / a.c);
        const unsigned long long image = place / a.hw, k = (image * a.real_c + c) * a.hw + place % a.hw;
        const float u = (float)((double)(mix(state + (k + 1) * golden) >> 11) * 0x1p-53);
        const float keep = !a.step[1] ? 1 : u < a.probability ? 0 : a.scale;
        T *to = (T *)a.y + i;
        const float y = keep * get(((const T *)a.x)[i]);
        *to = put(a.add ? get(*to) + y : y);
    }
}

/* ---- pictures ---- */

typedef struct look {
    const ds_picture *p;
    double cosine, sine;
    float mean[3]; /* of each channel, where a square is hidden */
} look;

DEVICE void colour(const ds_draw *d, int c, float *v)
{
    if (c == 3 && d->hue != 0)
        ds_turn_hue(v, v + 1, v + 2, ds_sixths(d->hue), d->saturation, d->exposure);
    else if (c == 3 && d->saturation != 1)
        ds_saturate(v, v + 1, v + 2, d->saturation, d->exposure);
    else if (d->exposure != 1)
        for (int k = 0; k < c; k++)
            v[k] = ds_unit(v[k] * d->exposure);
}

/* Pixel i before a square is hidden. */
DEVICE void see(const picture_args *a, const look *l, int i, float *v)
{
    const ds_picture *p = l->p;
    const ds_draw *d = &p->draw;
    const int turned = !d->center && d->radians != 0;
    const double u = ds_column_at(d, i % a->w, a->w), t = ds_row_at(d, i / a->w, a->h);
    const ds_tap column = turned ? ds_turned_column(u, t, l->cosine, l->sine, p->w)
                                 : ds_column_tap(d, p->w, p->h, a->w, i % a->w);
    const ds_tap row = turned ? ds_turned_row(u, t, l->cosine, l->sine, p->h)
                              : ds_row_tap(d, p->w, p->h, a->h, i / a->w);
    ds_sample(p->px, p->w, a->c, column, row, v, 1);
    colour(d, a->c, v);
}

DEVICE void look_at(const picture_args *a, const ds_picture *p, look *l, float *room)
{
    const int n = a->w * a->h;
    float s[3] = {0}, v[3];
    l->p = p;
    l->cosine = cos((double)p->draw.radians);
    l->sine = sin((double)p->draw.radians);
    if (!p->draw.cut)
        return;
    for (int i = TID; i < n; i += NT) {
        see(a, l, i, v);
        for (int k = 0; k < a->c; k++)
            s[k] += v[k];
    }
    for (int k = 0; k < a->c; k++)
        room[k * NT + TID] = s[k];
    SYNC;
    for (int k = 0; k < a->c; k++) {
        double sum = 0;
        for (int i = 0; i < NT; i++)
            sum += room[k * NT + i];
        l->mean[k] = (float)(sum / n);
    }
    SYNC;
}

DEVICE void pixel_of(const picture_args *a, const look *l, int i, float *v)
{
    const ds_draw *d = &l->p->draw;
    const int x = i % a->w - d->cut_x + d->cut / 2, y = i / a->w - d->cut_y + d->cut / 2;
    see(a, l, i, v);
    for (int k = 0; k < a->c && d->cut && x >= 0 && x < d->cut && y >= 0 && y < d->cut; k++)
        v[k] = l->mean[k];
}

/* A block an image. */
KERNEL(prepare, picture_args)
{
    ROOM;
    look own, other;
    look_at(&a, a.pictures + BID, &own, room);
    if (a.mixed)
        look_at(&a, a.mixed + BID, &other, room);
    for (int i = TID; i < a.w * a.h; i += NT) {
        float v[V] = {0}, more[3];
        pixel_of(&a, &own, i, v);
        if (a.mixed)
            pixel_of(&a, &other, i, more);
        for (int k = 0; a.mixed && k < a.c; k++)
            v[k] = a.shares[BID] * v[k] + (1 - a.shares[BID]) * more[k];
        write_at(a.x, ((size_t)BID * a.w * a.h + i) * a.cp, v);
    }
}

/* ---- to and from the host ---- */

KERNEL(from_plain, plain_args)
{
    const int lanes = a.cp / V;
    const long long places = (long long)a.n * a.hw, total = places * lanes;
    for (long long i = BID * NT + TID; i < total; i += NB * NT) {
        const size_t place = (size_t)(i % places), c0 = (size_t)(i / places) * V;
        const float *p = a.plain + place / a.hw * a.c * a.hw + place % a.hw;
        float v[V];
        UNROLL
        for (int k = 0; k < V; k++)
            v[k] = (int)c0 + k < a.c ? p[(c0 + k) * a.hw] : 0;
        write_at(a.x, place * a.cp + c0, v);
    }
}

KERNEL(to_plain, plain_args)
{
    const long long total = (long long)a.n * a.c * a.hw;
    for (long long i = BID * NT + TID; i < total; i += NB * NT) {
        const size_t image = (size_t)(i / a.hw / a.c), c = (size_t)(i / a.hw % a.c), p = (size_t)(i % a.hw);
        a.plain[i] = get(((const T *)a.x)[(image * a.hw + p) * a.cp + c]);
    }
}

/* Mean plus standard deviation of each channel of an image. */
KERNEL(level, level_args)
{
    const int total = a.n * a.c;
    for (int i = BID * NT + TID; i < total; i += NB * NT) {
        const T *x = (const T *)a.x + (size_t)(i / a.c) * a.hw * a.cp + i % a.c;
        double mean = 0, m2 = 0;
        for (int p = 0; p < a.hw; p++)
            mean += get(x[(size_t)p * a.cp]);
        mean /= a.hw;
        for (int p = 0; p < a.hw; p++) {
            const double d = get(x[(size_t)p * a.cp]) - mean;
            m2 += d * d;
        }
        a.feature[i] = (float)(mean + sqrt(m2 / a.hw));
    }
}

/* ---- parameters ---- */

DEVICE void move_filters(const filter_args *a, int in)
{
    const long long total = (long long)a->k * a->c * a->rs;
    for (long long i = BID * NT + TID; i < total; i += NB * NT) {
        const size_t k = (size_t)(i / a->c / a->rs), t = (size_t)(i / a->c % a->rs), c = (size_t)(i % a->c);
        float *row = a->row + (k * a->rs + t) * a->cp + c, *host = a->host + (k * a->c + c) * a->rs + t;
        *(in ? row : host) = in ? *host : *row;
    }
}
KERNEL(filters_in, filter_args)
{
    move_filters(&a, 1);
}
KERNEL(filters_out, filter_args)
{
    move_filters(&a, 0);
}

KERNEL(fold_filters, fold_args)
{
    const norm_args *n = &a.norm;
    for (int i = BID * NT + TID; i < n->c * a.per; i += NB * NT) {
        const int c = i / a.per;
        float f, b;
        fold(n, c, n->statistics[2 * n->c + c], n->statistics[3 * n->c + c], &f, &b);
        a.w[i] *= f;
        if (i % a.per == 0)
            a.bias[c] = b;
    }
}

DEVICE float gathered(const learn_args *a, int i)
{
    if (!a->gf)
        return a->u[i];
    return a->u[i] + (i < a->n_products ? get(((const T *)a->g)[i]) : a->gf[i - a->n_products]);
}

DEVICE float limited(float w, float limit)
{
    w = limit < w ? limit : w;
    return -limit > w ? -limit : w;
}

/* The rules of src/train/optimizer.h; products decay and are clipped. */
KERNEL(learn, learn_args)
{
    UNROLL4
    for (int i = a.from + BID * NT + TID; i < a.to; i += NB * NT) {
        const int product = i < a.n_products;
        const float w = a.w[i], u = gathered(&a, i), limit = product ? a.clip : INFINITY;
        float next;
        if (a.adam) {
            const float g = -u / a.batch + (product ? a.decay * w : 0);
            const float m = a.B1 * a.m[i] + a.rest1 * g, v = a.B2 * a.v[i] + a.rest2 * g * g;
            a.m[i] = m;
            a.v[i] = v;
            next = w - a.rate * m / (sqrtf(v * a.unbias) + a.eps);
            a.u[i] = 0;
        } else {
            const float sum = product ? u - a.decay * a.batch * w : u;
            next = w + a.rate / a.batch * sum;
            a.u[i] = a.momentum * sum;
        }
        next = limited(next, limit);
        a.w[i] = next;
        if (product)
            ((T *)a.copy)[i] = put(next);
    }
}

/* u += the gradients of a sub-batch. */
KERNEL(gather, learn_args)
{
    for (int i = a.from + BID * NT + TID; i < a.to; i += NB * NT)
        a.u[i] = gathered(&a, i);
}

KERNEL(narrow, learn_args)
{
    for (int i = BID * NT + TID; i < a.n_products; i += NB * NT)
        ((T *)a.copy)[i] = put(a.w[i]);
}
