#include "cfg/sections.h"

#include <limits.h>
#include <math.h>

static const char *const activations[] = {"logistic", "loggy", "relu",    "elu",   "selu",
                                          "relie",    "plse",  "hardtan", "lhtan", "linear",
                                          "ramp",     "leaky", "tanh",    "stair", NULL};
static const char *const cost_types[] = {"seg", "sse", "masked", "smooth", "L1", "wgan", NULL};

#define KEY(name_, type_, def_, min_, max_, help_)                                                  \
    {                                                                                               \
        .name = name_, .type = type_, .offset = DS_UNSTORED, .def = def_, .min = min_, .max = max_, \
        .help = help_                                                                               \
    }
#define INTEGER(name, def, min, help) KEY(name, DS_INT, def, min, INT_MAX, help)
#define REAL(name, def, min, max, help) KEY(name, DS_REAL, def, min, max, help)
#define ANY(name, def, help) KEY(name, DS_REAL, def, 0, 0, help)
#define BOOL(name, help) KEY(name, DS_BOOL, "0", 0, 0, help)
#define NUMBERS(name, min, max, help) KEY(name, DS_REALS, NULL, min, max, help)
#define PATH(name, help) KEY(name, DS_TEXT, NULL, 0, 0, help)
#define WORD(name_, def_, names_, help_)                                                                   \
    {                                                                                                      \
        .name = name_, .type = DS_ENUM, .offset = DS_UNSTORED, .def = def_, .names = names_, .help = help_ \
    }
#define ACTIVATION(def) WORD("activation", def, activations, "activation function")
#define BATCH_NORMALIZE BOOL("batch_normalize", "normalise over the batch")

/* Keys that the host reads in every layer, and the end of each table. */
#define COMMON                                                                                            \
    BOOL("truth", "the output is the truth of later layers"), BOOL("onlyforward", "no gradient"),         \
        BOOL("stopbackward", "the gradient ends here"), BOOL("dontsave", "weights are not saved"),        \
        BOOL("dontload", "weights are not loaded"), INTEGER("numload", "0", 0, "load that many filters"), \
        BOOL("dontloadscales", "scales are not loaded"),                                                  \
        REAL("learning_rate", "1", 0, HUGE_VAL, "factor of the learning rate"),                           \
        ANY("smooth", "0", "label smoothing"),                                                            \
    {                                                                                                     \
        .type = DS_END                                                                                    \
    }

static const ds_option convolutional_keys[] = {
    INTEGER("filters", "1", 1, "channels out"),
    INTEGER("size", "1", 1, "height and width of the kernel"),
    INTEGER("stride", "1", 1, "step of the kernel"),
    BOOL("pad", "padding is half the size"),
    INTEGER("padding", "0", 0, "rows and columns of zeros on each side"),
    INTEGER("groups", "1", 1, "groups of channels"),
    ACTIVATION("logistic"),
    BATCH_NORMALIZE,
    BOOL("binary", "binary weights"),
    BOOL("xnor", "binary weights and inputs"),
    BOOL("flipped", "weights are transposed after loading"),
    ANY("dot", "0", "weight of the orthogonality term"),
    COMMON,
};

static const ds_option deconvolutional_keys[] = {
    INTEGER("filters", "1", 1, "channels out"),
    INTEGER("size", "1", 1, "height and width of the kernel"),
    INTEGER("stride", "1", 1, "step of the kernel"),
    BOOL("pad", "padding is half the size"),
    INTEGER("padding", "0", 0, "rows and columns cut off each side"),
    ACTIVATION("logistic"),
    BATCH_NORMALIZE,
    COMMON,
};

static const ds_option local_keys[] = {
    INTEGER("filters", "1", 1, "channels out"),
    INTEGER("size", "1", 1, "height and width of the kernel"),
    INTEGER("stride", "1", 1, "step of the kernel"),
    INTEGER("pad", "0", 0, "rows and columns of zeros on each side"),
    ACTIVATION("logistic"),
    COMMON,
};

static const ds_option connected_keys[] = {
    INTEGER("output", "1", 1, "numbers out"),
    ACTIVATION("logistic"),
    BATCH_NORMALIZE,
    COMMON,
};

static const ds_option crop_keys[] = {
    INTEGER("crop_height", "1", 1, "height out"),
    INTEGER("crop_width", "1", 1, "width out"),
    BOOL("flip", "mirror at random"),
    ANY("angle", "0", "largest rotation"),
    ANY("saturation", "1", "largest change of saturation"),
    ANY("exposure", "1", "largest change of exposure"),
    BOOL("noadjust", "keep the range 0 to 1"),
    ANY("shift", "0", "largest shift"),
    COMMON,
};

