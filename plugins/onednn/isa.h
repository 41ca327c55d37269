/* The instruction set for the hot loops that are built more than once. */
#pragma once

/* In ascending order: a machine that has one has those before it. */
typedef enum ds_isa {
    DS_SSE2,   /* what the compiler takes for granted: SSE2 on x86-64, the only one on other processors */
    DS_AVX2,   /* AVX2 and FMA */
    DS_AVX512, /* AVX-512 F, BW, VL and DQ, oneDNN's AVX512_CORE */
} ds_isa;

/* The best set of this machine, lowered by oneDNN's environment variable, so that one setting holds for
 * its kernels and for ours: ONEDNN_MAX_CPU_ISA, or DNNL_MAX_CPU_ISA when the former is not set or empty.
 * The environment is read at the first call, which any thread may make; later calls give the same answer. */
ds_isa ds_isa_best(void);

/* The best set that a value of that variable allows, capitals or not:
 *   SSE41, AVX                      DS_SSE2
 *   AVX2, AVX2_VNNI, AVX2_VNNI_2    DS_AVX2
 *   all others, also NULL           DS_AVX512: AVX512_CORE and above, ALL, DEFAULT, and words that oneDNN
 *                                   does not know and ignores
 * (oneDNN's developer guide, "CPU Dispatcher Control".) */
ds_isa ds_isa_limit(const char *value);
