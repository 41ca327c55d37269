/* The part of oneDNN that the backend uses: convolutions in a blocked layout, their weights' layouts, matrix
 * products. The one file behind this header knows the difference between the C APIs of oneDNN 2 (Debian 12)
 * and 3 (Debian 13). */
#pragma once

#include "base/error.h"

typedef struct ds_dnnl ds_dnnl; /* opaque: oneDNN's engine and stream */
typedef struct ds_conv ds_conv; /* opaque: one convolution in one direction */

/* DS_EHOST when oneDNN cannot work here; free *d in any case. */
int ds_dnnl_new(ds_dnnl **d, ds_error *e);
void ds_dnnl_free(ds_dnnl *d);
/* "2.6.3, AVX-512", "2.6.3, AMX": version and instruction set, lowered by ONEDNN_MAX_CPU_ISA
 * (DNNL_MAX_CPU_ISA in 2.6). Static memory. */
const char *ds_dnnl_describe(bool bf16);

/* The instruction set for the hot loops that are built more than once: the best that this machine has and
 * that environment variable allows, in ascending order. SSE2 is all that other processors have. */
typedef enum ds_isa { DS_SSE2, DS_AVX2, DS_AVX512 } ds_isa;
ds_isa ds_dnnl_isa(void);

/* Has the processor AMX tiles for bfloat16, and does the environment allow them? */
bool ds_dnnl_has_amx(void);

typedef enum ds_conv_kind {
    DS_CONV_TRAIN,     /* forward, the weights change between calls */
    DS_CONV_INFER,     /* forward, they do not; with a bias */
    DS_CONV_GRAD_DATA, /* gradient of the input from that of the output */
    DS_CONV_GRAD_WEIGHTS
} ds_conv_kind;

typedef enum ds_conv_algorithm {
    DS_CONV_DIRECT,
    DS_CONV_WINOGRAD, /* of floats */
    /* one matrix product of the whole batch, of the windows that lower.h lays side by side; of bfloat16 */
    DS_CONV_LOWERED,
    DS_CONV_TILES /* tiles.h */
} ds_conv_algorithm;

typedef struct ds_conv_spec {
    ds_conv_kind kind;
    ds_conv_algorithm algorithm;
    int block; /* channels that lie together in the tensors: 8 or 16 */
    /* Input, weights and output are bfloat16, the tensors batch x row x column x channel, channels rounded up
     * to a multiple of `block`. */
    bool bf16, wide_output; /* wide_output: but for TRAIN's and INFER's output, which is of floats */
    int batch, groups;
    int c, h, w;         /* input channels of all groups, height, width */
    int n, out_h, out_w; /* filters of all groups */
    int size, stride, pad;
    bool plain_input; /* the input is NCHW, not blocked */
    /* DS_CONV_INFER */
    bool add;      /* adds to what is in the output (before the activation) */
    bool activate; /* x > 0 ? x : slope x */
    float slope;
} ds_conv_spec;

/* DS_EHOST when oneDNN has no fast code for the shape (a reference loop does not count). */
int ds_conv_new(ds_dnnl *d, const ds_conv_spec *spec, ds_conv **conv, ds_error *e);
void ds_conv_free(ds_conv *c);
/* Bytes of the weights (or their gradient) in the layout of this convolution, and of its scratch memory. */
size_t ds_conv_weights_bytes(const ds_conv *c);
size_t ds_conv_scratch_bytes(const ds_conv *c);
/* Do both keep their weights the same way? */
bool ds_conv_same_weights(const ds_conv *a, const ds_conv *b);

/* The memory that a convolution works on; all aligned to 64 bytes. */
typedef struct ds_conv_args {
    const void *input; /* GRAD_DATA: written, the gradient of the input */
    const void *weights;
    const void *output; /* written by TRAIN and INFER, else its gradient */
    const void *scratch, *bias;
} ds_conv_args;
int ds_conv_run(ds_conv *c, const ds_conv_args *args);

/* The host's layout of weights is group, filter, channel, row, column. */
int ds_conv_weights_in(ds_conv *c, const float *plain, void *weights);
/* plain += the gradient of the weights; GRAD_WEIGHTS alone. */
int ds_conv_add_weights(ds_conv *c, const void *weights, float *plain);

/* Row-major C (m x n) = beta C + A B; ta, tb: A, B are given transposed. On all cores. */
int ds_dnnl_gemm(bool ta, bool tb, size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b,
                 size_t ldb, float beta, float *c, size_t ldc);
