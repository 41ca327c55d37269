/* The oneDNN backend against the plain code: every kind of layer, many shapes, every neighbour. In the environment of a lower instruction
 * set it does the same there. */
#include "plugins/onednn/dnnl.h"
#include "tests/unit/onednn_pair.h"

#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXACT 1e-4
#define WINOGRAD 1e-3

typedef struct shape {
    int batch;
    double tolerance;
    const char *text;
} shape;

#define COUNT(v) (sizeof(v) / sizeof *(v))

static void compare_all(const shape *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        compare(s[i].text, s[i].batch, s[i].tolerance);
}

#define FIRST CONV(16, 3, 1, "tanh", PAD)

static void convolutions(void **state)
{
    (void)state;
    static const shape all[] = {
        {1, EXACT, NET(9, 7, 1) CONV(5, 3, 1, "tanh", PAD BN) CONV(7, 3, 1, "logistic", PAD) HEAD},
        {3, EXACT, NET(11, 9, 3) CONV(16, 3, 1, "tanh", PAD BN) CONV(19, 3, 1, "leaky", PAD BN) HEAD},
        /* filters larger than the picture */
        {3, EXACT,
         NET(2, 2, 3) CONV(16, 3, 1, "tanh", PAD) CONV(32, 3, 1, "tanh", PAD BN) CONV(16, 5, 1, "tanh", PAD)
             HEAD},
        /* steps larger than the picture */
        {3, EXACT, NET(1, 1, 3) CONV(17, 1, 1, "tanh", "") CONV(32, 5, 2, "tanh", PAD BN) HEAD},
        {3, EXACT, NET(2, 2, 3) CONV(16, 1, 1, "tanh", "") CONV(32, 3, 3, "tanh", PAD BN) HEAD},
        {3, EXACT, NET(1, 1, 3) CONV(17, 1, 1, "tanh", "") CONV(32, 1, 2, "tanh", PAD BN) HEAD},
        {5, EXACT, NET(8, 8, 3) CONV(1, 3, 1, "linear", PAD BN) CONV(1, 3, 1, "tanh", BN) HEAD},
        {3, EXACT, NET(13, 11, 3) CONV(8, 7, 2, "tanh", PAD) CONV(8, 5, 1, "tanh", PAD BN) HEAD},
        {3, EXACT, NET(13, 11, 4) CONV(17, 5, 2, "tanh", BN) CONV(33, 1, 1, "tanh", BN) HEAD},
        {2, EXACT, NET(12, 12, 5) CONV(24, 1, 2, "tanh", BN) CONV(20, 1, 1, "linear", "") HEAD},
        {2, EXACT, NET(14, 14, 3) CONV(12, 3, 2, "linear", BN) CONV(12, 3, 2, "tanh", PAD BN) HEAD},
        {1, EXACT, NET(16, 9, 3) CONV(40, 7, 3, "tanh", "padding=2\n") CONV(3, 3, 1, "tanh", PAD) HEAD},
        {3, EXACT, NET(9, 9, 3) FIRST CONV(9, 2, 1, "tanh", PAD BN) CONV(9, 4, 2, "tanh", PAD) HEAD},
        {3, EXACT, NET(9, 9, 3) FIRST CONV(9, 3, 1, "tanh", "padding=2\n" BN) HEAD},
        {3, EXACT, NET(9, 9, 3) FIRST CONV(9, 3, 1, "tanh", "padding=3\n" BN) HEAD},
        {3, EXACT, NET(9, 9, 3) FIRST CONV(9, 9, 1, "tanh", BN) CONV(20, 1, 1, "tanh", BN) HEAD},
    };
    compare_all(all, COUNT(all));
}

static void winograd(void **state)
{
    (void)state;
    static const shape all[] = {
        {9, WINOGRAD, NET(8, 8, 3) CONV(32, 3, 1, "tanh", PAD BN) CONV(48, 3, 1, "linear", PAD BN) HEAD},
        {3, WINOGRAD,
         NET(12, 12, 16) CONV(32, 3, 1, "tanh", PAD) CONV(32, 3, 1, "logistic", PAD BN) SHORTCUT(-2, "tanh")
             HEAD},
        {8, WINOGRAD,
         NET(12, 11, 16) CONV(32, 3, 1, "tanh", PAD) CONV(32, 3, 1, "leaky", PAD BN) MAXPOOL(2, 2)
             CONV(32, 3, 1, "linear", PAD BN) SHORTCUT(-2, "leaky") HEAD},
    };
    compare_all(all, COUNT(all));
}

