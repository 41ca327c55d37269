/* Hue, saturation and exposure: loops over the planes of base/pixel.h's formulas. */

/* No NaN comes here and nobody looks at exceptions: with these the selections become vector code. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3", "no-trapping-math", "finite-math-only", "no-signed-zeros")
#endif
#include "data/image.h"

static void saturate(float *restrict r, float *restrict g, float *restrict b, size_t n, float saturation,
                     float exposure)
{
    for (size_t i = 0; i < n; i++)
        ds_saturate(&r[i], &g[i], &b[i], saturation, exposure);
}

static void turn_hue(float *restrict r, float *restrict g, float *restrict b, size_t n, float hue,
                     float saturation, float exposure)
{
    for (size_t i = 0; i < n; i++)
        ds_turn_hue(&r[i], &g[i], &b[i], hue, saturation, exposure);
}

void ds_distort(float *out, int c, size_t n, const ds_draw *d)
{
    float *r = out, *g = out + n, *b = out + 2 * n;
    if (c == 3 && d->hue != 0)
        turn_hue(r, g, b, n, ds_sixths(d->hue), d->saturation, d->exposure);
    else if (c == 3 && d->saturation != 1)
        saturate(r, g, b, n, d->saturation, d->exposure);
    else if (d->exposure != 1)
        for (size_t i = 0; i < (size_t)c * n; i++)
            out[i] = ds_unit(out[i] * d->exposure);
}
