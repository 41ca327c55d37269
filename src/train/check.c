#include "train/check.h"
#include "data/image.h"
#include "train/job.h"

enum { TRAIN, VALID, CALIB, TEST };

typedef struct checker {
    ds_check *c;
    ds_job job;
    ds_error e;             /* collects */
    size_t decoded, widest; /* bytes of the images of train= and valid=, of the largest image of all */
    const ds_check_setup *setup;
    int done, all; /* images */
} checker;

static ds_problems *of_kind(checker *k, const char *kind)
{
    k->c->problems.kind = kind;
    return &k->c->problems;
}

static void on_tick(void *arg, int done)
{
    const checker *k = arg;
    if (k->setup->tick)
        k->setup->tick(k->done + done, k->all);
}

static void widen(int range[2], int v)
{
    range[0] = range[1] && range[0] < v ? range[0] : v;
    range[1] = range[1] > v ? range[1] : v;
}

/* How many images are so, and the first of them. */
typedef struct tally {
    int n, first;
} tally;

static void count(tally *t, bool so, int i)
{
    if (so && t->n++ == 0)
        t->first = i;
}

static void warn(checker *k, const ds_images *l, const tally *t, const char *what)
{
    if (t->n)
        ds_problem_add(of_kind(k, "image"), DS_WARNING, l->list, l->lines[t->first],
                       "%d of %d images %s (the first: '%s')", t->n, l->n, what, l->paths[t->first]);
}

/* Sizes and channels, and warnings of those that do not fit the network. */
static void measure(checker *k, ds_checked_list *l, const ds_probe *found)
{
    const ds_net_options *o = k->job.cfg ? &k->job.cfg->net : &(ds_net_options){.channels = 3};
    tally small = {0}, odd = {0};
    for (int i = 0; i < l->images.n; i++) {
        const ds_probe *p = &found[i];
        const size_t bytes = (size_t)p->w * (size_t)p->h * (size_t)o->channels;
        if (p->reason)
            continue;
        count(&small, p->w < o->width || p->h < o->height, i);
        count(&odd, o->channels == (p->channels < 3 ? 3 : 1), i);
        l->grey += p->channels < 3;
        widen(l->w, p->w);
        widen(l->h, p->h);
        k->widest = bytes > k->widest ? bytes : k->widest;
        k->decoded += l - k->c->lists <= VALID ? bytes + sizeof(ds_image) : 0;
    }
    warn(k, &l->images, &small, "are smaller than the network's input, and are enlarged");
    warn(k, &l->images, &odd,
         o->channels == 1 ? "have colours, of which channels=1 makes grey"
                          : "have no colours, channels=3 expects them");
}

/* A list that chooses, calibrates or measures says little of a class with hardly an image in it. */
static void look_at_counts(checker *k, const ds_checked_list *l)
{
    enum { FEW = 5 };
    int few = 0, least = 0;
    for (int c = 0; l->counts && c < k->job.data.classes; c++)
        if (l->counts[c] > 0 && l->counts[c] < FEW) /* without any: told when the list is read */
            least = few++ && l->counts[least] <= l->counts[c] ? least : c;
    if (few && l != k->c->lists + TRAIN)
        ds_problem_add(
            of_kind(k, "image"), DS_WARNING, l->images.list, 0,
            "%d of %d classes have fewer than %d images in %s= (the fewest, %d: '%s'): what it says "
            "of them is chance",
            few, k->job.data.classes, FEW, l->key, l->counts[least], k->job.data.labels[least]);
}

static void look_at_images(checker *k, ds_checked_list *l)
{
    const int n = l->images.n;
    const ds_probe_setup s = {.channels = (k->job.cfg && k->job.cfg->net.channels == 1 ? 1 : 3) |
                                          (k->job.data.exif ? 0 : DS_AS_STORED),
                              .threads = k->job.setup.loaders,
                              .decoder = k->setup->decoder,
                              .tick = on_tick,
                              .arg = k};
    ds_probe *found = DS_ZALLOC(found, (size_t)n);
    l->bad = ds_images_probe(&l->images, &s, found);
    of_kind(k, "image");
    ds_keep(&k->e, ds_probe_tell(&l->images, found, &k->e));
    measure(k, l, found);
    ds_probe_free(found, n);
    k->done += n;
}

/* b equals a, which comes before it. */
static void tell_same(checker *k, const ds_same *a, const ds_same *b)
{
    const ds_images *la = &k->c->lists[a->list].images, *lb = &k->c->lists[b->list].images;
    const int label_a = la->labels[a->image], label_b = lb->labels[b->image];
    const bool differ = label_a >= 0 && label_b >= 0 && label_a != label_b, apart = a->list != b->list;
    const bool refused = apart && (a->list == CALIB || b->list == CALIB);
    char *const *names = k->c->data.labels;
    DS_FREED char *labels = NULL;
    if (differ)
        labels = ds_format(", but the label '%s' instead of '%s'", names[label_b], names[label_a]);
    of_kind(k, differ ? "contradiction" : apart ? "overlap" : "duplicate");
    ds_problem_add(&k->c->problems, refused ? DS_ERROR : DS_WARNING, lb->list, lb->lines[b->image],
                   "image '%s' %s '%s' in %s:%d%s%s", lb->paths[b->image],
                   ds_same_file(a, b) ? "is the file of" : "has the bytes of", la->paths[a->image], la->list,
                   la->lines[a->image], differ ? labels : "",
                   refused ? ", expected a calib= that shares no image with another list" : "");
}

