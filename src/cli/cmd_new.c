/* classifier new: from pictures in folders, or an archive of them, to a .data file, a .cfg that fits them,
 * and the commands that come next. */
#include "base/file.h"
#include "cfg/cfg.h"
#include "cli/cmd_import.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/print.h"
#include "data/data.h"
#include "data/image.h"

#include <errno.h>
#include <limits.h>
#include <strings.h>
#include <unistd.h>

typedef struct new_state {
    ds_import import;
    ds_texts split;
    char *network;
    int size;
    bool no_flip;
} new_state;

#define DS_STATE new_state
const ds_option ds_new_options[] = {
    OPT_TEXT("out", import.out, "folder for what is written; FOLDER's name with _net when absent",
             .unit = "DIR"),
    OPT_INT("size", size,
            "side of the network's input; without it the median short side of the images, at most 224",
            OPT_RANGE(8, 4096), .unit = "PIXELS"),
    OPT_TEXT("network", network, "small, resnet18, vgg16, or a .cfg, which is fitted to the images",
             .def = "small", .unit = "NAME|FILE.cfg"),
    OPT_TEXTS("split", split,
              DS_SPLIT_HELP "; without it valid=10% calib=20% test=20% of what has no folder of its own",
              .unit = "NAME=COUNT|NAME=N%…"),
    OPT_INT("seed", import.seed, "decides which images a split takes", .def = "1", .max = INT_MAX),
    OPT_FLAG("no-flip", no_flip, "never mirror: for digits, letters, left and right hands"),
    OPT_END,
};

/* What is made, step by step. */
typedef struct work {
    new_state *state;
    ds_network network;
    char *text;   /* of a file, owned */
    int own_size; /* of a file; 0: it is one of ours */
    ds_datafile data;
    ds_notes notes;
    ds_recipe recipe;
    char *cfg;    /* path */
    bool weighed; /* it has class_weights */
} work;

/* ---- the network ---- */

static int read_network(work *w, ds_error *e)
{
    const char *name = w->state->network;
    const ds_network *ours = ds_network_find(name);
    ds_cfg *cfg = NULL;
    if (ours)
        return w->network = *ours, DS_OK;
    if (!ds_path_exists(name))
        return ds_fail(e, DS_EUSAGE, "-network %s, expected " DS_NETWORKS " or a .cfg file", name);
    DS_TRY(ds_file_read_text(name, "a network .cfg", &w->text, e));
    DS_TRY(ds_cfg_parse(w->text, name, &cfg, NULL, e));
    w->network = (ds_network){"your", w->text, 1, false};
    w->own_size = cfg->net.width;
    ds_cfg_free(cfg);
    return DS_OK;
}

/* The cfg for these images. What is wrong with one of ours is the size that was asked for. */
static int apply(const work *w, char **made, ds_error *e)
{
    ds_error inner = {0};
    if (w->own_size)
        return ds_recipe_apply(w->text, w->state->network, &w->recipe, made, e);
    return ds_recipe_apply(w->network.text, "", &w->recipe, made, &inner)
               ? ds_fail(e, DS_EUSAGE, "-size %d is not for the network %s: %s", w->recipe.size,
                         w->network.name, inner.text)
               : DS_OK;
}

/* -size as it was asked for, or what fits the images. */
static int choose_size(work *w, int side, ds_error *e)
{
    enum { LARGEST = 224 };
    const int asked = w->state->size, multiple = w->network.multiple;
    const int wanted = asked ? asked : w->own_size ? w->own_size : side < LARGEST ? side : LARGEST;
    const int least = multiple < 8 ? 8 : multiple, fitting = (wanted + multiple / 2) / multiple * multiple;
    w->recipe.size = fitting < least ? least : fitting;
    return !asked || asked == w->recipe.size
               ? DS_OK
               : ds_fail(e, DS_EUSAGE, "-size %d, expected a multiple of %d for %s, as %d", asked, multiple,
                         w->network.name, w->recipe.size);
}

/* ---- the images ---- */

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Of up to some hundred images all over the list: the median short side, and whether one has colours. */
static int probe(work *w, const ds_import_set *seen, int *side, ds_error *e)
{
    enum { MOST = 256, SHOWN = 3 };
    char *paths[MOST];
    int sides[MOST], n = seen->n < MOST ? seen->n : MOST, read = 0, colours = 0, told = 0;
    ds_probe *found = DS_ZALLOC(found, MOST);
    for (int i = 0; i < n; i++)
        paths[i] = seen->paths[(long long)i * seen->n / n];
    const ds_images some = {.n = n, .paths = paths};
    const int bad = ds_images_probe(&some, &(ds_probe_setup){.channels = 3, .threads = 2}, found);
    for (int i = 0; i < n; i++) {
        if (found[i].reason && told++ < SHOWN)
            ds_note(&w->notes, "warning: %s: %s", paths[i], found[i].reason);
        if (!found[i].reason)
            sides[read++] = found[i].w < found[i].h ? found[i].w : found[i].h;
        colours += found[i].channels > 2;
    }
    ds_probe_free(found, n);
    if (bad)
        ds_note(&w->notes,
                "warning: %d of %d images looked at cannot be decoded; `train -skip-bad` trains without them",
                bad, n);
    if (bad == n)
        return ds_fail_at(e, DS_EINPUT, w->state->import.source[0], 0, "none of its images can be decoded");
    qsort(sides, (size_t)read, sizeof *sides, by_number);
    w->recipe.channels = colours ? 3 : 1;
    *side = sides[read / 2];
    return DS_OK;
}