static const ds_option maxpool_keys[] = {
    INTEGER("stride", "1", 1, "step of the window"),
    INTEGER("size", NULL, 1, "height and width of the window, default the stride"),
    INTEGER("padding", NULL, 0, "rows and columns around, both sides together, default size - 1"),
    COMMON,
};

static const ds_option plain_keys[] = {COMMON};

static const ds_option reorg_keys[] = {
    INTEGER("stride", "1", 1, "block size"),
    BOOL("reverse", "channels to space"),
    BOOL("flatten", "change the order only"),
    INTEGER("extra", "0", 0, "numbers to append"),
    COMMON,
};

static const ds_option upsample_keys[] = {
    KEY("stride", DS_INT, "2", INT_MIN, INT_MAX, "factor, negative: shrink"),
    ANY("scale", "1", "factor of the values"),
    COMMON,
};

static const ds_option route_keys[] = {
    NUMBERS("layers", 0, 0, "layers to join, negative: counted from here"),
    COMMON,
};

static const ds_option shortcut_keys[] = {
    KEY("from", DS_INT, NULL, INT_MIN, INT_MAX, "layer to add, negative: counted from here"),
    ACTIVATION("linear"),
    ANY("alpha", "1", "factor of the previous layer"),
    ANY("beta", "1", "factor of the other layer"),
    COMMON,
};

static const ds_option dropout_keys[] = {
    REAL("probability", ".5", 0, 0.999999, "share of values to drop"),
    COMMON,
};

static const ds_option activation_keys[] = {ACTIVATION("linear"), COMMON};

static const ds_option normalization_keys[] = {
    ANY("alpha", ".0001", "factor of the squares"),
    ANY("beta", ".75", "exponent"),
    ANY("kappa", "1", "constant"),
    INTEGER("size", "5", 1, "channels of the window"),
    COMMON,
};

static const ds_option rnn_keys[] = {
    INTEGER("output", "1", 1, "numbers out"),
    ACTIVATION("logistic"),
    BATCH_NORMALIZE,
    BOOL("shortcut", "add the state of before"),
    COMMON,
};

static const ds_option gru_keys[] = {
    INTEGER("output", "1", 1, "numbers out"),
    BATCH_NORMALIZE,
    BOOL("tanh", "tanh instead of logistic"),
    COMMON,
};

static const ds_option lstm_keys[] = {INTEGER("output", "1", 1, "numbers out"), BATCH_NORMALIZE, COMMON};

static const ds_option crnn_keys[] = {
    INTEGER("output_filters", "1", 1, "channels out"),
    INTEGER("hidden_filters", "1", 1, "channels of the state"),
    ACTIVATION("logistic"),
    BATCH_NORMALIZE,
    BOOL("shortcut", "add the state of before"),
    COMMON,
};

static const ds_option softmax_keys[] = {
    INTEGER("groups", "1", 1, "groups of outputs"),
    REAL("temperature", "1", 1e-6, HUGE_VAL, "divides the logits"),
    PATH("tree", "file of a class tree"),
    BOOL("spatial", "one softmax for each place of the image"),
    BOOL("noloss", "no loss"),
    COMMON,
};

static const ds_option cost_keys[] = {
    WORD("type", "sse", cost_types, "kind of loss"),
    ANY("scale", "1", "factor of the loss"),
    ANY("ratio", "0", "share of the largest differences that count"),
    ANY("noobj", "1", "factor where there is no object"),
    ANY("thresh", "0", "smallest difference that counts"),
    COMMON,
};

static const ds_option region_keys[] = {
    INTEGER("coords", "4", 4, "numbers of a box"),
    INTEGER("classes", "20", 1, "classes"),
    INTEGER("num", "1", 1, "boxes a cell"),
    BOOL("log", "logarithm of sizes"),
    BOOL("sqrt", "root of sizes"),
    BOOL("softmax", "softmax over the classes"),
    BOOL("background", "background is a class"),
    KEY("max", DS_INT, "30", 1, 30, "most boxes an image"),
    ANY("jitter", ".2", "random crop"),
    BOOL("rescore", "objectness is the overlap"),
    ANY("thresh", ".5", "overlap that counts as found"),
    BOOL("absolute", "coordinates are absolute"),
    KEY("classfix", DS_INT, "0", INT_MIN, INT_MAX, "class correction"),
    BOOL("random", "change the image size between batches"),
    ANY("coord_scale", "1", "weight of coordinates"),
    ANY("object_scale", "1", "weight of objects"),
    ANY("noobject_scale", "1", "weight of no object"),
    ANY("mask_scale", "1", "weight of masks"),
    ANY("class_scale", "1", "weight of classes"),
    BOOL("bias_match", "match boxes by their anchors"),
    PATH("tree", "file of a class tree"),
    PATH("map", "file of a class map"),
    NUMBERS("anchors", 0, 0, "width and height of each box"),
    COMMON,
};

