#include "cfg/sections.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>

const char *const ds_policy_names[] = {
    [DS_CONSTANT] = "constant", [DS_STEP] = "step",       [DS_EXP] = "exp",       [DS_POLY] = "poly",
    [DS_STEPS] = "steps",       [DS_SIGMOID] = "sigmoid", [DS_RANDOM] = "random", NULL};

#define FIELD(name_, type_, def_, min_, max_, help_)                                                        \
    {                                                                                                       \
        .name = #name_, .type = type_, .offset = offsetof(ds_net_options, name_), .def = def_, .min = min_, \
        .max = max_, .help = help_                                                                          \
    }
#define UNSTORED(name_, help_)                                                           \
    {                                                                                    \
        .name = name_, .type = DS_BOOL, .offset = DS_UNSTORED, .def = "0", .help = help_ \
    }

const ds_option ds_net_keys[] = {
    FIELD(batch, DS_INT, "1", 1, INT_MAX, "images of a step"),
    FIELD(subdivisions, DS_INT, "1", 1, INT_MAX, "parts in which a batch is computed"),
    FIELD(time_steps, DS_INT, "1", 1, INT_MAX, "steps of a sequence"),
    FIELD(height, DS_INT, NULL, 1, INT_MAX, "image height"),
    FIELD(width, DS_INT, NULL, 1, INT_MAX, "image width"),
    FIELD(channels, DS_INT, NULL, 1, INT_MAX, "image channels"),
    FIELD(inputs, DS_INT, NULL, 1, INT_MAX, "numbers in, when there is no image"),
    FIELD(learning_rate, DS_REAL, ".001", 0, HUGE_VAL, "learning rate"),
    FIELD(momentum, DS_REAL, ".9", 0, 1, "momentum"),
    FIELD(decay, DS_REAL, ".0001", 0, HUGE_VAL, "weight decay"),
    {.name = "policy",
     .type = DS_ENUM,
     .offset = offsetof(ds_net_options, policy),
     .def = "constant",
     .names = ds_policy_names,
     .help = "how the learning rate changes"},
    FIELD(power, DS_REAL, "4", 0, 0, "exponent of poly and of the burn-in"),
    FIELD(gamma, DS_REAL, "1", 0, HUGE_VAL, "base of exp, slope of sigmoid"),
    FIELD(step, DS_INT, "1", 1, INT_MAX, "batches between two changes"),
    FIELD(scale, DS_REAL, "1", 0, HUGE_VAL, "factor of a change"),
    FIELD(steps, DS_REALS, NULL, 0, 0, "batches at which the rate changes"),
    FIELD(scales, DS_REALS, NULL, 0, HUGE_VAL, "factors, one for each of steps"),
    FIELD(burn_in, DS_INT, "0", 0, INT_MAX, "batches of rising learning rate"),
    FIELD(max_batches, DS_INT, "0", 0, INT_MAX, "batches of the training"),
    FIELD(clip, DS_REAL, "0", 0, HUGE_VAL, "weights stay within -clip and clip, 0: no limit"),
    FIELD(adam, DS_BOOL, "0", 0, 0, "Adam instead of gradient descent"),
    FIELD(B1, DS_REAL, ".9", 0, 0.9999999, "Adam: decay of the mean"),
    FIELD(B2, DS_REAL, ".999", 0, 0.9999999, "Adam: decay of the squares"),
    FIELD(eps, DS_REAL, ".0000001", 0, HUGE_VAL, "Adam: added to the root"),
    FIELD(max_crop, DS_INT, NULL, 1, INT_MAX, "largest short side, default twice the width"),
    FIELD(min_crop, DS_INT, NULL, 1, INT_MAX, "smallest short side, default the width"),
    FIELD(max_ratio, DS_REAL, NULL, 0.001, HUGE_VAL, "largest scale, default max_crop / width"),
    FIELD(min_ratio, DS_REAL, NULL, 0.001, HUGE_VAL, "smallest scale, default min_crop / width"),
    FIELD(center, DS_BOOL, "0", 0, 0, "crop the centre"),
    FIELD(flip, DS_BOOL, "1", 0, 0, "mirror half of the training images; 0 for digits and letters"),
    FIELD(angle, DS_REAL, "0", 0, 360, "largest rotation in degrees"),
    FIELD(aspect, DS_REAL, "1", 0.01, 100, "largest change of the aspect ratio"),
    FIELD(saturation, DS_REAL, "1", 0.01, 100, "largest factor of the saturation"),
    FIELD(exposure, DS_REAL, "1", 0.01, 100, "largest factor of the brightness"),
    FIELD(hue, DS_REAL, "0", 0, 1, "largest shift of the hue"),
    UNSTORED("notruth", "no truth is loaded"),
    UNSTORED("random", "change the image size between batches"),
    {.type = DS_END},
};