static bool are_unequal(const ds_import_set *seen, int classes)
{
    DS_FREED int *counts = DS_ZALLOC(counts, (size_t)classes);
    int least = INT_MAX, most = 0;
    for (int i = 0; i < seen->n; i++)
        counts[seen->labels[i]]++;
    for (int c = 0; c < classes; c++) {
        least = counts[c] < least ? counts[c] : least;
        most = counts[c] > most ? counts[c] : most;
    }
    return most > 3LL * least;
}

/* Before anything is written: can a network be fitted to these images at all? */
static int look(void *arg, const ds_import_set *seen, int classes, ds_error *e)
{
    work *w = arg;
    DS_FREED char *made = NULL;
    int side = seen->w < seen->h ? seen->w : seen->h;
    w->recipe = (ds_recipe){.images = seen->n,
                            .classes = classes,
                            .channels = seen->c,
                            .flip = !w->state->no_flip,
                            .ours = !w->own_size,
                            .pools = w->network.pools,
                            .unequal = are_unequal(seen, classes)};
    if (seen->paths[0])
        DS_TRY(probe(w, seen, &side, e));
    DS_TRY(choose_size(w, side, e));
    return apply(w, &made, e);
}

/* ---- what is written ---- */

/* A cfg that is there may have been edited: *old, fresh memory, is where it is from now on, too. A link goes,
 * what it leads to is somebody's own. */
static int keep_earlier(const char *cfg, char **old, ds_error *e)
{
    char target[2];
    if (readlink(cfg, target, sizeof target) >= 0 && unlink(cfg))
        return ds_fail_at(e, DS_EIO, cfg, 0, "cannot remove the link: %s", strerror(errno));
    if (!ds_path_exists(cfg))
        return DS_OK;
    *old = ds_path_spare(cfg);
    return ds_path_exists(*old) || link(cfg, *old) == 0 || rename(cfg, *old) == 0
               ? DS_OK
               : ds_fail_at(e, DS_EIO, cfg, 0, "cannot be kept as %s: %s", *old, strerror(errno));
}

static int write_cfg(work *w, const char *data_path, ds_error *e)
{
    const ds_recipe *r = &w->recipe;
    DS_FREED char *made = NULL, *old = NULL;
    ds_writer file;
    w->cfg = ds_format("%.*s.cfg", (int)(strlen(data_path) - strlen(".data")), data_path);
    DS_TRY(apply(w, &made, e));
    w->weighed = strstr(made, "class_weights=sqrt");
    DS_TRY(keep_earlier(w->cfg, &old, e));
    DS_TRY(ds_writer_open(&file, w->cfg, e));
    fprintf(file.f, "# written by classifier new: %d images in %d classes to train on, %d epochs\n\n%s",
            r->images, r->classes, ds_recipe_epochs(r->images), made);
    int rc = ds_writer_commit(&file, e);
    if (rc && old && !ds_path_exists(w->cfg))
        rename(old, w->cfg);
    else if (!rc && old)
        ds_note(&w->notes, "note: the cfg of before is now %s", old);
    return rc;
}

/* The command `word` with its operands; the weights are there after a training. */
static void print_command(const work *w, const char *word, const char *cfg, bool weights)
{
    const char *base = ds_path_base(w->cfg);
    DS_FREED char *file =
        ds_format("%.*s%s.weights", (int)strcspn(base, "."), base, w->data.valid ? "_best" : "");
    DS_FREED char *path = ds_path_join(w->data.backup, file);
    const char *const words[] = {program_invocation_name, "classifier", word, w->data.path, cfg, path};
    fputs(" ", stdout);
    for (int i = 0; i < (weights ? 6 : 5); i++) {
        putchar(' ');
        ds_put_word(stdout, words[i]);
    }
}

