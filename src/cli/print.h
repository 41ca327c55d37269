/* What several sub-commands print. */
#pragma once

#include "host/host.h"
#include "train/model.h"

/* Number, name, shapes, parameters and MFLOP of every layer, and their totals. */
void ds_print_layers(const ds_net *net, FILE *out);
/* A line a note; the notes are gone afterwards. */
void ds_print_notes(ds_notes *notes, FILE *out);

/* PATH<tab>LABEL, a line of a list with labels that may lie in any folder: the path is a full one. */
/* Can its labels stand there? DS_EINPUT: one has a tab. */
int ds_check_labelled(const ds_datafile *d, ds_error *e);
void ds_print_labelled(FILE *out, const char *path, const char *label);

/* A warning where the network's answers to some of the images are not-a-number. */
void ds_print_unanswered(size_t none, size_t images, FILE *out);

/* A line a layer, from ds_net_profile. */
void ds_print_profile(const ds_net *net, const ds_times *p, FILE *out);

/* One pass of the networks over the images, and with -profile their times on standard error. how: its score,
 * top and keep_logits. */
int ds_model_answer(ds_model *m, const ds_run_flags *flags, ds_eval_setup how, ds_answers *a, ds_error *e);
