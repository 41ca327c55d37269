/* What the files of this folder share: the table of the host's sections, reading, checking, shapes. */
#ifndef DS_CFG_SECTIONS_H
#define DS_CFG_SECTIONS_H

#include "cfg/cfg.h"

typedef enum ds_kind_id {
    DS_K_NET,
    DS_K_CONVOLUTIONAL,
    DS_K_DECONVOLUTIONAL,
    DS_K_LOCAL,
    DS_K_CONNECTED,
    DS_K_CROP,
    DS_K_MAXPOOL,
    DS_K_AVGPOOL,
    DS_K_REORG,
    DS_K_UPSAMPLE,
    DS_K_ROUTE,
    DS_K_SHORTCUT,
    DS_K_DROPOUT,
    DS_K_ACTIVATION,
    DS_K_LOGISTIC,
    DS_K_L2NORM,
    DS_K_NORMALIZATION,
    DS_K_BATCHNORM,
    DS_K_RNN,
    DS_K_GRU,
    DS_K_LSTM,
    DS_K_CRNN,
    DS_K_SOFTMAX,
    DS_K_COST,
    DS_K_REGION,
    DS_K_YOLO,
    DS_K_ISEG,
    DS_K_DETECTION,
    DS_KINDS
} ds_kind_id;

/* A section that the host knows. */
typedef struct ds_kind {
    const char *name, *alias; /* alias NULL: there is none */
    const ds_option *keys;    /* all keys that the host reads there */
    const char *const
        *ignored; /* keys of the stock files that the host does not read; NULL-terminated, or NULL */
} ds_kind;

extern const ds_kind ds_kinds[DS_KINDS];

/* Number of the kind whose name or alias it is, or -1. */
int ds_kind_find(const char *name);
/* The nearest section name, of the host or a plugin; NULL: none is near. */
const char *ds_kind_nearest(const char *name);

/* A value that was checked before: the pair's, else the table's default, else `absent`. */
int ds_section_int(const ds_section *s, const char *key, int absent);
/* Whole numbers with commas; the numbers are the caller's to free. An absent key gives none. */
int ds_section_integers(const ds_cfg *cfg, const ds_section *s, const char *key, ds_numbers *out,
                        ds_error *e);

/* Text into cfg->sections: syntax only. */
int ds_cfg_read_sections(ds_cfg *cfg, const char *text, ds_error *e);
/* Names and keys of all sections, [net] into cfg->net, plugins found, order of the last sections. */
int ds_cfg_check_sections(ds_cfg *cfg, ds_notes *notes, ds_error *e);
/* [net] into cfg->net. */
int ds_cfg_read_net(ds_cfg *cfg, ds_error *e);
void ds_cfg_clear_net(ds_net_options *net);
/* cfg->shapes. */
int ds_cfg_read_shapes(ds_cfg *cfg, ds_error *e);

/* Take pair `i` out of the section. */
void ds_section_drop(ds_section *s, int i);

#endif
