/* The entry points of libFuzzer. The target is that of the environment variable FUZZ. */
#include "tests/fuzz/targets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t most, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t n, size_t most);

static const ds_fuzz_target *target;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    target = ds_fuzz_find(getenv("FUZZ"));
    if (target)
        return 0;
    fputs("expected FUZZ to be one of:", stderr);
    for (const ds_fuzz_target *t = ds_fuzz_targets; t->name; t++)
        fprintf(stderr, " %s", t->name);
    fputs("\n", stderr);
    exit(2);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    ds_fuzz_run(target, bytes, n);
    return 0;
}

/* ---- checksums, which a mutation would otherwise never pass ---- */

/* libFuzzer itself, which fills the bytes, is built without the sanitizer. */
#define UNWATCHED __attribute__((no_sanitize("memory")))

UNWATCHED static uint32_t get(const uint8_t *b)
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

UNWATCHED static void mend_png(uint8_t *bytes, size_t n)
{
    for (size_t at = 8; at + 12 <= n;) {
        size_t length = get(bytes + at);
        if (length > n - at - 12)
            return;
        uint32_t sum = (uint32_t)crc32(0, bytes + at + 4, (uInt)length + 4);
        for (int i = 0; i < 4; i++)
            bytes[at + 8 + length + (size_t)i] = (uint8_t)(sum >> (24 - 8 * i));
        at += length + 12;
    }
}

/* The headers of a .tar: the sum of its bytes, its own place counted as blanks, in octal. */
UNWATCHED static void mend_tar(uint8_t *bytes, size_t n)
{
    enum { HEADER = 512, SUM = 148, DIGITS = 6 };
    for (size_t at = 0; at + HEADER <= n; at += HEADER) {
        unsigned sum = 0;
        if (memcmp(bytes + at + 257, "ustar", 5) != 0)
            continue;
        memset(bytes + at + SUM, ' ', 8);
        for (int i = 0; i < HEADER; i++)
            sum += bytes[at + (size_t)i];
        for (int i = 0; i < DIGITS; i++)
            bytes[at + SUM + (size_t)i] = (uint8_t)('0' + (sum >> 3 * (DIGITS - 1 - i) & 7));
        bytes[at + SUM + DIGITS] = 0;
    }
}

UNWATCHED size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t most, unsigned seed)
{
    n = LLVMFuzzerMutate(bytes, n, most);
    if (seed % 16 == 0)
        return n;
    if (n > 8 && memcmp(bytes, "\x89PNG", 4) == 0)
        mend_png(bytes, n);
    else
        mend_tar(bytes, n);
    return n;
}