static const ds_option yolo_keys[] = {
    INTEGER("classes", "20", 1, "classes"),
    INTEGER("num", "1", 1, "boxes of all such layers"),
    NUMBERS("mask", 0, HUGE_VAL, "boxes of this layer"),
    KEY("max", DS_INT, "90", 1, 90, "most boxes an image"),
    ANY("jitter", ".2", "random crop"),
    ANY("ignore_thresh", ".5", "overlap that is no mistake"),
    ANY("truth_thresh", "1", "overlap that counts as found"),
    BOOL("random", "change the image size between batches"),
    PATH("map", "file of a class map"),
    NUMBERS("anchors", 0, 0, "width and height of each box"),
    COMMON,
};

static const ds_option iseg_keys[] = {
    INTEGER("classes", "20", 1, "classes"),
    INTEGER("ids", "32", 0, "numbers that tell instances apart"),
    COMMON,
};

static const ds_option detection_keys[] = {
    INTEGER("coords", "1", 1, "numbers of a box"),
    INTEGER("classes", "1", 1, "classes"),
    BOOL("rescore", "objectness is the overlap"),
    INTEGER("num", "1", 1, "boxes a cell"),
    INTEGER("side", "7", 1, "cells a side"),
    BOOL("softmax", "softmax over the classes"),
    BOOL("sqrt", "root of sizes"),
    INTEGER("max", "90", 1, "most boxes an image"),
    ANY("coord_scale", "1", "weight of coordinates"),
    BOOL("forced", "always the first box"),
    ANY("object_scale", "1", "weight of objects"),
    ANY("noobject_scale", "1", "weight of no object"),
    ANY("class_scale", "1", "weight of classes"),
    ANY("jitter", ".2", "random crop"),
    BOOL("random", "change the image size between batches"),
    BOOL("reorg", "order of the input"),
    COMMON,
};

static const char *const net_ignored[] = {"seen", NULL};
static const char *const rnn_ignored[] = {"hidden", NULL};

const ds_kind ds_kinds[DS_KINDS] = {
    [DS_K_NET] = {"net", "network", ds_net_keys, net_ignored},
    [DS_K_CONVOLUTIONAL] = {"convolutional", "conv", convolutional_keys, NULL},
    [DS_K_DECONVOLUTIONAL] = {"deconvolutional", "deconv", deconvolutional_keys, NULL},
    [DS_K_LOCAL] = {"local", NULL, local_keys, NULL},
    [DS_K_CONNECTED] = {"connected", "conn", connected_keys, NULL},
    [DS_K_CROP] = {"crop", NULL, crop_keys, NULL},
    [DS_K_MAXPOOL] = {"maxpool", "max", maxpool_keys, NULL},
    [DS_K_AVGPOOL] = {"avgpool", "avg", plain_keys, NULL},
    [DS_K_REORG] = {"reorg", NULL, reorg_keys, NULL},
    [DS_K_UPSAMPLE] = {"upsample", NULL, upsample_keys, NULL},
    [DS_K_ROUTE] = {"route", NULL, route_keys, NULL},
    [DS_K_SHORTCUT] = {"shortcut", NULL, shortcut_keys, NULL},
    [DS_K_DROPOUT] = {"dropout", NULL, dropout_keys, NULL},
    [DS_K_ACTIVATION] = {"activation", NULL, activation_keys, NULL},
    [DS_K_LOGISTIC] = {"logistic", NULL, plain_keys, NULL},
    [DS_K_L2NORM] = {"l2norm", NULL, plain_keys, NULL},
    [DS_K_NORMALIZATION] = {"normalization", "lrn", normalization_keys, NULL},
    [DS_K_BATCHNORM] = {"batchnorm", NULL, plain_keys, NULL},
    [DS_K_RNN] = {"rnn", NULL, rnn_keys, rnn_ignored},
    [DS_K_GRU] = {"gru", NULL, gru_keys, NULL},
    [DS_K_LSTM] = {"lstm", NULL, lstm_keys, NULL},
    [DS_K_CRNN] = {"crnn", NULL, crnn_keys, NULL},
    [DS_K_SOFTMAX] = {"softmax", "soft", softmax_keys, NULL},
    [DS_K_COST] = {"cost", NULL, cost_keys, NULL},
    [DS_K_REGION] = {"region", NULL, region_keys, NULL},
    [DS_K_YOLO] = {"yolo", NULL, yolo_keys, NULL},
    [DS_K_ISEG] = {"iseg", NULL, iseg_keys, NULL},
    [DS_K_DETECTION] = {"detection", NULL, detection_keys, NULL},
};
