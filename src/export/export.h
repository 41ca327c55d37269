/* A trained network for other programs: as a cfg and weights that stock Darknet and OpenCV load, or as ONNX;
 * what decides beside it, as JSON. */
#pragma once

#include "host/host.h"

/* What all of them need; nothing is owned. The network's [reject] has neither novelty=, views= nor with=. */
typedef struct ds_export {
    const ds_cfg *cfg;
    const ds_net *net;       /* with its weights */
    const ds_reject *reject; /* its score and thresholds */
    const char *names;       /* of the classes, a JSON array; NULL: unknown */
} ds_export;

/* An ONNX model (opset 17). DS_EINPUT, at the section: a layer that it cannot hold. */
int ds_export_onnx(const ds_export *x, FILE *f, ds_error *e);
/* Sections and parameters without those of plugins; the outputs that no class has are gone, the temperature
 * of the answers is in the last weights.
 * DS_EINPUT, at the section: what stock Darknet or OpenCV does not do. */
int ds_export_cfg(const ds_export *x, FILE *cfg, FILE *weights, ds_error *e);
/* What goes in, how it is made of an image, and what comes out; `format`: of the network. */
void ds_export_json(const ds_export *x, const char *format, FILE *f);
