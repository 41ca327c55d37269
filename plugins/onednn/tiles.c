/* A product of tiles adds, to 16 x 16 floats, 16 rows of 32 numbers times 32 x 16: here input channels x
 * places times places x filters. So that places lie side by side, a few images at a time become one long
 * signal of places, row after row, `pad` zeros between rows and rows of zeros between images: one row of the
 * signal for each input channel, and, of the gradient of the output at the first place of its window, tiles
 * of pairs of places by 16 filters. Place (r, s) of all windows is then the input's signal, shifted. */
#include "plugins/onednn/tiles.h"

#include <stdint.h>

#ifdef __x86_64__
#include <immintrin.h>

enum { SIDE = 16, STEP = 32, TILE = 512, CHUNK = 1 << 20 };

bool ds_tiles_can(const ds_tiles *t)
{
    return t->c % SIDE == 0 && t->n % SIDE == 0 && t->pad < t->size;
}

/* The signal of `images` images. */
typedef struct signal {
    size_t row, image,
        first;            /* places of a row, of an image; the first place of an image: before it are zeros */
    size_t images, steps; /* of the gradient of the output, of STEP places */
    size_t length;        /* of the input, places: a multiple of STEP */
} signal;

static signal signal_of(const ds_tiles *t)
{
    size_t pad = (size_t)t->pad, rest = (size_t)(t->size - 1);
    signal s = {.row = (size_t)t->w + pad};
    s.image = ((size_t)t->h + pad) * s.row;
    s.first = pad * s.row + pad;
    s.images = CHUNK / (s.image * (size_t)(t->c + t->n) * sizeof(uint16_t));
    s.images = s.images < 1 ? 1 : s.images > (size_t)t->batch ? (size_t)t->batch : s.images;
    s.steps = (s.images * s.image + STEP - 1) / STEP;
    /* an odd number of cache lines to a row: rows of a tile do not meet in the cache */
    s.length = ((s.steps * STEP + rest * s.row + rest + STEP - 1) / STEP | 1) * STEP;
    return s;
}

size_t ds_tiles_scratch_bytes(const ds_tiles *t)
{
    signal s = signal_of(t);
    return (s.length * (size_t)t->c + s.steps * STEP * (size_t)t->n) * sizeof(uint16_t);
}

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,amx-tile,amx-bf16")
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,amx-tile,amx-bf16"))), \
                             apply_to = function)

/* STEP places, of all channels; NULL: zeros. */
typedef const uint16_t *places[STEP];

typedef struct images {
    const uint16_t *first;
    size_t n, h, w, channels;
} images;

/* Those from `start` on of a signal with an image of zeros before the first. */
static void find_places(const signal *s, const images *v, size_t start, places out)
{
    size_t image = start / s->image, y = start % s->image / s->row, x = start % s->row;
    for (size_t i = 0; i < STEP; i++) {
        bool inside = image > 0 && image <= v->n && y < v->h && x < v->w;
        out[i] = inside ? v->first + (((image - 1) * v->h + y) * v->w + x) * v->channels : NULL;
        if (++x < s->row)
            continue;
        x = 0;
        if (++y < s->image / s->row)
            continue;
        y = 0;
        image++;
    }
}

static inline __m256i load(const uint16_t *place, size_t channel)
{
    return place ? _mm256_loadu_si256((const __m256i *)(place + channel)) : _mm256_setzero_si256();
}

/* Two places by 16 channels, from `channel` on: the numbers of a channel lie together. */
static inline void pairs(const places p, size_t channel, __m512i out[SIDE])
{
    const __m512i mixed = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23,
                                           7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    for (int i = 0; i < SIDE; i++) {
        __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(load(p[2 * i], channel)),
                                          load(p[2 * i + 1], channel), 1);
        out[i] = _mm512_permutexvar_epi16(mixed, both);
    }
}

