/* Between the parts of the mock libraries. */
#pragma once

#include <stddef.h>

typedef struct mock_kernel {
    const char *name;
    void (*body)(const void *args);
    size_t args;
    int barriers;
} mock_kernel;

extern const mock_kernel emulated_0[], emulated_1[];
void emulate_0(const mock_kernel *k, int blocks, int threads, size_t room, const void *args);
void emulate_1(const mock_kernel *k, int blocks, int threads, size_t room, const void *args);

/* Of libcuda.so.1's mock, for all three. */
/* Does this call fail? Counts it. */
int mock_fails(const char *name);
/* Do fn(data), n bytes, which are copied, now, or whenever the graph that is being recorded runs. */
void mock_do(void (*fn)(void *data), const void *data, size_t n);

/* For tests: the n-th call from now on fails (0: none does), and its name, or NULL if it has not come yet. */
void mock_fail_at(int n);
const char *mock_failed(void);
/* Bytes that the device says are free. */
extern size_t mock_room;
/* The engine that takes a millisecond more, and the one that computed last. */
extern int mock_slow, mock_plan;
/* How often a plan had a bias. */
extern int mock_fused;
/* Memory, streams, descriptors and so on that are not given back. */
int mock_alive(void);
void mock_live(int change);