/* In bfloat16 matrix products; the last by tiles, of more images than are taken at a time. */
static void narrow(void **state)
{
    (void)state;
    static const shape all[] = {
        {9, EXACT,
         NET(4, 4, 16) CONV(32, 3, 1, "tanh", PAD BN) CONV(17, 3, 1, "linear", PAD)
             CONV(32, 3, 1, "linear", PAD BN) SHORTCUT(0, "leaky") HEAD},
        {11, EXACT,
         NET(9, 3, 16) CONV(16, 3, 2, "tanh", PAD BN) CONV(40, 3, 1, "leaky", PAD) MAXPOOL(2, 2) HEAD},
        {33, EXACT,
         NET(4, 3, 5) CONV(9, 5, 1, "tanh", PAD) CONV(33, 1, 1, "leaky", BN) CONV(16, 1, 1, "tanh", "") HEAD},
        {17, EXACT,
         NET(2, 2, 3) CONV(9, 3, 1, "tanh", "padding=3\n" BN) CONV(9, 2, 1, "tanh", "")
             CONV(16, 1, 1, "tanh", "") HEAD},
        {70, EXACT,
         NET(1, 1, 3) CONV(17, 1, 1, "tanh", "") CONV(32, 3, 1, "tanh", PAD BN) CONV(16, 3, 2, "tanh", PAD BN)
             HEAD},
        {3, EXACT, NET(8, 8, 3) CONV(17, 3, 1, "tanh", PAD) CONV(32, 3, 2, "tanh", PAD BN) HEAD},
        {45, WINOGRAD, NET(16, 12, 3) CONV(32, 1, 1, "tanh", "") CONV(48, 3, 1, "tanh", PAD BN) HEAD},
    };
    compare_all(all, COUNT(all));
}

/* oneDNN 2.6 makes code for it that crashes. */
static void far_strides_are_refused(void **state)
{
    (void)state;
    ds_error e = {0};
    ds_dnnl *d;
    assert_int_equal(ds_dnnl_new(&d, &e), DS_OK);
    ds_conv_spec spec = {.bf16 = true,
                         .block = 16,
                         .batch = 2,
                         .groups = 1,
                         .c = 16,
                         .h = 28,
                         .w = 28,
                         .n = 16,
                         .out_h = 1,
                         .out_w = 1,
                         .size = 3,
                         .stride = 1000,
                         .pad = 1};
    for (int kind = DS_CONV_TRAIN; kind <= DS_CONV_GRAD_WEIGHTS; kind++) {
        ds_conv *conv;
        spec.kind = (ds_conv_kind)kind;
        assert_int_equal(ds_conv_new(d, &spec, &conv, &e), DS_EHOST);
    }
    ds_dnnl_free(d);
}

static void groups(void **state)
{
    (void)state;
    static const shape all[] = {
        {3, EXACT, NET(9, 7, 4) CONV(4, 3, 1, "tanh", PAD "groups=4\n") CONV(6, 1, 1, "tanh", BN) HEAD},
        {3, EXACT,
         NET(9, 7, 3) CONV(16, 3, 1, "tanh", PAD) CONV(16, 3, 1, "tanh", PAD BN "groups=16\n") HEAD},
        {2, EXACT,
         NET(9, 7, 3) CONV(24, 3, 1, "tanh", PAD) CONV(24, 3, 2, "tanh", PAD BN "groups=24\n") HEAD},
        {1, EXACT, NET(8, 8, 3) CONV(32, 3, 1, "tanh", PAD) CONV(32, 3, 1, "tanh", PAD BN "groups=2\n") HEAD},
        {3, EXACT, NET(8, 8, 3) CONV(12, 3, 1, "tanh", PAD) CONV(18, 3, 1, "tanh", PAD BN "groups=3\n") HEAD},
        {3, EXACT,
         NET(8, 8, 3) CONV(10, 3, 1, "tanh", PAD) CONV(10, 3, 1, "linear", PAD BN "groups=5\n")
             SHORTCUT(-2, "tanh") CONV(10, 3, 1, "linear", PAD BN "groups=10\n") MAXPOOL(2, 2) HEAD},
        {2, EXACT,
         NET(8, 8, 6) CONV(6, 1, 1, "tanh", "groups=6\n") CONV(8, 5, 1, "tanh", PAD "groups=2\n") HEAD},
        {2, EXACT, NET(8, 8, 3) CONV(32, 1, 1, "tanh", "") CONV(32, 3, 1, "tanh", BN PAD "groups=4\n") HEAD},
    };
    compare_all(all, COUNT(all));
}

static void pooling(void **state)
{
    (void)state;
    static const char *const pools[] = {
        MAXPOOL(2, 2),
        MAXPOOL(2, 1),
        MAXPOOL(3, 2),
        MAXPOOL(3, 3),
        MAXPOOL(3, 1),
        MAXPOOL(1, 1),
        MAXPOOL(2, 3),
        MAXPOOL(1, 2),
        "[maxpool]\nsize=3\nstride=2\npadding=0\n",
        "[maxpool]\nsize=2\nstride=2\npadding=0\n",
        "[maxpool]\nsize=3\nstride=3\npadding=1\n",
        "[maxpool]\nsize=5\nstride=1\n",
    };
    for (size_t i = 0; i < COUNT(pools); i++) {
        static const char *const before[] = {CONV(18, 3, 1, "tanh", PAD BN), CONV(7, 3, 1, "leaky", PAD),
                                             CONV(9, 3, 1, "linear", PAD) "[batchnorm]\n"};
        for (size_t k = 0; k < COUNT(before); k++) {
            char *text = ds_format("%s%s%s%s", NET(11, 8, 3), before[k], pools[i],
                                   CONV(5, 3, 1, "tanh", PAD) "[avgpool]\n" HEAD);
            compare_training(text, 3, EXACT);
            free(text);
        }
    }
    compare(NET(9, 9, 3) MAXPOOL(2, 2) FIRST HEAD, 3, EXACT);
    compare(NET(9, 9, 3) FIRST MAXPOOL(2, 2) MAXPOOL(2, 1) SHORTCUT(-2, "linear") HEAD, 3, EXACT);
    compare(NET(9, 9, 3) FIRST "[avgpool]\n" HEAD, 5, EXACT);
    compare(NET(9, 9, 3) CONV(4, 3, 1, "tanh", PAD BN) "[avgpool]\n[softmax]\n", 5, EXACT);
}

