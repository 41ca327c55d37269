/* `classifier check`: everything that a run will need, and all that is wrong with it, at once. */
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/place.h"
#include "cli/together.h"
#include "data/image.h"
#include "data/sandbox.h"
#include "report/fields.h"
#include "train/check.h"

#include <limits.h>
#include <unistd.h>

typedef struct check_flags {
    int epochs, cache;
    char *json;
    bool untrusted;
    ds_run_flags run;
} check_flags;

#define DS_STATE check_flags
const ds_option ds_check_options[] = {
    OPT_TEXT("json", json, "write all that was found as JSON; -: to standard output", .unit = "F"),
    OPT_INT("epochs", epochs, "of the training instead of max_batches=", .unit = "E", OPT_RANGE(1, 1000000)),
    OPT_FLAG("untrusted", untrusted, DS_UNTRUSTED_HELP),
    DS_RUN_THREADS,
    DS_RUN_BACKEND,
    DS_RUN_LOADERS,
    DS_RUN_CACHE,
    OPT_END,
};

static void on_tick(int done, int all)
{
    if (done % 100 == 0)
        fprintf(stderr, "\r%d of %d images\033[K", done, all);
}

static const char *range(const int *v, char text[32])
{
    snprintf(text, 32, v[0] == v[1] ? "%d" : "%d to %d", v[0], v[1]);
    return text;
}

static void put_lists(const ds_check *c)
{
    printf("%-8s %10s %10s %15s %15s  %s\n", "list", "images", "unreadable", "width", "height", "file");
    for (const ds_checked_list *l = c->lists; l < c->lists + DS_CHECK_LISTS; l++)
        if (l->images.n) {
            char w[32], h[32];
            printf("%-8s %10d %10d %15s %15s", l->key, l->images.n, l->bad, range(l->w, w), range(l->h, h));
            ds_put_line(stdout, "  ", l->images.list);
        }
}

static void put_classes(const ds_check *c)
{
    enum { MOST = 100, WIDTH = 24 };
    const ds_datafile *d = &c->data;
    printf("\n%-*s", WIDTH, "class");
    for (int k = 0; k < DS_CHECK_LISTS; k++)
        printf(" %10s", c->lists[k].key);
    for (int i = 0; i < d->classes && i < MOST; i++) {
        putchar('\n');
        ds_put_name(stdout, d->names[i], WIDTH);
        for (int k = 0; k < DS_CHECK_LISTS; k++)
            printf(" %10d", c->lists[k].counts ? c->lists[k].counts[i] : 0);
    }
    puts("");
    if (d->classes > MOST)
        printf("and %d more, in -json\n", d->classes - MOST);
}

static void put_text(const ds_check *c)
{
    put_lists(c);
    if (c->data.path)
        put_classes(c);
    if (c->parameters) {
        printf("\nparameters       %zu\nMFLOP an image   %.3f\nmemory           about ", c->parameters,
               c->flops / 1e6);
        if (c->training)
            printf("%zu MiB to train, ", c->training >> 20);
        printf("%zu MiB to answer\n", c->answering >> 20);
    }
    printf("\n%d errors, %d warnings\n", c->problems.count[DS_ERROR], c->problems.count[DS_WARNING]);
}

static json_t *problem_row(const void *from, size_t i)
{
    const ds_problem *p = (const ds_problem *)from + i;
    return json_pack("{s:s, s:s, s:o, s:o, s:o}", "severity", ds_severity_names[p->severity], "kind", p->kind,
                     "file", ds_json_text(p->file[0] ? p->file : NULL), "line",
                     p->line ? json_integer(p->line) : json_null(), "text", ds_json_text(p->text));
}

static json_t *list_row(const void *from, size_t i)
{
    const ds_checked_list *l = (const ds_checked_list *)from + i;
    if (!l->images.n)
        return json_null();
    return json_pack("{s:s, s:o, s:i, s:i, s:i, s:[i, i], s:[i, i]}", "name", l->key, "file",
                     ds_json_text(l->images.list), "images", l->images.n, "unreadable", l->bad, "grey",
                     l->grey, "width", l->w[0], l->w[1], "height", l->h[0], l->h[1]);
}

