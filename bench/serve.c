#include "bench/serve.h"
#include "base/clock.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "train/model.h"
#include "cli/flags.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* ---- the network ------------------------------------------------------------------------------------------- */

#define AT(field) offsetof(ds_bench, field)
#define NUMBER(name, max, help)                                     \
    {                                                               \
#name, DS_INT, AT(name), "0", 0, max, "N", NULL, NULL, help \
    }

/* The first two are for programs with a backend only. */
static const ds_option flags[] = {
    {"tune", DS_FLAG, AT(tune), NULL, 0, 0, NULL, NULL, NULL, "choose a GPU's convolutions by measuring"},
    {"backend", DS_TEXT, AT(backend), DS_DEFAULT_BACKEND, 0, 0, "NAME", NULL, NULL,
     "who computes the layers"},
    {"precision", DS_ENUM, AT(precision), "cfg", 0, 0, "NAME", ds_precision_flags, NULL, "of the numbers"},
    NUMBER(batch, 65536, "images a step; 0: batch / subdivisions of the cfg"),
    NUMBER(size, 4096, "height and width; 0: as the cfg says"),
    NUMBER(threads, 1024, "threads; 0: one a core"),
    {.type = DS_END},
};

static bool is_side(const char *line)
{
    line += strspn(line, " \t");
    return strncmp(line, "height", 6) == 0 || strncmp(line, "width", 5) == 0;
}

/* The text with another height and width in [net], its first section. Fresh memory. */
static char *resized(const char *text, int size)
{
    char *copy = NULL;
    size_t n;
    FILE *f = open_memstream(&copy, &n);
    int sections = 0;
    for (size_t length; f && *text; text += length) {
        length = strcspn(text, "\n");
        length += text[length] == '\n';
        sections += *text == '[';
        if (sections > 1 || !is_side(text))
            fwrite(text, 1, length, f);
        else
            fprintf(f, "%s=%d\n", strncmp(text + strspn(text, " \t"), "height", 6) == 0 ? "height" : "width",
                    size);
    }
    if (f)
        fclose(f);
    return copy;
}

static int read_cfg(ds_bench *b, const char *path, ds_error *e)
{
    char *text, *sized;
    int rc = ds_file_read_text(path, "a network .cfg", &text, e);
    if (rc)
        return rc;
    sized = b->size ? resized(text, b->size) : ds_strdup(text);
    rc = ds_cfg_parse(sized, path, &b->cfg, &b->notes, e);
    free(sized);
    free(text);
    return rc;
}

int ds_bench_open(ds_bench *b, int argc, char **argv, bool backend, ds_error *e)
{
    ds_words w = {.table = flags + 2 * !backend, .state = b};
    *b = (ds_bench){0};
    int rc = ds_words_read(&w, argc - 1, argv + 1, 1, e);
    DS_FREED const char **operands = w.operands;
    if (!rc && w.n == 0)
        rc = ds_fail(e, DS_EUSAGE, "CFG is missing, expected %s CFG [-batch N] [-size N] [-threads N]%s",
                     argv[0], backend ? " [-backend NAME] [-tune]" : "");
    if (!rc)
        rc = read_cfg(b, operands[0], e);
    if (rc)
        return rc;
    if (!b->batch)
        b->batch = b->cfg->net.batch / b->cfg->net.subdivisions;
    if (b->threads)
        omp_set_num_threads(b->threads);
    return DS_OK;
}

void ds_bench_close(ds_bench *b)
{
    free(b->backend);
    ds_cfg_free(b->cfg);
    ds_notes_clear(&b->notes);
}

/* ---- commands ---------------------------------------------------------------------------------------------- */

/* Most memory that was resident, in MiB. */
static double peak_mib(void)
{
    char line[256];
    long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %ld", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return (double)kib / 1024;
}

static int ascending(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void tell(const ds_bench *b, const ds_bench_mode *m, double *times, int n, const void *arg)
{
    double total = 0;
    for (int i = 0; i < n; i++)
        total += times[i];
    qsort(times, (size_t)n, sizeof *times, ascending);
    double median = (times[(n - 1) / 2] + times[n / 2]) / 2;
    printf(" mode=%s batch=%d threads=%d images_per_second=%.1f step_ms=%.3f best_ms=%.3f steps=%d "
           "peak_mib=%.0f",
           m->name, b->batch, omp_get_max_threads(), b->batch / median, 1e3 * median, 1e3 * times[0], n,
           peak_mib());
    if (m->tell)
        m->tell(arg, total);
    putchar('\n');
}

static int take_steps(const ds_bench_mode *m, void *arg, double *times, int n, ds_error *e)
{
    int rc = m->begin ? m->begin(arg, e) : DS_OK;
    for (int i = 0; i < n && !rc; i++) {
        double start = ds_now();
        rc = m->step(arg, e);
        times[i] = ds_now() - start;
    }
    return rc;
}

static int obey(const ds_bench *b, const char *what, const ds_bench_mode *m, bool *ready, int n, void *arg,
                ds_error *e)
{
    double *times = ds_xcalloc((size_t)n, sizeof *times);
    int rc = DS_OK;
    if (!rc && !*ready) {
        rc = m->prepare(arg, e);
        *ready = true;
        if (!rc)
            rc = take_steps(m, arg, times, 1, e);
    }
    if (!rc)
        rc = take_steps(m, arg, times, n, e);
    if (!rc) {
        fputs(what, stdout);
        tell(b, m, times, n, arg);
    }
    free(times);
    return rc;
}

/* "train 10": the mode of that name, and the number; NULL: something else. */
static const ds_bench_mode *understand(char *line, const ds_bench_mode *modes, int n, int *steps)
{
    long long number;
    char *word = ds_trim(line), *blank = strchr(word, ' ');
    if (!blank || !ds_parse_int(blank + 1, &number) || number < 1 || number > 1000000)
        return NULL;
    *blank = '\0';
    *steps = (int)number;
    for (int i = 0; i < n; i++)
        if (strcmp(word, modes[i].name) == 0)
            return &modes[i];
    return NULL;
}

static void complain(const ds_bench_mode *modes, int n)
{
    fputs("error: expected a number of steps after one of", stdout);
    for (int i = 0; i < n; i++)
        printf(" %s", modes[i].name);
    putchar('\n');
}

int ds_bench_serve(const ds_bench *b, const char *what, const ds_bench_mode *modes, int n, void *arg,
                   ds_error *e)
{
    enum { MODES = 8 };
    bool ready[MODES] = {false};
    char *line = NULL;
    size_t room = 0;
    int rc = DS_OK, steps = 0;
    while (!rc && getline(&line, &room, stdin) >= 0) {
        const ds_bench_mode *m = understand(line, modes, n, &steps);
        if (!m)
            complain(modes, n);
        else
            rc = obey(b, what, m, &ready[m - modes], steps, arg, e);
        fflush(stdout);
    }
    free(line);
    return rc;
}