static void connected(void **state)
{
    (void)state;
    static const shape all[] = {
        {3, EXACT, NET(5, 4, 3) CONNECTED(21, "tanh", "") CONNECTED(17, "logistic", BN) HEAD},
        {5, EXACT, NET(5, 4, 3) CONNECTED(9, "linear", BN) CONNECTED(1, "tanh", "") HEAD},
        {1, EXACT, NET(5, 4, 1) CONNECTED(32, "tanh", "") CONNECTED(16, "leaky", "") HEAD},
        {4, EXACT, NET(7, 5, 3) FIRST CONNECTED(13, "tanh", BN) HEAD},
        {4, EXACT,
         NET(7, 5, 3) FIRST CONNECTED(13, "tanh", "") CONNECTED(13, "linear", BN) SHORTCUT(-2, "tanh") HEAD},
        {4, EXACT, NET(7, 5, 3) FIRST "[avgpool]\n" CONNECTED(6, "tanh", "") SHORTCUT(-2, "tanh") HEAD},
        {4, EXACT, NET(7, 5, 3) FIRST CONNECTED(13, "tanh", "") CONNECTED(9, "tanh", "") ROUTE("-1,-2") HEAD},
        {4, EXACT,
         NET(7, 5, 3) FIRST CONNECTED(13, "linear", "") "[batchnorm]\n[activation]\nactivation=elu\n" HEAD},
        {4, EXACT, NET(7, 5, 3) FIRST CONNECTED(13, "tanh", "") CONV(5, 1, 1, "tanh", BN) HEAD},
    };
    compare_all(all, COUNT(all));
}

static void activations(void **state)
{
    (void)state;
    static const char *const names[] = {"logistic", "loggy", "relu",   "elu",  "selu",  "relie", "plse",
                                        "hardtan",  "lhtan", "linear", "ramp", "leaky", "tanh",  "stair"};
    static const char *const where[] = {
        "[convolutional]\nfilters=32\nsize=3\npad=1\nbatch_normalize=1\nactivation=%s\n",
        "[convolutional]\nfilters=32\nsize=3\npad=1\nactivation=%s\n",
        "[convolutional]\nfilters=16\nsize=3\npad=1\nbatch_normalize=1\nactivation=linear\n"
        "[shortcut]\nfrom=-2\nactivation=%s\n",
        "[shortcut]\nfrom=-1\nactivation=%s\n",
        "[connected]\noutput=11\nbatch_normalize=1\nactivation=%s\n",
        "[activation]\nactivation=%s\n",
        "[convolutional]\nfilters=16\nsize=3\npad=1\nbatch_normalize=1\nactivation=%s\n[maxpool]\nsize="
        "2\nstride=2\n",
    };
    for (size_t i = 0; i < COUNT(names); i++)
        for (size_t k = 0; k < COUNT(where); k++) {
            char *middle = ds_format(where[k], names[i]);
            char *text = ds_format("%s%s%s", NET(6, 5, 3) FIRST, middle, HEAD);
            compare_training(text, 3, EXACT);
            free(middle);
            free(text);
        }
}

static void single_layers(void **state)
{
    (void)state;
    static const shape all[] = {
        {3, EXACT, NET(6, 5, 3) FIRST "[batchnorm]\n" HEAD},
        {3, EXACT, NET(6, 5, 3) "[batchnorm]\n" FIRST HEAD},
        {3, EXACT, NET(6, 5, 3) FIRST "[batchnorm]\n" SHORTCUT(-2, "tanh") HEAD},
        {3, EXACT, NET(6, 5, 3) FIRST FIRST "[batchnorm]\n" SHORTCUT(0, "leaky") HEAD},
        {3, EXACT, NET(6, 5, 3) FIRST "[batchnorm]\n[batchnorm]\n" SHORTCUT(-2, "tanh") HEAD},
        {3, EXACT, NET(6, 5, 3) FIRST "[batchnorm]\n" MAXPOOL(2, 2) HEAD},
        {3, EXACT, NET(6, 5, 3) "[activation]\nactivation=elu\n" FIRST HEAD},
        {3, EXACT, NET(6, 5, 3) FIRST "[dropout]\nprobability=0\n" HEAD},
        {3, EXACT, NET(6, 5, 3) FIRST "[dropout]\nprobability=0\n" SHORTCUT(-2, "tanh") HEAD},
        {3, EXACT, NET(6, 5, 3) FIRST ROUTE("-1") HEAD},
        {3, EXACT,
         NET(6, 5, 3) FIRST ROUTE("-1") ROUTE("-1") CONV(16, 1, 1, "linear", "") SHORTCUT(0, "tanh") HEAD},
    };
    compare_all(all, COUNT(all));
}