static void look_for_same(checker *k)
{
    ds_images lists[DS_CHECK_LISTS];
    DS_FREED ds_same *v = NULL;
    for (int i = 0; i < DS_CHECK_LISTS; i++)
        lists[i] = k->c->lists[i].images;
    const int n = ds_images_same(lists, DS_CHECK_LISTS, k->job.setup.loaders, &v);
    for (int i = 0, end; i < n; i = end) {
        end = ds_same_end(v, n, i);
        for (int twin = i + 1; twin < end; twin++)
            tell_same(k, &v[i], &v[twin]);
    }
}

/* The program before a network is there: as measured. */
static const size_t program = (size_t)12 << 20;

/* Bytes around the network: lists, and what loads images, `batch` at a time. */
static size_t around(const checker *k, int batch)
{
    const ds_net_options *o = &k->job.cfg->net;
    const ds_loader_setup s = {
        .w = o->width, .h = o->height, .c = o->channels, .batch = batch, .threads = k->job.setup.loaders};
    return program + ds_loader_memory(&s) + (size_t)s.threads * 2 * k->widest + (size_t)k->all * 128;
}

/* Adam's moments, the average, mixed images. */
static size_t moments(const ds_job *job)
{
    int n;
    size_t numbers = ds_mixes(&job->cfg->net) ? (size_t)job->info->batch * (size_t)job->info->inputs : 0;
    const ds_param *p = ds_net_params(job->net, &n);
    const size_t kept = (job->cfg->net.adam ? 2 : 0) + (job->cfg->net.average != DS_AVERAGE_NONE);
    for (int i = 0; i < n; i++)
        numbers += p[i].gradient ? kept * p[i].n : 0;
    return numbers * sizeof(float);
}

static void look_at_training(checker *k)
{
    ds_job *job = &k->job;
    const size_t cache = k->decoded < job->setup.cache_bytes ? k->decoded : job->setup.cache_bytes;
    if (!job->plan.epochs || ds_keep(&k->e, ds_job_make_net(job, &k->e)) || !job->net)
        return;
    k->c->training = around(k, job->plan.batch) + cache + ds_net_memory(job->net) + moments(job);
    ds_net_free(job->net);
    job->net = NULL;
}

static void look_at_weights(checker *k, ds_net *net)
{
    const char *path = k->job.setup.weights;
    const int layers = ds_net_get_info(net)->layers;
    ds_weights_info w = {.loaded = layers};
    ds_problems *p = of_kind(k, "weights");
    ds_keep(&k->e, path ? ds_net_load_weights(net, path, -1, &w, &k->e) : DS_OK);
    if (w.loaded < layers)
        ds_problem_add(p, DS_WARNING, path, 0,
                       "weights of the first %d of %d layers: train starts the others fresh, other commands "
                       "expect them all",
                       w.loaded, layers);
    else if (k->job.plan.batch && w.seen / (uint64_t)k->job.plan.batch >= (uint64_t)k->job.plan.max_batches)
        ds_problem_add(p, DS_NOTE, path, 0,
                       "has seen %llu images: to train on from it takes a higher max_batches= or -clear",
                       (unsigned long long)w.seen);
}

static void look_at_network(checker *k)
{
    ds_net_setup setup = k->job.setup.net;
    ds_net *net;
    setup.batch = ds_evaluation_batch(k->job.cfg, (size_t)k->all);
    setup.verbose = false; /* told for training */
    setup.notes = k->job.setup.notes;
    ds_keep(&k->e, ds_net_new(k->job.cfg, &setup, &net, &k->e));
    if (!net)
        return;
    const ds_net_info *info = ds_net_get_info(net);
    k->c->parameters = info->parameters;
    k->c->answering = around(k, info->batch) + ds_net_memory(net);
    k->c->flops = info->flops;
    look_at_weights(k, net);
    ds_net_free(net);
}

static void take_lists(checker *k)
{
    ds_job *job = &k->job;
    ds_datafile *d = &job->data;
    ds_checked_list *l = k->c->lists;
    l[TRAIN].images = job->train;
    l[VALID].images = job->valid;
    job->train = job->valid = (ds_images){0};
    ds_keep(&k->e, ds_job_read_list(job, d->calib, &l[CALIB].images, &k->e));
    ds_keep(&k->e, ds_job_read_list(job, d->test, &l[TEST].images, &k->e));
    for (int i = 0; i < DS_CHECK_LISTS; i++) {
        l[i].key = ds_datafile_options[i].name;
        if (d->index && l[i].images.n)
            l[i].counts = ds_images_count(d, &l[i].images, NULL);
        k->all += l[i].images.n;
    }
}

void ds_check_run(const ds_check_setup *setup, ds_check *c)
{
    ds_notes notes = {0};
    checker k = {.c = c, .e = {.all = &c->problems}, .setup = setup};
    *c = (ds_check){0};
    of_kind(&k, "input");
    ds_train_setup s = setup->run;
    s.notes = &notes;
    ds_keep(&k.e, ds_job_inspect(&k.job, &s, &k.e));
    take_lists(&k);
    c->data = k.job.data; /* its texts */
    ds_problems_take(&c->problems, &notes);
    for (int i = 0; i < DS_CHECK_LISTS; i++) {
        look_at_counts(&k, &c->lists[i]);
        look_at_images(&k, &c->lists[i]);
    }
    look_for_same(&k);
    of_kind(&k, "network");
    if (ds_cfg_has_shapes(k.job.cfg)) {
        look_at_training(&k);
        look_at_network(&k);
    }
    ds_problems_take(of_kind(&k, "network"), &notes);
    k.job.data = (ds_datafile){0};
    ds_job_close(&k.job);
}

void ds_check_clear(ds_check *c)
{
    for (int i = 0; i < DS_CHECK_LISTS; i++) {
        ds_images_clear(&c->lists[i].images);
        free(c->lists[i].counts);
    }
    ds_datafile_clear(&c->data);
    ds_problems_clear(&c->problems);
}
