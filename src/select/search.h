/* Binary search, of this room alone. */
#pragma once

#include <stddef.h>

/* The first i below n for which `condition` holds, as it does for all behind that one; n: for none. */
#define DS_FIRST(i, n, condition)                       \
    ({                                                  \
        size_t low_ = 0, high_ = (n);                   \
        while (low_ < high_) {                          \
            const size_t i = low_ + (high_ - low_) / 2; \
            if (condition)                              \
                high_ = i;                              \
            else                                        \
                low_ = i + 1;                           \
        }                                               \
        low_;                                           \
    })