static void shortcuts(void **state)
{
    (void)state;
    static const shape all[] = {
        /* one picture, other channels */
        {3, EXACT, NET(8, 8, 3) FIRST CONV(9, 3, 1, "linear", PAD BN) SHORTCUT(-2, "tanh") HEAD},
        {3, EXACT,
         NET(8, 8, 3) CONV(19, 3, 1, "tanh", PAD) CONV(16, 3, 1, "linear", PAD) SHORTCUT(-2, "leaky") HEAD},
        /* the other is larger, smaller */
        {3, EXACT, NET(8, 8, 3) FIRST CONV(20, 3, 2, "linear", PAD BN) SHORTCUT(-2, "tanh") HEAD},
        {3, EXACT, NET(10, 10, 3) FIRST CONV(32, 3, 2, "linear", PAD BN) SHORTCUT(-2, "tanh") HEAD},
        {3, EXACT, NET(8, 8, 3) FIRST MAXPOOL(2, 2) "[upsample]\nstride=2\n" SHORTCUT(1, "tanh") HEAD},
        {3, EXACT, NET(8, 8, 3) FIRST MAXPOOL(2, 2) ROUTE("0") SHORTCUT(1, "tanh") HEAD},
        /* far, several from one layer, several to one layer */
        {3, EXACT,
         NET(7, 6, 3) FIRST CONV(16, 3, 1, "linear", PAD BN) SHORTCUT(0, "tanh") CONV(16, 1, 1, "linear", BN)
             SHORTCUT(0, "tanh") CONV(16, 3, 1, "linear", PAD) SHORTCUT(0, "linear") HEAD},
        {3, EXACT,
         NET(7, 6, 3) FIRST CONV(16, 3, 1, "linear", PAD BN) SHORTCUT(0, "linear") SHORTCUT(1, "tanh")
             SHORTCUT(-1, "linear") SHORTCUT(0, "elu") HEAD},
        {3, EXACT,
         NET(7, 6, 3) FIRST CONV(16, 3, 1, "linear", PAD BN) SHORTCUT(-2, "linear")
             CONV(16, 3, 1, "linear", PAD BN) SHORTCUT(-2, "linear") CONV(16, 3, 1, "linear", PAD BN)
                 SHORTCUT(-2, "linear") HEAD},
        {3, EXACT, NET(7, 6, 3) FIRST CONV(16, 3, 1, "tanh", PAD BN) SHORTCUT(-2, "tanh") HEAD},
        {3, EXACT,
         NET(7, 6, 3) FIRST CONV(3, 1, 1, "tanh", BN) CONV(16, 3, 1, "linear", PAD BN) SHORTCUT(-3, "leaky")
             CONV(3, 1, 1, "tanh", BN) CONV(16, 3, 1, "linear", PAD BN)
                 SHORTCUT(-3, "relu") "[avgpool]\n" HEAD},
        {3, EXACT,
         NET(7, 6, 3) FIRST CONV(16, 3, 1, "linear", PAD) SHORTCUT(0, "linear") ROUTE("0,1,2") HEAD},
    };
    compare_all(all, COUNT(all));
}

static void routes(void **state)
{
    (void)state;
    static const shape all[] = {
        {3, EXACT,
         NET(7, 6, 3) FIRST CONV(17, 1, 1, "tanh", BN) ROUTE("-1,-2") CONV(5, 3, 1, "tanh", PAD) HEAD},
        {3, EXACT,
         NET(7, 6, 3) FIRST CONV(9, 1, 1, "tanh", BN) CONV(16, 1, 1, "tanh", BN) ROUTE("0,2,1")
             CONV(5, 3, 1, "tanh", PAD) ROUTE("3") CONV(7, 1, 1, "tanh", BN) ROUTE("-1,4,3") HEAD},
        {3, EXACT, NET(7, 6, 3) FIRST ROUTE("0") FIRST ROUTE("0") FIRST ROUTE("2,4") HEAD},
        {3, EXACT, NET(7, 6, 3) FIRST ROUTE("0,0") FIRST ROUTE("1,1") HEAD},
        {3, EXACT,
         NET(8, 6, 3) FIRST "[reorg]\nstride=2\n" CONV(5, 1, 1, "tanh", "") ROUTE("0") MAXPOOL(2, 2)
             ROUTE("-1,1,2") HEAD},
        {3, EXACT,
         NET(8, 6, 3) FIRST "[upsample]\nstride=2\n" ROUTE("-1") CONV(5, 1, 1, "tanh", "") ROUTE("-3")
             CONV(5, 1, 1, "tanh", "") ROUTE("-1,-3") HEAD},
        {3, EXACT, NET(7, 6, 3) FIRST CONV(16, 3, 1, "linear", PAD BN) ROUTE("-1") SHORTCUT(0, "tanh") HEAD},
        {3, EXACT,
         NET(7, 6, 3) FIRST CONV(16, 3, 1, "tanh", PAD BN) ROUTE("-1") "[upsample]\nstride=2\n" HEAD},
        {3, EXACT,
         NET(7, 6, 3) CONV(16, 3, 1, "tanh", PAD) CONV(32, 3, 1, "tanh", PAD BN) ROUTE("-1,-2")
             CONV(4, 1, 1, "tanh", BN) ROUTE("-1,-2") MAXPOOL(2, 2) HEAD},
    };
    compare_all(all, COUNT(all));
}

