/* What a run remembers of each training image, whatever its cost section: 16 bytes. It tells which labels are
 * likely to be wrong (audit.h). */
#pragma once

#include "base/safetensors.h"
#include "data/data.h"

/* Of n images. A visit is a pass in training, one an epoch; classes are those of the first C logits. */
typedef struct ds_records {
    size_t n;
    /* n: the last predicted class that was not the label, or the label where there was none; with
     * DS_RECORD_RIGHT the last prediction was the label. */
    uint32_t *predictions;
    uint16_t *visits; /* n x 2: all of them, those whose prediction was not the label */
    /* n x 2, means over the visits: of the margin, the label's logit minus the largest other one (Pleiss et
     * al. 2020, "AUM"), and of the entropy of the class probabilities in nats. */
    float *means;
} ds_records;

#define DS_RECORD_RIGHT (1u << 31)
enum { DS_RECORD_ARRAYS = 3 };

/* n images that were not visited yet. Release with ds_records_clear. */
ds_records ds_records_new(size_t n);
void ds_records_clear(ds_records *r);
/* A visit of `images` images: their logits z (images x row, the first C count), labels and numbers. Returns
 * how many predictions are right. */
uint64_t ds_records_visit(ds_records *r, const float *z, int row, int classes, const int *labels,
                          const uint32_t *ids, int images);
/* The arrays of a checkpoint, DS_RECORD_ARRAYS of them. */
void ds_records_arrays(const ds_records *r, ds_saved *arrays);

/* Where images are among n keys (see ds_images), n where they are not; rows: images.n. Returns how many are
 * not there. */
int ds_images_find(const ds_images *images, const uint64_t *keys, size_t n, size_t *rows);
/* The rows of a checkpoint's arrays for `images`, as above. *fresh: images that it does not know. */
int ds_saved_find(const ds_saved_file *f, const ds_images *images, size_t *rows, int *fresh, ds_error *e);
/* Fill n arrays, a row an image, from the file; those of images that it does not know stay. */
int ds_saved_follow(const ds_saved_file *f, const ds_saved *arrays, int n, const size_t *rows, ds_error *e);