/* 16 x 16 pairs. */
static inline void transpose(__m512i v[SIDE])
{
    __m512i t[SIDE];
    for (int i = 0; i < SIDE; i += 2) {
        t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    }
    for (int i = 0; i < SIDE; i += 4)
        for (int k = 0; k < 2; k++) {
            v[i + 2 * k] = _mm512_unpacklo_epi64(t[i + k], t[i + k + 2]);
            v[i + 2 * k + 1] = _mm512_unpackhi_epi64(t[i + k], t[i + k + 2]);
        }
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < SIDE; k += 8) {
            t[k + i] = _mm512_shuffle_i32x4(v[k + i], v[k + i + 4], 0x88);
            t[k + i + 4] = _mm512_shuffle_i32x4(v[k + i], v[k + i + 4], 0xdd);
        }
    for (int i = 0; i < 8; i++) {
        v[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        v[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    }
}

static void write_input(const ds_tiles *t, const signal *s, const places p, size_t at, uint16_t *signals)
{
    for (size_t c = 0; c < (size_t)t->c; c += SIDE) {
        __m512i v[SIDE];
        pairs(p, c, v);
        transpose(v);
        for (size_t i = 0; i < SIDE; i++)
            _mm512_storeu_si512(signals + (c + i) * s->length + at, v[i]);
    }
}

static void write_gradient(const ds_tiles *t, const signal *s, const places p, size_t step, uint16_t *tiles)
{
    for (size_t n = 0; n < (size_t)t->n; n += SIDE) {
        __m512i v[SIDE];
        pairs(p, n, v);
        for (size_t i = 0; i < SIDE; i++)
            _mm512_storeu_si512(tiles + (n * s->steps / SIDE + step) * TILE + STEP * i, v[i]);
    }
}

/* Up to 2 x 2 blocks of 16 channels x 16 filters of one place of the window: to (rows of n floats) = (add ?
 * to : 0) + their products over the steps. */
static void multiply(const signal *s, const uint16_t *signals, const uint16_t *tiles, bool tall, bool wide,
                     bool add, size_t n, float *to)
{
    const size_t row = s->length * sizeof *signals, to_row = n * sizeof *to;
    const uint16_t *lower = signals + SIDE * s->length, *right = tiles + s->steps * TILE;
    float *below = to + SIDE * n;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    if (add) {
        _tile_loadd(0, to, to_row);
        if (wide)
            _tile_loadd(1, to + SIDE, to_row);
        if (tall)
            _tile_loadd(2, below, to_row);
        if (tall && wide)
            _tile_loadd(3, below + SIDE, to_row);
    }
    for (size_t i = 0; i < s->steps; i++) {
        _tile_loadd(4, signals + i * STEP, row);
        _tile_loadd(6, tiles + i * TILE, 2 * STEP);
        _tile_dpbf16ps(0, 4, 6);
        if (wide) {
            _tile_loadd(7, right + i * TILE, 2 * STEP);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (tall) {
            _tile_loadd(5, lower + i * STEP, row);
            _tile_dpbf16ps(2, 5, 6);
        }
        if (tall && wide)
            _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, to, to_row);
    if (wide)
        _tile_stored(1, to + SIDE, to_row);
    if (tall)
        _tile_stored(2, below, to_row);
    if (tall && wide)
        _tile_stored(3, below + SIDE, to_row);
}

/* Eight tiles of 16 rows of 64 bytes. A constant: GCC 12 believes that ldtilecfg reads eight bytes of it, and
 * would drop stores to the others. */
static const struct {
    uint8_t palette, start, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} eight_tiles = {
    .palette = 1, .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16, 16, 16}};

/* Functions: what OpenMP makes of a parallel block is none that clang gives these instructions. */
static void begin_tiles(void)
{
    _tile_loadconfig(&eight_tiles);
}

static void end_tiles(void)
{
    _tile_release();
}

static void write_signals(const ds_tiles *t, const signal *s, const images *x, const images *dy,
                          uint16_t *signals, uint16_t *tiles)
{
    size_t blocks = s->length / STEP;
#pragma omp for schedule(static)
    for (size_t i = 0; i < blocks + s->steps; i++) {
        places p;
        if (i < blocks) {
            find_places(s, x, s->image - s->first + i * STEP, p);
            write_input(t, s, p, i * STEP, signals);
        } else {
            find_places(s, dy, s->image + (i - blocks) * STEP, p);
            write_gradient(t, s, p, i - blocks, tiles);
        }
    }
}

static void multiply_signals(const ds_tiles *t, const signal *s, const uint16_t *signals,
                             const uint16_t *tiles, bool add, float *gradient)
{
    size_t c = (size_t)t->c, n = (size_t)t->n, wide = (n + STEP - 1) / STEP, tall = (c + STEP - 1) / STEP;
    size_t size = (size_t)t->size, taps = size * size;
#pragma omp for schedule(static)
    for (size_t i = 0; i < tall * taps * wide; i++) {
        size_t channel = i / (taps * wide) * STEP, tap = i / wide % taps, filter = i % wide * STEP;
        multiply(s, signals + channel * s->length + tap / size * s->row + tap % size,
                 tiles + filter / SIDE * s->steps * TILE, channel + SIDE < c, filter + SIDE < n, add, n,
                 gradient + (tap * c + channel) * n + filter);
    }
}

void ds_tiles_grad_weights(const ds_tiles *t, const void *input, const void *output_gradient, void *scratch,
                           float *gradient)
{
    const signal s = signal_of(t);
    size_t batch = (size_t)t->batch, each = (size_t)t->h * (size_t)t->w * (size_t)t->c;
    size_t out = (size_t)t->out_h * (size_t)t->out_w * (size_t)t->n;
    uint16_t *signals = scratch, *tiles = signals + s.length * (size_t)t->c;
#pragma omp parallel
    {
        begin_tiles();
        for (size_t i = 0; i < batch; i += s.images) {
            size_t now = batch - i < s.images ? batch - i : s.images;
            const images x = {(const uint16_t *)input + i * each, now, (size_t)t->h, (size_t)t->w,
                              (size_t)t->c};
            const images dy = {(const uint16_t *)output_gradient + i * out, now, (size_t)t->out_h,
                               (size_t)t->out_w, (size_t)t->n};
            write_signals(t, &s, &x, &dy, signals, tiles);
            multiply_signals(t, &s, signals, tiles, i > 0, gradient);
        }
        end_tiles();
    }
}
#pragma GCC pop_options
#pragma clang attribute pop
#else
bool ds_tiles_can(const ds_tiles *t)
{
    (void)t;
    return false;
}

size_t ds_tiles_scratch_bytes(const ds_tiles *t)
{
    (void)t;
    return 0;
}

void ds_tiles_grad_weights(const ds_tiles *t, const void *input, const void *output_gradient, void *scratch,
                           float *gradient)
{
    (void)t, (void)input, (void)output_gradient, (void)scratch, (void)gradient;
}
#endif