/* A layer of the host between ours, with and without other readers around it. */
static void host_between(void **state)
{
    (void)state;
    static const char *const host[] = {
        "[upsample]\nstride=2\n",
        "[upsample]\nstride=1\n",
        "[reorg]\nstride=2\n",
        "[normalization]\nsize=3\n",
        "[local]\nfilters=6\nsize=3\nstride=1\npad=1\nactivation=tanh\n",
        "[deconvolutional]\nfilters=6\nsize=2\nstride=2\nactivation=tanh\n",
        "[deconvolutional]\nfilters=20\nsize=2\nstride=2\nbatch_normalize=1\nactivation=tanh\n",
    };
    static const char *const around[][2] = {
        {FIRST, CONV(9, 3, 1, "tanh", PAD BN) HEAD},
        {FIRST, CONV(9, 3, 1, "linear", PAD BN) SHORTCUT(-2, "tanh") HEAD},
        {FIRST, CONV(16, 3, 1, "linear", PAD BN) SHORTCUT(-2, "tanh") HEAD},
        {FIRST,
         CONV(16, 3, 1, "linear", PAD) SHORTCUT(-2, "tanh") CONV(5, 1, 1, "tanh", "") ROUTE("-1,1") HEAD},
        {FIRST, "[batchnorm]\n" SHORTCUT(-2, "tanh") HEAD},
        {FIRST, SHORTCUT(-2, "tanh") HEAD},
        {FIRST, SHORTCUT(-1, "tanh") HEAD},
        {FIRST, MAXPOOL(2, 2) HEAD},
        {FIRST, "[avgpool]\n" HEAD},
        {FIRST, HEAD},
        {FIRST, ROUTE("-1,-1") HEAD},
        {FIRST, CONNECTED(9, "tanh", "") ROUTE("1") CONNECTED(9, "tanh", "") ROUTE("-1,-3") HEAD},
        {FIRST, "[activation]\nactivation=tanh\n" SHORTCUT(-2, "elu") HEAD},
        {CONV(16, 3, 1, "linear", PAD BN) MAXPOOL(2, 2), CONV(9, 3, 1, "tanh", PAD BN) HEAD},
        {FIRST CONV(16, 3, 1, "linear", PAD BN) SHORTCUT(0, "tanh"), FIRST HEAD},
        {FIRST "[batchnorm]\n", FIRST HEAD},
        {FIRST "[dropout]\nprobability=0\n", "[dropout]\nprobability=0\n" FIRST HEAD},
        {FIRST CONV(8, 1, 1, "leaky", BN) ROUTE("0,1"), FIRST ROUTE("-1") HEAD},
        {"[activation]\nactivation=linear\n" ROUTE("-1,-1,-1,-1"), FIRST CONV(5, 1, 1, "tanh", BN) HEAD},
    };
    for (size_t i = 0; i < COUNT(host); i++)
        for (size_t k = 0; k < COUNT(around); k++) {
            char *text = ds_format("%s%s%s%s", NET(8, 8, 3), around[k][0], host[i], around[k][1]);
            compare_training(text, 2, EXACT);
            free(text);
        }
    compare(NET(8, 8, 3) FIRST CONV(
                16, 3, 1, "linear",
                PAD BN) "[shortcut]\nfrom=-2\nalpha=.5\nbeta=2\nactivation=tanh\n" CONV(16, 3, 1, "linear",
                                                                                        PAD BN)
                SHORTCUT(0, "tanh") HEAD,
            3, EXACT);
    compare(NET(17, 17, 3)
                FIRST CONV(16, 3, 1, "linear", PAD BN) "[maxpool]\nsize=16\nstride=1\npadding=0\n" FIRST HEAD,
            3, EXACT);
    compare(NET(8, 8, 3) "[crop]\ncrop_width=8\ncrop_height=8\nflip=0\nangle=0\nnoadjust=1\n" FIRST HEAD, 3,
            EXACT);
}

/* What is frozen, at every place of a network with every kind of fused group. */
static void frozen(void **state)
{
    (void)state;
#define STOP "stopbackward=1\n"
    static const char *const layers[] = {
        CONV(16, 3, 1, "tanh", PAD BN),
        CONV(16, 3, 1, "linear", PAD BN),
        SHORTCUT(-2, "tanh"),
        CONV(16, 3, 1, "leaky", PAD),
        MAXPOOL(2, 2),
        "[dropout]\nprobability=0\n",
        ROUTE("-1"),
        CONV(16, 3, 1, "linear", PAD BN),
        SHORTCUT(-3, "tanh"),
        "[batchnorm]\n",
        "[upsample]\nstride=1\n",
        CONV(7, 1, 1, "linear", BN),
        ROUTE("-1,-2"),
        "[avgpool]\n",
        CONNECTED(9, "tanh", BN),
    };
    for (size_t stop = 0; stop < COUNT(layers); stop++) {
        char *text = ds_strdup(NET(8, 8, 3));
        for (size_t i = 0; i < COUNT(layers); i++) {
            char *longer = ds_format("%s%s%s", text, layers[i], i == stop ? STOP : "");
            free(text);
            text = longer;
        }
        char *whole = ds_format("%s%s", text, HEAD);
        compare_training(whole, 3, EXACT);
        free(whole);
        free(text);
    }
    compare(NET(8, 8, 3) FIRST CONV(16, 3, 1, "tanh", PAD "learning_rate=.5\nonlyforward=1\ndontload=1\n")
                HEAD,
            3, EXACT);
    compare_training(NET(8, 8, 3) FIRST CONNECTED(9, "tanh", STOP) HEAD, 3, EXACT);
}

