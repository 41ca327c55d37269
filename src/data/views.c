#include "data/image.h"

int ds_views_most(bool flip)
{
    return flip ? 10 : 5;
}

void ds_view(const float *px, int w, int h, int c, bool flip, int i, float *out)
{
    enum { PART = 32 };
    static const int x[] = {0, 1, -1, 0, 0}, y[] = {0, 0, 0, 1, -1};
    const bool mirrored = flip && (i == 1 || i > 5);
    const int shift = i <= flip ? 0 : (i - flip - 1) % 4 + 1;
    const int dx = x[shift] * (w < PART ? 1 : (w + PART / 2) / PART);
    const int dy = y[shift] * (h < PART ? 1 : (h + PART / 2) / PART);
    for (int k = 0; k < c * h; k++) {
        const float *row = px + (size_t)(k / h * h + ds_clamp(k % h + dy, 0, h - 1)) * (size_t)w;
        for (int j = 0; j < w; j++)
            *out++ = row[ds_clamp((mirrored ? w - 1 - j : j) + dx, 0, w - 1)];
    }
}
