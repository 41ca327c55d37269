/* What reads bytes that anyone may have written, each as a function of those bytes. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ds_fuzz_target {
    const char *name;                                         /* also of its folder in tests/fuzz/corpus */
    bool (*run)(const uint8_t *bytes, size_t n, ds_error *e); /* true: they were taken as a whole */
} ds_fuzz_target;

/* The last one has no name. */
extern const ds_fuzz_target ds_fuzz_targets[];
bool ds_fuzz_run(const ds_fuzz_target *target, const uint8_t *bytes, size_t n);
const ds_fuzz_target *ds_fuzz_find(const char *name);
/* The seed of the target "checkpoint", FOLDER/100.ckpt, as the program writes it today. */
int ds_fuzz_write_checkpoint(const char *folder, ds_error *e);
