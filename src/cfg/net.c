/* [net]: its keys, and what they must be together. */
#include "cfg/sections.h"

#include <limits.h>

const char *const ds_policy_names[] = {
    [DS_CONSTANT] = "constant", [DS_STEP] = "step",     [DS_EXP] = "exp",
    [DS_POLY] = "poly",         [DS_STEPS] = "steps",   [DS_SIGMOID] = "sigmoid",
    [DS_RANDOM] = "random",     [DS_COSINE] = "cosine", NULL};

const char *const ds_net_own_keys[] = {
    "flip",     "precision", "cutout",         "shift",     "mixup",        "mixup_alpha",  "regmixup",
    "sampling", "average",   "sync_batchnorm", "ema_alpha", "average_from", "average_rate", NULL};

static const char *const sampling_names[] = {"plain", "balanced", NULL};
static const char *const average_names[] = {"none", "ema", "swa", NULL};

const char *const ds_precision_names[] = {"f32", "bf16", "tf32", "auto", NULL};

#define DS_STATE ds_net_options
const ds_option ds_net_keys[] = {
    OPT_INT("batch", batch, "images of a step", .def = "1", OPT_FROM(1)),
    OPT_INT("subdivisions", subdivisions, "parts in which a batch is computed", .def = "1", OPT_FROM(1)),
    OPT_INT("time_steps", time_steps, "steps of a sequence", .def = "1", OPT_FROM(1)),
    OPT_INT("height", height, "image height", OPT_FROM(1)),
    OPT_INT("width", width, "image width", OPT_FROM(1)),
    OPT_INT("channels", channels, "image channels", OPT_FROM(1)),
    OPT_INT("inputs", inputs, "numbers in, when there is no image", OPT_FROM(1)),
    OPT_REAL("learning_rate", learning_rate, "learning rate", .def = ".001", OPT_FROM(0)),
    OPT_REAL("momentum", momentum, "momentum", .def = ".9", OPT_RANGE(0, 1)),
    OPT_REAL("decay", decay, "weight decay", .def = ".0001", OPT_FROM(0)),
    OPT_ENUM("policy", policy, ds_policy_names, "how the learning rate changes", .def = "constant"),
    OPT_REAL("power", power, "exponent of poly and of the burn-in", .def = "4"),
    OPT_REAL("gamma", gamma, "base of exp, slope of sigmoid", .def = "1", OPT_FROM(0)),
    OPT_INT("step", step, "batches between two changes", .def = "1", OPT_FROM(1)),
    OPT_REAL("scale", scale, "factor of a change", .def = "1", OPT_FROM(0)),
    OPT_INTS("steps", steps, "batches at which the rate changes"),
    OPT_REALS("scales", scales, "factors, one for each of steps", OPT_FROM(0)),
    OPT_INT("burn_in", burn_in, "batches of rising learning rate", .def = "0", OPT_FROM(0)),
    OPT_INT("max_batches", max_batches, "batches of the training", .def = "0", OPT_FROM(0)),
    OPT_ENUM("precision", precision, ds_precision_names,
             "numbers between the layers; auto: bf16 where that is fast", .def = "f32"),
    OPT_REAL("clip", clip, "weights stay within -clip and clip, 0: no limit", .def = "0", OPT_FROM(0)),
    OPT_BOOL("adam", adam, "Adam instead of gradient descent"),
    OPT_REAL("B1", B1, "Adam: decay of the mean", .def = ".9", OPT_RANGE(0, 0.9999999)),
    OPT_REAL("B2", B2, "Adam: decay of the squares", .def = ".999", OPT_RANGE(0, 0.9999999)),
    OPT_REAL("eps", eps, "Adam: added to the root", .def = ".0000001", OPT_FROM(0)),
    OPT_INT("max_crop", max_crop, "largest short side, default twice the width", OPT_FROM(1)),
    OPT_INT("min_crop", min_crop, "smallest short side, default the width", OPT_FROM(1)),
    OPT_REAL("max_ratio", max_ratio, "largest scale, default max_crop / width", OPT_FROM(0.001)),
    OPT_REAL("min_ratio", min_ratio, "smallest scale, default min_crop / width", OPT_FROM(0.001)),
    OPT_BOOL("center", center, "crop the centre"),
    OPT_BOOL("flip", flip, "mirror half of the training images; 0 for digits and letters", .def = "1"),
    OPT_REAL("angle", angle, "largest rotation in degrees", .def = "0", OPT_RANGE(0, 360)),
    OPT_REAL("aspect", aspect, "largest change of the aspect ratio", .def = "1", OPT_RANGE(0.01, 100)),
    OPT_REAL("saturation", saturation, "largest factor of the saturation", .def = "1", OPT_RANGE(0.01, 100)),
    OPT_REAL("exposure", exposure, "largest factor of the brightness", .def = "1", OPT_RANGE(0.01, 100)),
    OPT_REAL("hue", hue, "largest shift of the hue", .def = "0", OPT_RANGE(0, 1)),
    OPT_INT("cutout", cutout, "side in pixels of a square of each training image that is hidden, 0: none",
            .def = "0", OPT_FROM(0)),
    OPT_INT("shift", shift, "training images move by up to that many whole pixels, black comes in; 0: none",
            .def = "0", OPT_FROM(0)),
    OPT_BOOL("mixup", mixup,
             "mix training images of a batch, and the loss of their labels, two by two; not where a target "
             "remembers images"),
    OPT_BOOL("regmixup", regmixup,
             "train on each batch as it is, and with cross-entropy on its images mixed"),
    OPT_REAL(
        "mixup_alpha", mixup_alpha,
        "the parts are drawn from Beta(A, A); without it mixup=1 mixes half of the images, in halves, and "
        "regmixup=1 has 20",
        OPT_RANGE(0.001, 1e6)),
    OPT_ENUM("sampling", sampling, sampling_names,
             "which images an epoch has: each once, or each class equally often", .def = "plain"),
    OPT_BOOL("sync_batchnorm", sync_batchnorm,
             "of several ranks: batch normalisation by mean and variance of all their images"),
    OPT_ENUM("average", average, average_names,
             "validate and save an average of the weights: of all steps, fading, or of the last epochs",
             .def = "none"),
    OPT_REAL("ema_alpha", ema_alpha, "share of the average that each step keeps", .def = "0.999",
             OPT_RANGE(0, 0.9999999), .when = "average=ema"),
    OPT_REAL("average_from", average_from, "share of the run before the epochs that are averaged",
             .def = "0.6", OPT_RANGE(0, 1), .when = "average=swa"),
    OPT_REAL("average_rate", average_rate,
             "learning rate from there on; without it that of the batch where it begins", OPT_FROM(0),
             .when = "average=swa"),
    OPT_CHECK(DS_TEXT, "seen", "in stock files, but not read by the host"),
    OPT_CHECK(DS_BOOL, "notruth", "no truth is loaded"),
    OPT_BOOL("random", random, "change the image size between batches"),
    OPT_END,
};