static json_t *class_row(const void *from, size_t i)
{
    const ds_check *c = from;
    json_t *row = json_pack("{s:o}", "name", ds_json_text(c->data.names[i]));
    for (const ds_checked_list *l = c->lists; l < c->lists + DS_CHECK_LISTS; l++)
        row = ds_json_join(row,
                           json_pack("{s:o}", l->key, l->counts ? json_integer(l->counts[i]) : json_null()));
    return row;
}

static json_t *size_value(size_t v)
{
    return v ? json_integer((json_int_t)v) : json_null();
}

static void put_json(FILE *f, const ds_check *c)
{
    const ds_problems *p = &c->problems;
    const size_t classes = c->data.names ? (size_t)c->data.classes : 0;
    json_t *network = json_pack("{s:o, s:o, s:o, s:o}", "parameters", size_value(c->parameters), "flops",
                                size_value((size_t)c->flops), "memory_training", size_value(c->training),
                                "memory_answering", size_value(c->answering));
    ds_json_write(f,
                  json_pack("{s:i, s:i, s:o, s:o, s:o, s:o}", "errors", p->count[DS_ERROR], "warnings",
                            p->count[DS_WARNING], "problems", ds_json_array((size_t)p->n, problem_row, p->v),
                            "lists", ds_json_array(DS_CHECK_LISTS, list_row, c->lists), "classes",
                            ds_json_array(classes, class_row, c), "network", network),
                  JSON_INDENT(2));
}

typedef struct checking {
    ds_outputs outputs;
    FILE *json;
    ds_sandbox *decoder; /* of untrusted images */
    ds_check found;
} checking;

static void checking_clear(checking *k)
{
    ds_outputs_clear(&k->outputs);
    ds_sandbox_free(k->decoder);
    ds_check_clear(&k->found);
}

static int look(checking *k, const check_flags *s, const char *const *operands, ds_error *e)
{
    const bool terminal = isatty(STDERR_FILENO);
    DS_TRY(ds_outputs_add(&k->outputs, "json", s->json, &k->json, e));
    DS_TRY(ds_outputs_keep(&k->outputs, operands, 3, e));
    DS_TRY(ds_outputs_open(&k->outputs, e));
    DS_TRY(s->untrusted ? ds_decoder_new(&k->decoder, e) : DS_OK);
    const ds_check_setup setup = {.run = {.data = operands[0],
                                          .cfg = operands[1],
                                          .weights = operands[2],
                                          .epochs = s->epochs,
                                          .net = ds_net_setup_of(&s->run),
                                          .loaders = s->run.loaders,
                                          .cache_bytes = ds_together_cache(s->cache)},
                                  .decoder = k->decoder,
                                  .tick = terminal ? on_tick : NULL};
    ds_check_run(&setup, &k->found);
    if (terminal)
        fputs("\r\033[K", stderr);
    return DS_OK;
}

/* Problems come last, nearest to where one looks. */
static int tell(checking *k, const check_flags *s, ds_error *e)
{
    ds_check *c = &k->found;
    const int errors = c->problems.count[DS_ERROR];
    DS_TRY(ds_outputs_keep_listed(&k->outputs, &c->data, e));
    for (const ds_checked_list *l = c->lists; l < c->lists + DS_CHECK_LISTS; l++)
        DS_TRY(ds_outputs_keep(&k->outputs, (const char *const *)l->images.paths, (size_t)l->images.n, e));
    ds_problems_sort(&c->problems);
    if (s->json)
        put_json(k->json, c);
    DS_TRY(ds_outputs_commit(&k->outputs, e));
    if (!ds_is_stdout(s->json)) {
        put_text(c);
        DS_TRY(ds_flush_output(e));
    }
    ds_problems_print(&c->problems, stderr);
    return errors ? ds_fail(e, DS_EINPUT, "a run would fail: %d error%s above, expected none", errors,
                            errors == 1 ? "" : "s")
                  : DS_OK;
}

int ds_cmd_check(int argc, char **argv, ds_error *e)
{
    check_flags s = {0};
    DS_FINALLY(ds_words_clear) ds_words w = {.table = ds_check_options, .state = &s, .needed = "DATA CFG"};
    DS_FINALLY(checking_clear) checking k = {0};
    DS_TRY(ds_words_read(&w, argc, argv, 3, e));
    DS_TRY(look(&k, &s, w.operands, e));
    return tell(&k, &s, e);
}
