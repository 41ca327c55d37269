/* Every input of tests/fuzz/corpus, seeds and what once crashed, through the readers that it is for: no crash, less
 * than a second, less than 512 MiB. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/text.h"
#include "tests/fuzz/targets.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define CORPUS "tests/fuzz/corpus"
enum { MOST_KIB = 512 << 10, MOST_TARGETS = 32 };

static double seconds(const struct rusage *r)
{
    return (double)(r->ru_utime.tv_sec + r->ru_stime.tv_sec) +
           1e-6 * (double)(r->ru_utime.tv_usec + r->ru_stime.tv_usec);
}

static bool run_file(const ds_fuzz_target *t, const char *path)
{
    struct rusage before, after;
    unsigned char *bytes;
    size_t n;
    printf("# %s\n", path); /* the last one tells what crashed */
    fflush(stdout);
    assert_int_equal(ds_file_read(path, "an input", &bytes, &n, NULL), 0);
    getrusage(RUSAGE_SELF, &before);
    bool whole = ds_fuzz_run(t, bytes, n);
    getrusage(RUSAGE_SELF, &after);
    free(bytes);
    if (seconds(&after) - seconds(&before) > 1 || after.ru_maxrss - before.ru_maxrss > MOST_KIB)
        fail_msg("%s: %.2f s, %ld KiB", path, seconds(&after) - seconds(&before),
                 after.ru_maxrss - before.ru_maxrss);
    return whole;
}

static void test_target(void **state)
{
    const ds_fuzz_target *t = *state;
    char *folder = ds_path_join(CORPUS, t->name);
    struct dirent **entries;
    int n = scandir(folder, &entries, NULL, alphasort), whole = 0, refused = 0;
    for (int i = 0; i < n; i++) {
        char *path = ds_path_join(folder, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.') {
            run_file(t, path) ? whole++ : refused++;
        }
        free(path);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    free(folder);
    assert_true(whole > 0 && refused > 0); /* the reader is reached, and looks */
}

/* With a folder: a checkpoint of today's format is written there, for the corpus. */
int main(int argc, char **argv)
{
    if (argc == 2)
        return ds_fuzz_write_checkpoint(argv[1], &(ds_error){0});
    struct CMUnitTest tests[MOST_TARGETS] = {{0}};
    size_t n = 0;
    for (const ds_fuzz_target *t = ds_fuzz_targets; t->name; t++)
        tests[n++] =
            (struct CMUnitTest){.name = t->name, .test_func = test_target, .initial_state = (void *)t};
    return _cmocka_run_group_tests("corpus", tests, n, NULL, NULL);
}