static int check_input(const ds_cfg *cfg, ds_error *e)
{
    const ds_net_options *n = &cfg->net;
    const char *first = n->width ? "width" : n->height ? "height" : "channels";
    int given = (n->height > 0) + (n->width > 0) + (n->channels > 0);
    if (!given && !n->inputs)
        return ds_section_fail(cfg, cfg->sections, "", e,
                               "[net] has no input, expected width, height and channels (or inputs)");
    if (given && given < 3)
        return ds_section_fail(cfg, cfg->sections, first, e,
                               "[net] describes half an image, expected width, height and channels");
    if (given && n->inputs && (long long)n->height * n->width > INT_MAX / n->channels)
        return ds_section_fail(cfg, cfg->sections, "inputs", e,
                               "width * height * channels is too large, expected less than 2^31");
    if (given && n->inputs && n->inputs != n->height * n->width * n->channels)
        return ds_section_fail(cfg, cfg->sections, "inputs", e,
                               "inputs differs from width * height * channels, expected only one of the two");
    return DS_OK;
}

int ds_cfg_read_net(ds_cfg *cfg, ds_notes *notes, ds_error *e)
{
    const int before = ds_failures(e);
    ds_section *s = &cfg->sections[0];
    ds_net_options *n = &cfg->net;
    DS_TRY(ds_keep(e, ds_option_fill(ds_net_keys, n, s->pairs, s->n, "[net]", cfg->path, e)));
    if (ds_section_get(s, "seen"))
        ds_note(notes, "note: %s:%d: key 'seen' is ignored by Darknet", cfg->path,
                ds_section_line(s, "seen"));
    bool whole = ds_failures(e) == before; /* else it is told already what is missing */
    int input = check_input(cfg, whole ? e : NULL);
    s->broken = input != DS_OK;
    DS_TRY(whole ? ds_keep(e, input) : DS_OK);
#define REFUSE(key, ...) DS_TRY(ds_keep(e, ds_section_fail(cfg, s, key, e, __VA_ARGS__)))
    if ((whole || n->batch > 1) && n->batch % n->subdivisions)
        REFUSE("subdivisions",
               "batch=%d is no multiple of subdivisions=%d, expected a number that divides it", n->batch,
               n->subdivisions);
    if (n->policy == DS_STEPS && (!n->steps.n || n->steps.n != n->scales.n))
        REFUSE(n->steps.n && n->scales.n ? "scales" : "policy",
               "policy=steps with %d steps and %d scales, expected as many scales as steps", n->steps.n,
               n->scales.n);
    if (n->cutout && n->width && (n->cutout >= n->width || n->cutout >= n->height))
        REFUSE("cutout", "cutout=%d of images of %d x %d, expected a smaller square", n->cutout, n->width,
               n->height);
    if (n->shift && n->width && (n->shift >= n->width || n->shift >= n->height))
        REFUSE("shift", "shift=%d of images of %d x %d, expected less than a side", n->shift, n->width,
               n->height);
    if (n->shift && n->center)
        REFUSE("shift", "shift=%d with center=1, expected one of them", n->shift);
    return ds_failed_since(e, before);
}
