/* Hue, saturation and exposure. */
#include "data/image.h"

/* No NaN comes here and nobody looks at exceptions: with these the selections become vector code. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3", "no-trapping-math", "finite-math-only", "no-signed-zeros")
#endif

static float unit(float v)
{
    v = v > 0 ? v : 0;
    return v < 1 ? v : 1;
}

static void expose(float *v, size_t n, float exposure)
{
    for (size_t i = 0; i < n; i++)
        v[i] = unit(v[i] * exposure);
}

/* Saturation and exposure in HSV with the hue kept: each channel moves away from or to the largest one. */
static void saturate(float *restrict r, float *restrict g, float *restrict b, size_t n, float saturation,
                     float exposure)
{
    for (size_t i = 0; i < n; i++) {
        float big = r[i] > g[i] ? r[i] : g[i];
        big = big > b[i] ? big : b[i];
        r[i] = unit(exposure * (big + saturation * (r[i] - big)));
        g[i] = unit(exposure * (big + saturation * (g[i] - big)));
        b[i] = unit(exposure * (big + saturation * (b[i] - big)));
    }
}

/* HSV and back: the hue h in sixths of a turn, then each channel as a trapezium over it. */
static void turn_hue(float *restrict r, float *restrict g, float *restrict b, size_t n, float hue,
                     float saturation, float exposure)
{
    for (size_t i = 0; i < n; i++) {
        float big = r[i] > g[i] ? r[i] : g[i], small = r[i] < g[i] ? r[i] : g[i];
        big = big > b[i] ? big : b[i];
        small = small < b[i] ? small : b[i];
        float chroma = big - small;
        float h_green = 2 * chroma + b[i] - r[i], h_blue = 4 * chroma + r[i] - g[i];
        float h = g[i] == big ? h_green : h_blue;
        h = r[i] == big ? g[i] - b[i] : h;
        h = h / (chroma > 1e-30f ? chroma : 1e-30f) + hue;
        h = h < 0 ? h + 6 : h;
        h = h > 6 ? h - 6 : h;
        chroma *= saturation * exposure;
        small = big * exposure - chroma;
        r[i] = unit(small + chroma * unit(fabsf(h - 3) - 1));
        g[i] = unit(small + chroma * unit(2 - fabsf(h - 2)));
        b[i] = unit(small + chroma * unit(2 - fabsf(h - 4)));
    }
}

/* The same turn, within half a turn either way, in sixths. */
static float sixths(float hue)
{
    return 6 * (hue - roundf(hue));
}

void ds_distort(float *out, int c, size_t n, const ds_draw *d)
{
    float *r = out, *g = out + n, *b = out + 2 * n;
    if (c == 3 && d->hue != 0)
        turn_hue(r, g, b, n, sixths(d->hue), d->saturation, d->exposure);
    else if (c == 3 && d->saturation != 1)
        saturate(r, g, b, n, d->saturation, d->exposure);
    else if (d->exposure != 1)
        expose(out, (size_t)c * n, d->exposure);
}
