/* Images and labels: .data files, lists, decoding, preprocessing, augmentation, the prefetching loader. */
#ifndef DS_DATA_H
#define DS_DATA_H

#include "base/error.h"
#include "base/option.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- datafile.c: the .data file ---- */

typedef enum ds_labels_from { DS_SUBSTRING, DS_DIRECTORY, DS_FILENAME, DS_LIST } ds_labels_from;

typedef struct ds_datafile {
    char *path;
    /* as written; the lists' paths are resolved when they are read */
    char *train, *valid, *calib, *test, *labels_path, *names_path, *backup;
    int classes_key; /* `classes=`, 0 when absent; checked against the labels */
    int top;
    int labels_from;
    char **labels; /* classes texts, unique, as in labels= */
    char **names;  /* classes texts for display; the labels when names= is absent */
    int classes;
    struct ds_label_index *index; /* finds labels in paths */
} ds_datafile;

extern const ds_option ds_datafile_options[];
/* Reads the file and its labels. labels= and names= are found from the current folder or beside the .data
 * file; `backup` defaults to "backup". Errors with file:line; `d` is cleared then. */
int ds_datafile_read(const char *path, ds_datafile *d, ds_error *e);
void ds_datafile_clear(ds_datafile *d);

/* ---- list.c: lists of images ---- */

typedef struct ds_images {
    int n;
    char **paths; /* as they can be opened */
    int *labels;  /* n class indices */
    char *list;   /* path of the list, for messages */
} ds_images;

/* Read the list at `list` (train=, valid= … of d) and label every image; relative paths: current folder,
 * else the list's folder.
 * An image with no or several labels: error at list:line that names the image and the labels. */
int ds_images_read(const ds_datafile *d, const char *list, ds_images *images, ds_error *e);
/* The same for images whose labels do not matter or are none of d's: every label is -1. */
int ds_images_read_unlabelled(const ds_datafile *d, const char *list, ds_images *images, ds_error *e);
/* Label of one path under the rules of d (not DS_LIST): class index or an error. */
int ds_label_of(const ds_datafile *d, const char *path, int *label, ds_error *e);
void ds_images_clear(ds_images *images);

/* ---- overlap.c: lists that must not share an image ---- */

/* Is every image of `list` in none of the `others` (n lists as written in d; NULL ones are skipped)? An image is the same
 * when it is the same file, links seen through, or has the same bytes; `threads` threads read those files that have a
 * counterpart of equal size. DS_EINPUT at the first line of `list` that another list holds too: names that
 * list's line, and how many more there are. Images of `others` that cannot be read are not compared, which a note says. */
int ds_list_check_apart(const ds_datafile *d, const char *list, const char *const *others, int n, int threads,
                        ds_notes *notes, ds_error *e);

/* ---- image.c: pixels ---- */

/* w x h x c bytes, interleaved rows, c = 1 or 3. */
typedef struct ds_image {
    int w, h, c;
    unsigned char *px; /* owned */
} ds_image;

/* Decode from a file (stb_image, from memory) to `channels` 1 or 3; grey, alpha, 16 bit are converted.
 * An error names the path and the reason. */
int ds_image_read(const char *path, int channels, ds_image *im, ds_error *e);
void ds_image_clear(ds_image *im);

/* ---- thumb.c ---- */

/* The image at `path` as a PNG of at most 96 pixels a side, *n bytes of fresh memory in *png. DS_EIO,
 * DS_EINPUT: no regular file, or none that can be decoded. */
int ds_thumb_png(const char *path, unsigned char **png, size_t *n, ds_error *e);

/* Preprocessing of valid, predict and reject: the largest central square, bilinear to w x h, [0, 1], as
 * the host's `classifier valid` (center_crop_image). out: c x h x w floats. */
void ds_prepare_center(const ds_image *im, int w, int h, float *out);

/* Augmentation of training, the host's meanings (random_augment_image, flip, random_distort_image). */
typedef struct ds_augment {
    int w, h; /* of the network */
    /* short side after scaling, a uniform integer; the host's min_ratio * w and max_ratio * w */
    double min_size, max_size;
    double angle;                        /* degrees */
    double aspect, saturation, exposure; /* factors, 1: none */
    double hue;                          /* 0: none */
    bool flip;                           /* mirror half of the images */
    bool center;                         /* the central square instead of a random crop */
} ds_augment;
/* One augmented image, a function of (image, augment, seed, epoch, sample) alone. out: c x h x w floats in
 * [0, 1], what the host's functions (rotate_crop_image, flip_image, distort_image) give for the same drawn
 * numbers. */
void ds_prepare_augmented(const ds_image *im, const ds_augment *a, uint64_t seed, uint64_t epoch,
                          uint64_t sample, float *out);

/* ---- loader.c: prefetching on threads of its own ---- */

typedef struct ds_loader ds_loader; /* opaque */

/* Decoding threads for the flag -loaders: `asked`, or when that is 0 one a core, 8 at most. */
int ds_loader_threads(int asked);

typedef struct ds_loader_setup {
    const ds_images *images; /* must outlive the loader */
    int w, h, c;
    int batch;                 /* images a sub-batch */
    int threads;               /* >= 1 */
    size_t cache_bytes;        /* decoded images kept in memory */
    const ds_augment *augment; /* NULL: ds_prepare_center */
    /* true (training): seeded order, every image once an epoch, batches cross epoch borders.
     * false: list order once; the last batch is padded with its last image */
    bool endless;
    uint64_t seed;
    uint64_t start; /* endless: position in the stream (images seen before) */
} ds_loader_setup;

typedef struct ds_batch {
    const float *pixels; /* batch x c x h x w, valid until the next call */
    const int *labels;   /* batch */
    const uint32_t *ids; /* batch: index into images */
    int n;               /* real images (< batch only in the last padded batch) */
    uint64_t first;      /* stream position of the first image */
} ds_batch;

int ds_loader_new(const ds_loader_setup *s, ds_loader **loader, ds_error *e);
/* Next batch in order; n = 0 at the end of a list that is not endless. Blocks until it is there; an
 * undecodable image is an error here (it stays one on later calls). Bit-equal for any number of threads. */
int ds_loader_next(ds_loader *l, ds_batch *b, ds_error *e);
/* Seconds that ds_loader_next spent waiting so far. */
double ds_loader_waited(const ds_loader *l);
void ds_loader_free(ds_loader *l);

/* Decode every image once, on `threads` threads: bad[i] tells the undecodable ones, reasons[i] (the caller's to free;
 * NULL for the others) says why. Returns the number of bad ones. */
int ds_images_probe(const ds_images *images, int channels, int threads, bool *bad, char **reasons);
/* Take the marked images out of the list. */
void ds_images_drop(ds_images *images, const bool *bad);

#endif