/* More threads than images, and a network built for other threads in between. */
static void threads(void **state)
{
    (void)state;
    static const char text[] = NET(8, 8, 3) FIRST CONV(32, 3, 1, "linear", PAD BN) MAXPOOL(2, 2)
        CONV(32, 3, 1, "linear", PAD BN) SHORTCUT(-2, "tanh") CONV(32, 3, 1, "tanh", PAD) HEAD;
    static const int counts[][2] = {{1, 5}, {5, 1}, {2, 3}};
    for (size_t i = 0; i < COUNT(counts); i++) {
        pair p = pair_new(text, 9, true);
        ds_net_free(p.net[ONEDNN]);
        p.net[ONEDNN] = build(p.cfg, ONEDNN, 9, true, counts[i][0]);
        vary_parameters(p.net[ONEDNN]);
        ds_net *other = build(p.cfg, ONEDNN, 2, true, counts[i][1]);
        pair_forward(&p);
        check_logits(&p, "threads, inference", WINOGRAD);
        pair_train(&p);
        check_parameters(&p, "threads", WINOGRAD);
        ds_net_free(other);
        pair_free(&p);
    }
}

static void poison(pair *p)
{
    ds_error e = {0};
    size_t n = (size_t)p->net[HOST]->info.batch * (size_t)p->net[HOST]->info.inputs;
    float *pixels = malloc(n * sizeof *pixels);
    for (size_t i = 0; i < n; i++)
        pixels[i] = NAN;
    for (int k = HOST; k <= ONEDNN; k++) {
        check(ds_net_forward(p->net[k], pixels, p->net[k]->info.batch, &e), &e, p->text);
        assert_int_equal(ds_net_train(p->net[k], pixels, p->labels, p->ids, 0, NULL, &e), DS_ENUMERIC);
    }
    free(pixels);
}

/* What a pass left in memory, in the padding of blocks too, has no part in the next. */
static void after_not_a_number(void **state)
{
    (void)state;
    static const char *const nets[] = {
        NET(6, 5, 3) CONV(17, 3, 1, "tanh", PAD) CONV(17, 1, 1, "elu", "") ROUTE("-1,-2")
            CONV(9, 1, 1, "logistic", "") SHORTCUT(-2, "tanh") MAXPOOL(2, 2)
                CONV(33, 1, 1, "tanh", "") "[avgpool]\n" CONNECTED(5, "tanh", "") CONNECTED(3, "tanh", "")
                    ROUTE("-1,-2") HEAD,
        NET(6, 5, 3) CONV(5, 1, 1, "tanh", "") ROUTE("-1,-1") "[activation]\nactivation=logistic\n" CONNECTED(
            21, "tanh", "") "[dropout]\nprobability=0\n" CONNECTED(21, "linear", "") SHORTCUT(-2, "tanh")
            CONNECTED(7, "tanh", "") HEAD,
        NET(6, 6, 3) CONV(18, 1, 1, "tanh", "") "[upsample]\nstride=2\n" CONV(18, 1, 1, "linear", "")
            SHORTCUT(-2, "tanh") ROUTE("-1,1") CONV(7, 1, 1, "tanh", "") MAXPOOL(3, 2) HEAD,
    };
    for (size_t i = 0; i < COUNT(nets); i++) {
        pair p = pair_new(nets[i], 3, true);
        for (int round = 0; round < 2; round++) {
            poison(&p);
            pair_forward(&p);
            check_logits(&p, "inference after not a number", EXACT);
            pair_train(&p);
            check_logits(&p, "training after not a number", EXACT);
            check_parameters(&p, "after not a number", EXACT);
        }
        pair_free(&p);
    }
}

/* ---- networks by chance ------------------------------------------------------------------------------------ */

static int below(ds_rng *r, int n)
{
    return (int)ds_rng_below(r, (uint64_t)n);
}

static char *draw_layer(ds_rng *r, int layers)
{
    static const char *const acts[] = {"linear", "tanh", "leaky", "logistic", "elu"};
    static const int filters[] = {3, 8, 16, 16, 16, 16, 16, 32, 17, 24};
    static const int sizes[] = {1, 1, 3, 3, 3, 5};
    static const char *const host[] = {"[upsample]\nstride=1\n", "[reorg]\nstride=2\n",
                                       "[normalization]\nsize=3\n",
                                       "[local]\nfilters=16\nsize=3\nstride=1\npad=1\nactivation=tanh\n"};
    const char *act = acts[below(r, COUNT(acts))];
    int from = layers > 0 ? below(r, layers) : 0;
    switch (below(r, 18)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
        return ds_format(
            "[convolutional]\nfilters=%d\nsize=%d\nstride=%d\npad=%d\nbatch_normalize=%d\nactivation=%s\n",
            filters[below(r, COUNT(filters))], sizes[below(r, COUNT(sizes))], below(r, 5) ? 1 : 2,
            below(r, 6) > 0, below(r, 2), act);
    case 6:
    case 7:
    case 8:
    case 9:
        return ds_format("[shortcut]\nfrom=%d\nactivation=%s\n", from, act);
    case 10:
        return ds_format("[route]\nlayers=%d\n", from);
    case 11:
        return ds_format("[route]\nlayers=%d,%d\n", from, below(r, layers ? layers : 1));
    case 12:
        return ds_format("[maxpool]\nsize=%d\nstride=%d\n", 1 + below(r, 3), 1 + below(r, 3));
    case 13:
        return ds_strdup("[batchnorm]\n");
    case 14:
        return ds_format("[activation]\nactivation=%s\n", act);
    case 15:
        return ds_strdup("[dropout]\nprobability=0\n");
    case 16:
        return ds_format("[connected]\noutput=%d\nbatch_normalize=%d\nactivation=%s\n", 1 + below(r, 20),
                         below(r, 2), act);
    default:
        return ds_strdup(host[below(r, COUNT(host))]);
    }
}

