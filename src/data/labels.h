/* Label files, and finding the labels of a path fast: a hash table over the labels, searched at each byte for
 * each length that labels have. */
#pragma once

#include "base/error.h"

typedef struct ds_label_index ds_label_index; /* opaque */

/* Read one text a line. A blank line between texts is an error, at the end it is not. `what` names a text in
 * messages ("label"). The array and its texts are the caller's (ds_free_texts), NULL after an error. */
int ds_labels_read(const char *path, const char *what, char ***labels, int *n, ds_error *e);
/* The same from memory, which is cut up in place; adds to *labels, n before and after. */
int ds_labels_take(char *text, const char *path, const char *what, char ***labels, int *n, ds_error *e);

/* Index over n labels, which must outlive it. A label that occurs twice is an error at its line of `path`. */
int ds_label_index_new(char *const *labels, int n, const char *path, ds_label_index **index, ds_error *e);
void ds_label_index_free(ds_label_index *index);

/* Number of the label that equals the first n bytes of `text`, or -1. */
int ds_label_index_find(const ds_label_index *index, const char *text, size_t n);

/* Different labels found; `count` may exceed what is kept in `label`. */
enum { DS_MATCHES = 8 };
typedef struct ds_matches {
    int count;
    int label[DS_MATCHES];
} ds_matches;

/* Add a label unless it is -1 or among those kept. */
void ds_matches_add(ds_matches *m, int label);
/* Add every label that occurs in `path`. */
void ds_label_index_search(const ds_label_index *index, const char *path, ds_matches *m);