static int print_next(const work *w, ds_error *e)
{
    const char *list = w->data.test ? w->data.test : w->data.valid ? w->data.valid : w->data.train;
    DS_FREED char *dir = ds_path_dir(w->cfg), *calibrated = ds_path_join(dir, "calibrated.cfg");
    DS_FINALLY(ds_images_clear) ds_images images = {0};
    DS_TRY(ds_images_read(&w->data, list, false, &images, e));
    puts("next:");
    print_command(w, "check", w->cfg, false);
    puts("");
    print_command(w, "train", w->cfg, false);
    puts("");
    if (w->data.test || w->data.valid) {
        print_command(w, "reject", w->cfg, true);
        puts(" -coverage 0.8");
    }
    if (w->data.calib) {
        print_command(w, "calibrate", w->cfg, true);
        fputs(" -coverage 0.8 -out ", stdout);
        ds_put_word(stdout, calibrated);
        puts("");
    }
    print_command(w, "predict", w->data.calib ? calibrated : w->cfg, true);
    putchar(' ');
    ds_put_word(stdout, images.paths[0]);
    puts("");
    return DS_OK;
}

/* ---- the command ---- */

/* Commands that come next need them. */
static void tell_missing(work *w, const ds_imported *done)
{
    static const char *const parts[] = {
        [DS_PART_VALID] = "valid", [DS_PART_CALIB] = "calib", [DS_PART_TEST] = "test"};
    char text[64] = "";
    for (int p = DS_PART_VALID; p < DS_PARTS; p++)
        if (!done->n[p])
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", *text ? ", " : "", parts[p]);
    if (*text)
        ds_note(&w->notes, "note: no images for %s: -split takes them from the training images", text);
}

static int fit(work *w, const ds_imported *done, ds_error *e)
{
    w->recipe.images = done->n[DS_PART_TRAIN];
    DS_TRY(ds_datafile_read(done->data_path, &w->data, &w->notes, e));
    DS_TRY(write_cfg(w, done->data_path, e));
    tell_missing(w, done);
    ds_print_notes(&w->notes, stderr);
    ds_imported_print(done);
    DS_FREED char *what = ds_format(
        "%s network, %d x %d pixels, %s, %d epochs%s: ", w->network.name, w->recipe.size, w->recipe.size,
        w->recipe.channels == 1 ? "grey" : "colour", ds_recipe_epochs(w->recipe.images),
        w->weighed ? ", class_weights=sqrt for classes of unequal size" : "");
    ds_put_line(stdout, what, w->cfg);
    return print_next(w, e);
}

static int make(work *w, const char *folder, ds_error *e)
{
    static ds_split usual[] = {{"valid", 0, .1, true}, {"calib", 0, .2, true}, {"test", 0, .2, true}};
    ds_import *s = &w->state->import;
    const ds_texts *split = &w->state->split;
    DS_FREED ds_split *splits = DS_ALLOC(splits, (size_t)split->n);
    char *names[DS_GUESSED] = {NULL};
    ds_imported done = {0};
    for (int i = 0; i < split->n; i++)
        DS_TRY(ds_split_read(split->v[i], &splits[i], e));
    s->splits = split->n ? splits : usual;
    s->n_splits = split->n ? split->n : 3;
    s->command = "new";
    s->together = true;
    s->look = look;
    s->arg = w;
    DS_TRY(read_network(w, e));
    ds_import_guess(folder, s, names);
    int rc = ds_import_run(s, &done, e);
    if (!rc)
        rc = fit(w, &done, e);
    free(done.data_path);
    free(done.other);
    free(done.part);
    for (int k = 0; k < DS_GUESSED; k++)
        free(names[k]);
    return rc;
}

/* photos_net in the current folder for "/home/me/photos/" or "photos.tar.gz", pets_2024_net for "pets.2024":
 * what follows a dot would be lost in the names of the runs. */
static char *default_out(const char *folder)
{
    static const char *const packed[] = {".zip", ".tar", ".tar.gz", ".tgz"};
    char whole[PATH_MAX];
    const char *base = ds_path_base(realpath(folder, whole) ? whole : folder);
    size_t n = strlen(base);
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++)
        if (n > strlen(packed[i]) && strcasecmp(base + n - strlen(packed[i]), packed[i]) == 0)
            n -= strlen(packed[i]);
    char *out = ds_format("%s%.*s_net", *base == '-' ? "./" : "", (int)n, base);
    for (char *p = out + 2 * (*base == '-'); (p = strchr(p, '.'));)
        *p = '_';
    return out;
}

int ds_cmd_new(int argc, char **argv, ds_error *e)
{
    new_state state = {0};
    work w = {.state = &state};
    DS_FREED char **spread = DS_ALLOC(spread, 2 * (size_t)argc);
    DS_FINALLY(ds_words_clear)
    ds_words words = {.table = ds_new_options, .state = &state, .needed = "FOLDER|ARCHIVE"};
    DS_TRY(ds_words_read(&words, ds_import_spread(argc, argv, 0, spread), spread, 1, e));
    if (!state.import.out)
        state.import.out = default_out(words.operands[0]);
    int rc = make(&w, words.operands[0], e);
    ds_datafile_clear(&w.data);
    ds_notes_clear(&w.notes);
    free(w.text);
    free(w.cfg);
    return rc;
}
