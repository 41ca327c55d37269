/* Classify images with a network that darknet-sat has trained, from C:
 *     cc x.c $(pkg-config --cflags --libs darknet-sat)
 * Answers, confidences and verdicts are those of `darknet-sat classifier predict`, to the bit where as many
 * images at once are computed by as many threads.
 *
 * The library prints nothing and never ends the process, but where memory runs out (see the last function).
 * It leaves signals, environment, floating-point mode and malloc as they are: models compute on threads of
 * their own, on which signals are blocked. Any thread may use any model, several at once; none may use one
 * that is being closed. After fork() the child has none of these threads: models opened before give
 * DARKNET_SAT_USAGE there, and closing them does nothing; it may open others. What functions take is the
 * caller's and is not looked at after they have returned. */
#ifndef DARKNET_SAT_H
#define DARKNET_SAT_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* "0.1.0": of the library that is loaded. */
const char *darknet_sat_version(void);

/* What functions return, and answers have as `error`. */
enum darknet_sat_code {
    DARKNET_SAT_OK = 0,
    DARKNET_SAT_INPUT = -1,   /* a file, an image or an argument is wrong */
    DARKNET_SAT_USAGE = -2,   /* an option is wrong */
    DARKNET_SAT_IO = -5,      /* reading failed */
    DARKNET_SAT_MEMORY = -6,  /* an image or a batch is larger than memory */
    DARKNET_SAT_BACKEND = -7, /* what computes the layers refused */
};
/* A code in words, of static memory. */
const char *darknet_sat_code_text(int code);

/* Why a function failed; NULL may be given instead. */
struct darknet_sat_error {
    int code;
    char text[2100]; /* "file:line: what, expected what" */
};

/* ---- models ---- */

typedef struct darknet_sat_model darknet_sat_model;

/* Zero it, then set `size`; 0 and NULL are the defaults. */
struct darknet_sat_options {
    size_t size;           /* sizeof(struct darknet_sat_options) */
    const char *data;      /* a .data file, for the names of the classes; NULL: they have none */
    const char *precision; /* "f32", "bf16", "auto" or "cfg", as [net] says: NULL */
    int batch;             /* images computed at once, 1 to 4096; 0: 32 */
    int threads;           /* that compute one batch; 0: one a core */
    /* Batches computed at the same time, 1 to 64; 0: 1. Each has a copy of the weights. With more than one
     * set `threads` to the cores divided by them, and OMP_WAIT_POLICY=passive in the environment of the
     * program: threads that wait then leave the cores to others. */
    int workers;
};

/* A network and, as its [reject] says, threshold, thresholds of classes, novelty, views and the networks of
 * with=. options may be NULL. Without oneDNN, or with layers that only Darknet's own library computes:
 * DARKNET_SAT_INPUT, naming the layer; that library is never opened. *model: NULL after an error. */
int darknet_sat_open(const char *cfg, const char *weights, const struct darknet_sat_options *options,
                     darknet_sat_model **model, struct darknet_sat_error *error);
/* Waits for calls that other threads have begun; none may begin later. NULL: nothing. */
void darknet_sat_close(darknet_sat_model *model);

struct darknet_sat_info {
    int width, height, channels; /* of what the network takes; channels is 1 or 3 */
    int classes, batch;
    const char *const *names; /* classes; NULL without options.data */
    const char *confidence;   /* "msp" …: how surely an answer is right is measured by it */
    double threshold;         /* NaN: none, everything is accepted, */
    const double *thresholds; /* or those of the classes; NULL: one for all */
    double novelty_rate; /* images with a p-value below are unknown; NaN: nothing is known of strangers */
    const char *backend; /* "onednn (3.7.1, AVX-512, f32)" */
    const char *const *notes; /* what speaks against the threshold, say; NULL ends them */
    int upright;              /* files are turned as their EXIF data say; 0: exif=0 of options.data */
};
/* Valid until the model is closed. */
const struct darknet_sat_info *darknet_sat_info(const darknet_sat_model *model);

/* ---- answers ---- */

enum darknet_sat_verdict {
    DARKNET_SAT_UNSURE, /* the confidence is below the threshold */
    DARKNET_SAT_ACCEPTED,
    DARKNET_SAT_UNKNOWN, /* like no image of training, by novelty= */
};
/* "unsure", "accepted", "unknown". */
const char *darknet_sat_verdict_text(int verdict);

struct darknet_sat_answer {
    int error;              /* darknet_sat_code: why there is no answer; all below but error_text is 0 then */
    const char *error_text; /* NULL without an error */
    int class_index;        /* the most probable class, 0 … classes - 1 */
    const char *name;       /* its name; NULL without options.data */
    int verdict;            /* darknet_sat_verdict */
    double confidence;      /* higher: surer. NaN: the network gave no numbers; never accepted */
    double threshold;       /* that counted; NaN: none */
    double novelty;         /* p-value, 1 where nothing is known of strangers */
    const double *probabilities; /* classes; the output that a target may abstain by is none of them */
};

enum darknet_sat_kind {
    DARKNET_SAT_FILE,  /* data: a path */
    DARKNET_SAT_BYTES, /* data: an image file, as `predict` reads them */
    /* data: height x width x channels bytes, rows of pixels, red first. Any size: the largest central square
     * is scaled to the network's, as that of a file. */
    DARKNET_SAT_PIXELS,
    /* data: channels x height x width floats in [0, 1], planes of red, green, blue, the network's size: what
     * it takes as it is. */
    DARKNET_SAT_FLOATS,
};

struct darknet_sat_image {
    int kind; /* darknet_sat_kind */
    const void *data;
    size_t size;                 /* bytes; not of a path */
    int width, height, channels; /* of pixels and floats; channels: the network's */
};

/* n answers, in the order of the images, of fresh memory in *answers; an image that has no answer is no
 * failure of the call. As many images as info->batch are computed at once. After a failure *answers is
 * NULL. Images are decoded in this process: those of strangers are better decoded where it has no rights. */
int darknet_sat_classify(darknet_sat_model *model, const struct darknet_sat_image *images, size_t n,
                         struct darknet_sat_answer **answers, struct darknet_sat_error *error);
/* One image; one that has no answer is a failure. */
int darknet_sat_classify_file(darknet_sat_model *model, const char *path, struct darknet_sat_answer **answer,
                              struct darknet_sat_error *error);
int darknet_sat_classify_bytes(darknet_sat_model *model, const void *bytes, size_t n,
                               struct darknet_sat_answer **answer, struct darknet_sat_error *error);
int darknet_sat_classify_pixels(darknet_sat_model *model, const unsigned char *pixels, int width, int height,
                                int channels, struct darknet_sat_answer **answer,
                                struct darknet_sat_error *error);
int darknet_sat_classify_floats(darknet_sat_model *model, const float *pixels,
                                struct darknet_sat_answer **answer, struct darknet_sat_error *error);
/* All of what one call gave, names excepted, which are the model's. NULL: nothing. */
void darknet_sat_free(struct darknet_sat_answer *answers);

/* ---- memory ---- */

/* Called, on whatever thread, when memory runs out, instead of "error: out of memory" on standard error and
 * status 1, which follow where it returns. Of the whole process; NULL: none. */
void darknet_sat_on_out_of_memory(void (*handler)(void));

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