void ds_cfg_clear_net(ds_net_options *net)
{
    ds_option_clear(ds_net_keys, net);
}

static int fail(const ds_cfg *cfg, const char *key, ds_error *e, const char *text)
{
    const ds_section *s = &cfg->sections[0];
    return ds_fail_at(e, DS_EINPUT, cfg->path, ds_section_line(s, key), "%s", text);
}

static int check_input(const ds_cfg *cfg, ds_error *e)
{
    const ds_net_options *n = &cfg->net;
    int given = (n->height > 0) + (n->width > 0) + (n->channels > 0);
    if (!given && !n->inputs)
        return fail(cfg, "", e, "[net] has no input, expected width, height and channels (or inputs)");
    if (given && given < 3)
        return fail(cfg,
                    n->width    ? "width"
                    : n->height ? "height"
                                : "channels",
                    e, "[net] describes half an image, expected width, height and channels");
    if (given && n->inputs && (long long)n->height * n->width > INT_MAX / n->channels)
        return fail(cfg, "inputs", e, "width * height * channels is too large, expected less than 2^31");
    if (given && n->inputs && n->inputs != n->height * n->width * n->channels)
        return fail(cfg, "inputs", e,
                    "inputs differs from width * height * channels, expected only one of the two");
    return DS_OK;
}

static int check_policy(ds_cfg *cfg, ds_error *e)
{
    const ds_net_options *n = &cfg->net;
    const ds_section *s = &cfg->sections[0];
    ds_numbers whole;
    int rc = ds_section_integers(cfg, s, "steps", &whole, e);
    free(whole.v);
    if (rc || n->policy != DS_STEPS)
        return rc;
    if (!n->steps.n || !n->scales.n)
        return fail(
            cfg, "policy", e,
            n->steps.n    ? "policy=steps without scales, expected scales=… with a factor for each of steps"
            : n->scales.n ? "policy=steps without steps, expected steps=… with a batch for each of scales"
                          : "policy=steps without steps and scales, expected both");
    if (n->steps.n != n->scales.n)
        return ds_fail_at(e, DS_EINPUT, cfg->path, ds_section_line(s, "scales"),
                          "%d steps but %d scales, expected as many scales as steps", n->steps.n,
                          n->scales.n);
    return DS_OK;
}

int ds_cfg_read_net(ds_cfg *cfg, ds_error *e)
{
    const ds_section *s = &cfg->sections[0];
    ds_net_options *n = &cfg->net;
    int rc = ds_option_fill(ds_net_keys, n, s->pairs, s->n, "[net]", cfg->path, e);
    if (!rc)
        rc = check_input(cfg, e);
    if (!rc && n->batch % n->subdivisions)
        rc = ds_fail_at(e, DS_EINPUT, cfg->path, ds_section_line(s, "subdivisions"),
                        "batch=%d is no multiple of subdivisions=%d, expected a number that divides it",
                        n->batch, n->subdivisions);
    return rc ? rc : check_policy(cfg, e);
}