static bool is_valid(const char *text)
{
    ds_cfg *cfg;
    ds_error e = {0};
    char *whole = ds_format("%s%s", text, HEAD);
    int rc = ds_cfg_parse(whole, "test.cfg", &cfg, NULL, &e);
    free(whole);
    if (!rc)
        ds_cfg_free(cfg);
    return rc == DS_OK;
}

/* Layers are drawn until enough of them fit. */
static char *draw_network(uint64_t seed)
{
    ds_rng r = ds_rng_make(seed, 1, 2);
    int want = 3 + below(&r, 8), layers = 0;
    char *text = ds_format("[net]\nbatch=3\nwidth=%d\nheight=%d\nchannels=3\nmax_batches=10\n",
                           6 + below(&r, 5), 6 + below(&r, 5));
    for (int tries = 0; layers < want && tries < 200; tries++) {
        char *layer = draw_layer(&r, layers);
        char *longer = ds_format("%s%s%s", text, layer, below(&r, 20) ? "" : "stopbackward=1\n");
        bool fits = is_valid(longer);
        free(layer);
        free(fits ? text : longer);
        text = fits ? longer : text;
        layers += fits;
    }
    char *whole = ds_format("%s%s", text, HEAD);
    free(text);
    return whole;
}

/* Batch normalisation over values that are nearly equal magnifies rounding, and an activation's kink can turn it into anything: such
 * networks show no mistake. Here the oracle is run on pixels that are a rounding error apart. */
static bool is_steady(const char *text, int batch)
{
    pair p = pair_of(text, batch, true, HOST, HOST);
    ds_error e = {0};
    check(ds_net_train(p.net[0], p.pixels, p.labels, p.ids, 0, p.loss[0], &e), &e, text);
    for (int i = 0; i < batch * p.net[0]->info.inputs; i++)
        p.pixels[i] *= i % 2 ? 1 + 3e-7f : 1 - 3e-7f;
    check(ds_net_train(p.net[1], p.pixels, p.labels, p.ids, 0, p.loss[1], &e), &e, text);
    bool steady = true;
    int arrays;
    const ds_param *a = ds_net_params(p.net[0], &arrays), *b = ds_net_params(p.net[1], &arrays);
    double floor = gradient_floor(&p);
    for (int k = 0; k < arrays; k++)
        steady &= apart(a[k].values, b[k].values, a[k].n, .1) < 1e-6 &&
                  (!a[k].gradient || apart(a[k].gradient, b[k].gradient, a[k].n, floor) < 1e-4);
    pair_free(&p);
    return steady;
}

static int fuzz_count(void)
{
    const char *n = getenv("DS_TEST_NETWORKS");
    return n ? (int)strtol(n, NULL, 10) : 60;
}

static void by_chance(void **state)
{
    (void)state;
    int n = fuzz_count(), compared = 0;
    for (int i = 0; i < n; i++) {
        char *text = draw_network((uint64_t)i);
        if (getenv("DS_TEST_SHOW"))
            print_message("# network %d\n", i);
        bool steady = is_steady(text, 5);
        if (steady) {
            compare_inference(text, 5, 1e-3);
            compare_training(text, 5, 1e-3);
            compare_bf16(text, 5, 1e-1); /* through several layers */
        }
        compared += steady;
        free(text);
    }
    assert_true(2 * compared >= n);
}

/* ---- answers without libdarknet.so ------------------------------------------------------------------------- */

/* The network for answering as this program makes it, against that of the library: all that this room reads of a layer, the same bits. */
static void compare_alone(const ds_cfg *cfg, const char *text, bool expected)
{
    ds_net *alone = build(cfg, ONEDNN, 3, false, 2), *library = build(cfg, ONEDNN, 3, true, 2);
    ds_error e = {0};
    if (!strstr(alone->backend_name, "SSE4.1") && !alone->host != expected)
        fail_msg("the library was %s\n%s", expected ? "opened" : "not opened", text);
    vary_parameters(library);
    copy_parameters(library, alone);
    assert_memory_equal(&alone->info, &library->info, offsetof(ds_net_info, backend));
    assert_string_equal(alone->info.backend, library->info.backend);
    bool same = true; /* who computes what: training may leave more to the host */
    for (int i = 0; i < alone->info.layers; i++) {
        same &= alone->slots[i].owned == library->slots[i].owned;
        const layer *a = &alone->net->layers[i], *b = &library->net->layers[i];
        assert_int_equal(a->type, b->type);
        assert_int_equal(a->outputs, b->outputs);
        assert_int_equal(a->activation, b->activation);
        assert_int_equal(a->dontload, b->dontload);
        assert_int_equal(a->dontloadscales, b->dontloadscales);
        assert_int_equal(a->numload, b->numload);
        assert_int_equal(a->flipped, b->flipped);
        assert_int_equal(a->dontsave, b->dontsave);
    }
    const ds_net_info *info = ds_net_get_info(alone);
    size_t pixels = 3 * (size_t)info->inputs;
    float *x = malloc(pixels * sizeof *x);
    for (size_t i = 0; i < pixels; i++)
        x[i] = (float)(i * 2654435761u % 1000) / 1000;
    check(ds_net_forward(alone, x, 3, &e), &e, text);
    check(ds_net_forward(library, x, 3, &e), &e, text);
    size_t logits = 3 * (size_t)info->logits;
    assert_true(apart(ds_net_logits(alone), ds_net_logits(library), logits, 0) <= (same ? 0 : EXACT));
    free(x);
    ds_net_free(alone);
    ds_net_free(library);
}

