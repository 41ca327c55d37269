/* Vector code without intrinsics, for the hot loops of crop.c and colour.c. */
#ifndef DS_DATA_WIDE_H
#define DS_DATA_WIDE_H

#include "base/isa.h"

/* The hot loops are compiled twice and chosen at run time. Without fused multiply-add both give the same
 * bits. */
#if defined(__x86_64__)
#define DS_WIDE __attribute__((target("avx2")))
#define DS_HAVE_WIDE (ds_isa_best() >= DS_AVX2)
#else
#define DS_WIDE
#define DS_HAVE_WIDE 0
#endif
#define DS_INLINE static inline __attribute__((always_inline))

enum { DS_BLOCK = 8 }; /* loops of a constant length become vector code at -O2 */

#endif
