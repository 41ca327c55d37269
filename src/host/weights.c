/* .weights files: int32 major, minor, revision, then images seen (64 bits since 0.2), then the parameters as
 * float32. */
#include "host/private.h"
#include "base/file.h"

/* Numbers of a parameter that a file holds for reading: dontload=, dontloadscales=, numload= as in the
 * host. */
static size_t stored(const ds_net *n, const ds_param *p)
{
    const layer *l = &n->net->layers[p->layer];
    if (l->dontload || (l->dontloadscales && ds_has_word("scales|means|variances", p->name)))
        return 0;
    return l->numload && l->type == CONVOLUTIONAL ? p->n / (size_t)l->n * (size_t)l->numload : p->n;
}

struct header {
    int32_t major, minor, revision;
    uint64_t seen;
    size_t size;
};

static int read_header(const unsigned char *bytes, size_t n, const char *path, struct header *h, ds_error *e)
{
    if (n >= 12)
        memcpy(h, bytes, 12);
    bool wide = n >= 12 && (int64_t)h->major * 10 + h->minor >= 2;
    h->size = wide ? 20 : 16;
    if (n > 9 && memcmp(bytes + 8, "{\"", 2) == 0)
        return ds_fail_at(e, DS_EINPUT, path, 0,
                          "is a checkpoint or another .safetensors file, expected a Darknet weights file "
                          "(beside NAME.ckpt lies NAME.weights)");
    if (n < h->size)
        return ds_fail_at(e, DS_EINPUT, path, 0, "has %zu bytes, expected a Darknet weights file", n);
    if (h->major < 0 || h->major > 1000 || h->minor < 0 || h->minor > 1000)
        return ds_fail_at(e, DS_EINPUT, path, 0,
                          "version %d.%d is none that Darknet writes, expected a Darknet weights file",
                          (int)h->major, (int)h->minor);
    uint32_t narrow;
    memcpy(&narrow, bytes + 12, 4);
    h->seen = narrow;
    if (wide)
        memcpy(&h->seen, bytes + 12, 8);
    if (h->seen > INT64_MAX)
        return ds_fail_at(e, DS_EINPUT, path, 0, "2^63 images seen or more, expected a Darknet weights file");
    return DS_OK;
}

/* Last layer (exclusive) that `floats` numbers fill exactly, looking at layers below `upto`; -1 when they end
 * inside a layer. *need: what all of them take. */
static int fitting_layers(const ds_net *n, size_t floats, int upto, size_t *need)
{
    int fits = floats == 0 ? 0 : -1;
    *need = 0;
    for (int i = 0; i < n->n_params; i++) {
        if (n->params[i].layer >= upto)
            break;
        *need += stored(n, &n->params[i]);
        bool border = i + 1 == n->n_params || n->params[i + 1].layer != n->params[i].layer;
        if (border && *need == floats)
            fits = n->params[i].layer + 1;
    }
    return *need == floats ? upto : fits;
}

/* flipped=1: the file holds the filters of a layer transposed. */
static void unflip(float *w, size_t rows, size_t columns)
{
    DS_FREED float *t = DS_ALLOC(t, rows * columns);
    for (size_t y = 0; y < rows; y++)
        for (size_t x = 0; x < columns; x++)
            t[x * rows + y] = w[y * columns + x];
    memcpy(w, t, rows * columns * sizeof *t);
}

static void copy_in(ds_net *n, const unsigned char *bytes, int layers)
{
    for (int i = 0; i < n->n_params && n->params[i].layer < layers; i++) {
        const ds_param *p = &n->params[i];
        const layer *l = &n->net->layers[p->layer];
        size_t count = stored(n, p);
        memcpy(p->values, bytes, count * sizeof(float));
        bytes += count * sizeof(float);
        if (l->flipped && count && !strcmp(p->name, "weights"))
            unflip(p->values, p->n / (size_t)l->n, (size_t)l->n);
    }
}

static bool all_finite(const unsigned char *bytes, size_t floats)
{
    for (size_t i = 0; i < floats; i++) {
        float v;
        memcpy(&v, bytes + i * sizeof v, sizeof v);
        if (!isfinite(v))
            return false;
    }
    return true;
}

static int load(ds_net *n, const char *path, const unsigned char *bytes, size_t size, int upto,
                ds_weights_info *info, ds_error *e)
{
    struct header h;
    DS_TRY(read_header(bytes, size, path, &h, e));
    size_t floats = (size - h.size) / sizeof(float), need;
    bool cut = upto >= 0 && upto < n->info.layers;
    int layers = fitting_layers(n, floats, cut ? upto : n->info.layers, &need);
    if (cut && floats >= need)
        layers = upto; /* the rest of the file belongs to layers that start fresh */
    if (layers <= 0 || (size - h.size) % sizeof(float))
        return ds_fail_at(
            e, DS_EINPUT, path, 0,
            "has %zu bytes, expected %zu for this cfg (or a file that ends at the border of a layer)", size,
            h.size + need * sizeof(float));
    if (!all_finite(bytes + h.size, floats))
        return ds_fail_at(e, DS_EINPUT, path, 0,
                          "holds numbers that are not finite (training diverged?), expected trained weights");
    *info = (ds_weights_info){.seen = h.seen, .loaded = layers};
    copy_in(n, bytes + h.size, layers);
    return DS_OK;
}

int ds_net_load_weights(ds_net *net, const char *path, int upto, ds_weights_info *info, ds_error *e)
{
    DS_FREED unsigned char *bytes = NULL;
    size_t size;
    DS_TRY(ds_file_read(path, "a Darknet weights file", &bytes, &size, e));
    DS_TRY(ds_net_fetch(net, e));
    int rc = load(net, path, bytes, size, upto, info, e);
    ds_net_changed(net);
    return rc;
}

int ds_net_save_weights(const ds_net *net, const char *path, uint64_t seen, ds_error *e)
{
    static const int32_t version[3] = {0, 2, 0};
    ds_writer w;
    DS_TRY(ds_net_fetch(net, e));
    DS_TRY(ds_writer_open(&w, path, e));
    fwrite(version, sizeof version, 1, w.f);
    fwrite(&seen, sizeof seen, 1, w.f);
    for (int i = 0; i < net->n_params; i++)
        if (!net->net->layers[net->params[i].layer].dontsave)
            fwrite(net->params[i].values, sizeof(float), net->params[i].n, w.f);
    return ds_writer_commit(&w, e);
}
