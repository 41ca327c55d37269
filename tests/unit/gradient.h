/* A cost layer's gradient against finite differences of its loss, in one line of the layer's test:
 * check_gradient("smooth", "amount=0.2", 5); For a loss whose target moves with the network's own answers,
 * held constant in the gradient, write that loss as a function of the logits and use check_row (as
 * test_sat.c does). */
#pragma once

#include "plugins/registry.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { GRADIENT_ROWS = 3, GRADIENT_MOST = 64 };

/* Loss of one row of n logits; `context` is the caller's. */
typedef double (*gradient_loss)(const double *z, int n, void *context);

/* Differences of fourth order at the row z (n logits, multiples of 1/64 are exact in float) against
 * `gradient` (n). */
static inline void check_row(gradient_loss loss, void *context, const double *z, int n, const float *gradient)
{
    static const double steps[] = {-2, -1, 1, 2}, weights[] = {1, -8, 8, -1}, h = 1.0 / 64;
    double moved[GRADIENT_MOST];
    for (int j = 0; j < n; j++) {
        double sum = 0;
        memcpy(moved, z, (size_t)n * sizeof *z);
        for (int k = 0; k < 4; k++) {
            moved[j] = z[j] + steps[k] * h;
            sum += weights[k] * loss(moved, n, context);
        }
        double want = sum / (12 * h);
        if (!(fabs(gradient[j] - want) <= 1e-5 * fmax(fabs(want), 0.1)))
            fail_msg("dL/dz_%d is %.9g, by differences %.9g", j, gradient[j], want);
    }
}

/* A layer, its keys and the label of the row. */
typedef struct gradient_case {
    const ds_layer *layer;
    ds_pair *pairs;
    int n, label;
    const int *other; /* of a mixture, with its share */
    const float *share;
    bool anonymous; /* no ids */
    float gradient[GRADIENT_MOST];
} gradient_case;

/* The layer's own loss of a first pass, with a state of its own; the gradient goes into the case. */
static inline double gradient_pass(const double *z, int n, void *context)
{
    gradient_case *c = context;
    ds_instance it = {.layer = c->layer, .setup = {.inputs = n, .samples = 1, .epochs = 100}};
    ds_error e = {0};
    float input[GRADIENT_MOST], output[GRADIENT_MOST];
    double loss = NAN;
    for (int j = 0; j < n; j++)
        input[j] = (float)z[j];
    ds_pass pass = {.batch = 1,
                    .epochs = 100,
                    .input = input,
                    .logits = input,
                    .output = output,
                    .labels = &c->label,
                    .ids = c->anonymous ? NULL : &(uint32_t){0},
                    .others = c->other,
                    .shares = c->share,
                    .gradient = c->gradient,
                    .loss = &loss};
    int rc = ds_instance_init(&it, c->pairs, c->n, "x.cfg", 1, &e);
    pass.warming = it.setup.warmup_epochs != 0;
    if (rc || ds_instance_forward(&it, &pass, &e))
        fail_msg("%s", e.text);
    ds_instance_release(&it);
    return loss;
}

/* "a=1 b=2" into pairs of the lines `line`, `line` + 1, …; returns how many. They point into *text, the
 * caller's to free. */
static inline int pairs_of(const char *options, int line, ds_pair *pairs, char **text)
{
    char *rest = *text = strdup(options), *word;
    int n = 0;
    while ((word = strsep(&rest, " "))) {
        if (!*word)
            continue;
        char *value = strchr(word, '=');
        *value++ = '\0';
        pairs[n] = (ds_pair){word, value, line + n};
        n++;
    }
    return n;
}

/* The layer with these keys ("amount=0.2", "" for none) over `inputs` logits, for some rows and each label
 * (but the last number, which may be that of "abstain"). */
static inline void check_gradient(const char *name, const char *options, int inputs)
{
    ds_pair pairs[16];
    char *text;
    gradient_case c = {.layer = ds_layer_find(name), .pairs = pairs, .n = pairs_of(options, 1, pairs, &text)};
    double z[GRADIENT_MOST];
    assert_non_null(c.layer);
    for (int row = 0; row < GRADIENT_ROWS; row++) {
        for (int j = 0; j < inputs; j++)
            z[j] = ((j * 7 + row * 5) % 17 - 8) / 4.0;
        for (c.label = 0; c.label < inputs - 1; c.label++) {
            float gradient[GRADIENT_MOST];
            gradient_pass(z, inputs, &c);
            memcpy(gradient, c.gradient, sizeof gradient);
            check_row(gradient_pass, &c, z, inputs, gradient);
        }
    }
    free(text);
}

/* The options, lines 11, 12, … of x.cfg, whose section begins in line 10, are refused in `line`, with `part` in
 * the message; training on `samples` images for `epochs`. */
static inline void refused(const char *name, const char *options, int inputs, size_t samples, int epochs,
                           int line, const char *part)
{
    ds_pair pairs[8];
    char *text;
    const int n = pairs_of(options, 11, pairs, &text);
    ds_notes notes = {0};
    ds_error e = {0};
    ds_instance it = {.layer = ds_layer_find(name),
                      .setup = {.inputs = inputs, .samples = samples, .epochs = epochs, .notes = &notes}};
    assert_int_not_equal(ds_instance_init(&it, pairs, n, "x.cfg", 10, &e), 0);
    assert_null(it.state);
    assert_string_equal(e.file, "x.cfg");
    if (e.line != line || !strstr(e.text, part))
        fail_msg("'%s': line %d: %s", options, e.line, e.text);
    ds_notes_clear(&notes);
    free(text);
}
