/* Inside src/export: building an ONNX model. */
#pragma once

#include "export/export.h"

typedef struct ds_onnx ds_onnx;
/* Name of a value of the model, whose it is. */
typedef const char *ds_value;

ds_onnx *ds_onnx_new(void);
void ds_onnx_free(ds_onnx *o);
/* Memory from malloc that goes with the model. */
void *ds_onnx_keep(ds_onnx *o, void *p);

/* A node of one to three inputs (NULL: none); its output. */
ds_value ds_onnx_op(ds_onnx *o, const char *type, ds_value a, ds_value b, ds_value c);
/* An attribute, or an input more, of the last node. */
void ds_onnx_input(ds_onnx *o, ds_value v);
void ds_onnx_int(ds_onnx *o, const char *name, int v);
void ds_onnx_float(ds_onnx *o, const char *name, float v);
void ds_onnx_ints(ds_onnx *o, const char *name, int n, const int *v);
/* The output of the last node, under a name of its own. */
ds_value ds_onnx_name(ds_onnx *o, const char *name);

/* Constants of n axes (0: a number) of the lengths `dims`; the values must outlive the model. */
ds_value ds_onnx_constant(ds_onnx *o, int n, const int *dims, const float *values);
ds_value ds_onnx_number(ds_onnx *o, double v);
ds_value ds_onnx_indices(ds_onnx *o, int n, const int *v);

/* What comes in and goes out: n x dims ..., floats or truth values. */
enum { DS_ONNX_FLOAT = 1, DS_ONNX_BOOL = 9 };
#define DS_ONNX_INPUT "images" /* as `serve` calls it */
void ds_onnx_port(ds_onnx *o, bool out, ds_value name, int type, int n, const int *dims);
/* DS_EINPUT: 2 GiB or more, which the format cannot hold. */
int ds_onnx_write(ds_onnx *o, const char *path, FILE *f, ds_error *e);

/* layers.c: the network; *logits: n x the numbers that come into the cost section. */
int ds_onnx_layers(ds_onnx *o, const ds_export *x, ds_value *logits, ds_error *e);

/* DS_EINPUT at layer i's section. */
int ds_export_refuse(const ds_export *x, int i, const char *why, ds_error *e);
/* Layer i as the person sees it: the word of activation=. */
const char *ds_activation_of(const ds_export *x, int i);