static void without_the_library(void **state)
{
    (void)state;
    static const struct {
        bool alone;
        const char *text;
    } all[] = {
        {true, NET(9, 8, 3) CONV(32, 3, 1, "leaky", PAD BN "flipped=1\nnumload=16\n") MAXPOOL(2, 2) CONV(
                   32, 1, 1, "relu", BN "dontload=1\ndontloadscales=1\ndontsave=1\n") SHORTCUT(-2, "leaky")
                   ROUTE("-1,-3") "[dropout]\nprobability=.3\n[batchnorm]\n[activation]\nactivation="
                                  "relu\n" CONNECTED(7, "leaky", BN) "[softmax]\ntemperature=2\n"},
        {true, NET(8, 8, 16) CONV(16, 3, 1, "linear", PAD) "[avgpool]\n[sat]\ntarget=abstain\n[reject]\n"},
        {true, NET(8, 8, 16) CONV(21, 3, 1, "linear", PAD) "[avgpool]\n[selective]\nauxiliary=1\n[reject]\n"},
        {false, NET(8, 8, 16) CONV(16, 3, 1, "elu", PAD) HEAD},
        {false, NET(8, 8, 16) CONV(16, 3, 1, "leaky", PAD) "[normalization]\n" HEAD},
        {false, NET(8, 8, 16) CONV(16, 3, 1, "leaky", PAD "xnor=1\n") HEAD},
    };
    static const char *const files[] = {"cfg/cifar_small_sat.cfg",   "cfg/resnet18_cifar_sat.cfg",
                                        "cfg/vgg16bn_cifar_sat.cfg", "cfg/cifar_fast_sat.cfg",
                                        "cfg/fashion_sat.cfg",       "cfg/fashion_softmax.cfg"};
    ds_error e = {0};
    ds_cfg *cfg;
    for (size_t i = 0; i < COUNT(all) + COUNT(files); i++) {
        const char *what = i < COUNT(all) ? all[i].text : files[i - COUNT(all)];
        check(i < COUNT(all) ? ds_cfg_parse(what, "test.cfg", &cfg, NULL, &e)
                             : ds_cfg_read(what, &cfg, NULL, &e),
              &e, what);
        compare_alone(cfg, what, i < COUNT(all) ? all[i].alone : true);
        ds_cfg_free(cfg);
    }
}

/* ---- other instruction sets -------------------------------------------------------------------------------- */

/* This program once more, in another environment; its output is shown when it fails. */
static void run_with(const char *isa)
{
    char path[] = "/tmp/ds_test_XXXXXX", line[512];
    int out = mkstemp(path), status;
    pid_t child = fork();
    if (child == 0) {
        setenv("ONEDNN_MAX_CPU_ISA", isa, 1);
        setenv("DS_TEST_NETWORKS", "25", 0);
        dup2(out, STDOUT_FILENO);
        dup2(out, STDERR_FILENO);
        execl("/proc/self/exe", "test_onednn", isa, NULL);
        _exit(127);
    }
    waitpid(child, &status, 0);
    FILE *f = fopen(path, "r");
    while (status && f && fgets(line, sizeof line, f))
        print_error("%s: %s", isa, line);
    if (f)
        fclose(f);
    close(out);
    unlink(path);
    assert_int_equal(status, 0);
}

static void with_avx2(void **state)
{
    (void)state;
    run_with("AVX2");
}

static void with_sse41(void **state)
{
    (void)state;
    run_with("SSE41");
}

/* Threads that wait in a loop for their next piece of work take the time of others, tests among them. */
static void spin_less(char **argv)
{
    if (getenv("GOMP_SPINCOUNT"))
        return;
    setenv("GOMP_SPINCOUNT", "1000", 1);
    execv("/proc/self/exe", argv);
}

/* An argument: in a lower instruction set already. */
int main(int argc, char **argv)
{
    spin_less(argv);
    mallopt(M_PERTURB, 127); /* memory that nobody has written holds large numbers */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions),
        cmocka_unit_test(winograd),
        cmocka_unit_test(narrow),
        cmocka_unit_test(far_strides_are_refused),
        cmocka_unit_test(groups),
        cmocka_unit_test(pooling),
        cmocka_unit_test(connected),
        cmocka_unit_test(activations),
        cmocka_unit_test(single_layers),
        cmocka_unit_test(shortcuts),
        cmocka_unit_test(routes),
        cmocka_unit_test(host_between),
        cmocka_unit_test(frozen),
        cmocka_unit_test(threads),
        cmocka_unit_test(after_not_a_number),
        cmocka_unit_test(by_chance),
        cmocka_unit_test(without_the_library),
    };
    const struct CMUnitTest lower[] = {cmocka_unit_test(with_avx2), cmocka_unit_test(with_sse41)};
    int failed = cmocka_run_group_tests_name("onednn", tests, NULL, NULL);
    if (argc == 1)
        failed += cmocka_run_group_tests_name("onednn, lower instruction sets", lower, NULL, NULL);
    return failed;
}
