/* The layers of list.h: finding them, making, running and freeing their states. */
#pragma once

#include "plugins/plugin.h"
#include "select/novelty.h"
#include "select/select.h"

/* Was the layer built against this plugin.h? The two functions below never return one that was not. */
bool ds_layer_usable(const ds_layer *layer);
/* One more, of a file that the command line named, before anything else runs. DS_EINPUT: built against
 * another plugin.h, incomplete, or of a name that is taken. */
int ds_layer_add(const ds_layer *layer, const char *file, ds_error *e);
/* Layer number i, or NULL at the end. */
const ds_layer *ds_layer_at(int i);
/* The layer of a section name without brackets, or NULL. */
const ds_layer *ds_layer_find(const char *name);

/* A layer at work. */
typedef struct ds_instance {
    const ds_layer *layer;
    void *state;
    ds_setup setup; /* with the answers of init */
    double *p;      /* classes: the row at work; NULL before the first pass */
    float *part;    /* inputs: a gradient on its way, with p */
    float *logits;  /* room x setup.logits: those of the last pass, where the layer gives `logits` */
    int room;
} ds_instance;

/* Make the state of it->layer for it->setup, both the caller's, from the section's n pairs. `file` and
 * `line` are the section's, for messages. On error it->state is NULL, what had been allocated is freed,
 * and the answers mean nothing. */
int ds_instance_init(ds_instance *it, const ds_pair *pairs, int n, const char *file, int line, ds_error *e);
/* Room for the logits of so many images, which later passes of fewer leave where they are. */
void ds_instance_reserve(ds_instance *it, int images);
int ds_instance_forward(ds_instance *it, const ds_pass *pass, ds_error *e);
/* Harmless on a zeroed or released one. */
void ds_instance_release(ds_instance *it);

/* What [reject] decides by. */
typedef struct ds_reject {
    ds_score score;
    double threshold;          /* NAN: none */
    const double *thresholds;  /* instead, those of the classes; NULL: none */
    const ds_novelty *novelty; /* NULL: nothing is known of strangers */
    double novelty_rate;       /* an image whose p-value is below is unknown */
    size_t rejected, images;   /* of the calibration; images 0: it does not say */
} ds_reject;
/* That of a state of [reject] (reject.c), whose the arrays are. */
const ds_reject *ds_reject_of(const void *state);
