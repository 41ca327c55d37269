/* Networks as text: what is read, refused (message and line), shaped, lowered. */
#include "base/file.h"
#include "base/rng.h"
#include "base/text.h"
#include "cfg/cfg.h"

#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>

/* ---- helpers ---- */

#define STOCK "/usr/share/darknet/cfg/"
#define NET "[net]\nbatch=8\nwidth=12\nheight=8\nchannels=3\n" /* 5 lines */
#define CONV "[convolutional]\nfilters=4\nsize=3\npad=1\n"     /* 4 lines */
#define TEN "[connected]\noutput=10\n"                         /* 2 lines */

static ds_cfg *parse(const char *text, ds_notes *notes)
{
    ds_cfg *cfg;
    ds_error e = {0};
    int rc = ds_cfg_parse(text, "t.cfg", &cfg, notes, &e);
    if (rc)
        fail_msg("%s:%d: %s\nin\n%s", e.file, e.line, e.text, text);
    return cfg;
}

static bool has_note(const ds_notes *notes, const char *part)
{
    for (int i = 0; i < notes->n; i++)
        if (strstr(notes->text[i], part))
            return true;
    return false;
}

typedef struct bad_case {
    const char *text;
    int line;
    const char *part; /* of the message */
} bad_case;

static void check_error(const bad_case *c, int rc, const ds_error *e)
{
    if (rc != DS_EINPUT)
        fail_msg("accepted, but expected '%s':\n%s", c->part, c->text);
    if (!strstr(e->text, c->part) || e->line != c->line || strcmp(e->file, "t.cfg") != 0)
        fail_msg("expected t.cfg:%d '%s', got %s:%d: %s\nin\n%s", c->line, c->part, e->file, e->line, e->text,
                 c->text);
    if (!strstr(e->text, "expected") && !strstr(e->text, "did you mean") && !strstr(e->text, "goes with"))
        fail_msg("does not say what was expected: %s", e->text);
}

static void check_bad(const bad_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ds_cfg *cfg = (ds_cfg *)1;
        ds_error e = {0};
        int rc = ds_cfg_parse(cases[i].text, "t.cfg", &cfg, NULL, &e);
        if (!rc)
            ds_cfg_free(cfg);
        else
            assert_null(cfg);
        check_error(&cases[i], rc, &e);
    }
}

#define CHECK_BAD(cases) check_bad(cases, sizeof cases / sizeof *cases)

/* ---- reading ---- */

static void test_reader(void **state)
{
    (void)state;
    ds_cfg *cfg = parse(
        "\xef\xbb\xbf# top\r\n [ net ] \r\n  batch = 1 6\t\r\n;x=y\r\n\r\nwidth=12\nheight=8\nchannels=3\n"
        "policy = st eps\nsteps = 1 , -2\nscales=.1, +.5\n[conv]\nfilters=2\nactivation = leaky",
        NULL);
    assert_int_equal(cfg->n, 2);
    assert_int_equal(cfg->sections[0].line, 2);
    assert_string_equal(cfg->sections[1].name, "conv");
    assert_string_equal(ds_section_kind(&cfg->sections[1]), "convolutional");
    assert_string_equal(ds_section_get(&cfg->sections[1], "activation"), "leaky");
    assert_null(ds_section_get(&cfg->sections[1], "size"));
    assert_int_equal(cfg->sections[1].pairs[1].line, 14);
    assert_int_equal(cfg->net.batch, 16);
    assert_int_equal(cfg->net.policy, DS_STEPS);
    assert_int_equal(cfg->net.steps.n, 2);
    assert_true(cfg->net.scales.v[1] == .5);
    ds_cfg_free(cfg);
}

static void test_syntax(void **state)
{
    (void)state;
    static const bad_case cases[] = {
        {"# nothing\n", 0, "no sections"},
        {"batch=1\n[net]\n", 1, "key 'batch' before any section"},
        {NET "[conv\nfilters=1\n", 6, "unterminated section"},
        {NET "[conv] # first\n", 6, "comments on lines of their own"},
        {NET "[conv]\nsize=3 # x\n", 7, "a '#' behind 'size=3'"},
        {NET "[conv] x\n", 6, "expected '[name]' alone"},
        {NET "[]\n", 6, "expected '[name]'"},
        {NET CONV "hello\n", 10, "cannot read 'hello'"},
        {NET CONV "=5\n", 10, "cannot read '=5'"},
        {NET CONV "stride = \n", 10, "key 'stride' has no value"},
        {"[conv]\n", 1, "first section is [conv], expected [net]"},
        {NET CONV "[network]\n", 10, "second [network]"},
        {NET, 1, "no layers"},
    };
    CHECK_BAD(cases);
}

static void test_words(void **state)
{
    (void)state;
    static const bad_case cases[] = {
        {NET "[convolutionel]\n", 6, "unknown section [convolutionel], did you mean [convolutional]?"},
        {NET "[rejct]\n", 6, "did you mean [reject]?"},
        {NET "[stat]\n", 6, "did you mean [sat]?"},
        {NET "[zzzzzzzzzzzz]\n", 6, "unknown section [zzzzzzzzzzzz], expected"},
        {NET "[conv]\nfliters=3\n", 7, "unknown key 'fliters' in [conv], did you mean 'filters'?"},
        {"[net]\nwidht=3\n", 2, "did you mean 'width'?"},
        {NET CONV "size=5\n", 10,
         "duplicate key 'size' in [convolutional], expected it once (first in line 8)"},
        {NET CONV "activation=leeky\n", 10, "did you mean 'leaky'?"},
        {NET "policy=stepps\n" CONV, 6, "did you mean 'steps'?"},
        {NET CONV "[cost]\ntype=ssee\n", 11, "did you mean 'sse'?"},
        {NET "[conv]\nfilters=1e3\n", 7, "filters=1e3, expected an integer"},
        {NET "[conv]\nfilters=3x\n", 7, "filters=3x, expected an integer"},
        {NET "[conv]\nfilters=0\n", 7, "filters=0, expected an integer from 1"},
        {NET "[conv]\nfilters=99999999999\n", 7, "filters=99999999999"},
        {NET "[conv]\nbatch_normalize=2\n", 7, "expected 0 or 1"},
        {NET "learning_rate=0.1.2\n" CONV, 6, "learning_rate=0.1.2, expected a number"},
        {NET "learning_rate=nan\n" CONV, 6, "expected a number"},
        {NET "learning_rate=-1\n" CONV, 6, "expected a number from 0"},
        {NET CONV "[dropout]\nprobability=1\n", 11, "expected a number"},
        {NET TEN "[sat]\nlearning_rate=1\n", 9, "unknown key 'learning_rate' in [sat]"},
        {NET TEN "[sat]\ntarget=ema\nalpha_end=.5\n", 10, "target=blend"},
        {NET TEN "[sat]\ntarget=emma\n", 9, "did you mean 'ema'?"},
    };
    CHECK_BAD(cases);
}

static void test_net(void **state)
{
    (void)state;
    static const bad_case cases[] = {
        {"[net]\nbatch=1\n" TEN, 1, "[net] has no input"},
        {"[net]\nwidth=3\nheight=3\n" TEN, 2, "half an image"},
        {"[net]\nchannels=3\ninputs=3\n" TEN, 2, "half an image"},
        {"[net]\ninputs=3\nwidth=3\nheight=3\nchannels=3\n" TEN, 2, "inputs differs"},
        {"[net]\nwidth=100000\nheight=100000\nchannels=1\n" TEN, 1, "2^31"},
        {"[net]\nwidth=100000\nheight=100000\nchannels=1\ninputs=5\n" TEN, 5, "2^31"},
        {NET "subdivisions=3\n" CONV, 6, "batch=8 is no multiple of subdivisions=3"},
        {NET "subdivisions=0\n" CONV, 6, "subdivisions=0"},
        {"[net]\ninputs=3\nbatch=0\n" TEN, 3, "batch=0"},
        {NET "[conv]\nfilters=8\nnumload=9\nactivation=relu\n", 8, "at most the 8 filters"},
        {NET "policy=steps\n" CONV, 6, "policy=steps with 0 steps and 0 scales"},
        {NET "policy=steps\nsteps=1\n" CONV, 6, "1 steps and 0 scales"},
        {NET "policy=steps\nscales=1\n" CONV, 6, "0 steps and 1 scales"},
        {NET "policy=steps\nsteps=1,2\nscales=.1\n" CONV, 8, "2 steps and 1 scales"},
        {NET "policy=steps\nsteps=1,2.5\nscales=.1,.1\n" CONV, 7, "whole numbers"},
        {NET "steps=1,\n" CONV, 6, "steps=1,"},
        {NET "policy=step\nstep=0\n" CONV, 7, "step=0"},
        {NET "sampling=even\n" CONV, 6, "expected plain|balanced"},
        {NET "average=mean\n" CONV, 6, "expected none|ema|swa"},
        {NET "average=ema\nema_alpha=1\n" CONV, 7, "ema_alpha=1"},
        {NET "average=ema\naverage_from=.5\n" CONV, 7, "average=swa"},
        {NET "average=swa\nema_alpha=.5\n" CONV, 7, "average=ema"},
        {NET "average_rate=.5\n" CONV, 6, "average=swa"},
        {NET "average=swa\naverage_from=1.1\n" CONV, 7, "average_from=1.1"},
        {NET "cutout=-1\n" CONV, 6, "cutout=-1"},
        {NET "shift=-1\n" CONV, 6, "shift=-1"},
        {"[net]\nshift=5\nwidth=9\nheight=5\nchannels=1\n" CONV, 2, "shift=5 of images of 9 x 5"},
        {"[net]\nshift=2\nwidth=9\nheight=5\nchannels=1\ncenter=1\n" CONV, 2, "shift=2 with center=1"},
        {"[net]\ncutout=5\nwidth=9\nheight=5\nchannels=1\n" CONV, 2, "cutout=5 of images of 9 x 5"},
    };
    CHECK_BAD(cases);
    ds_cfg *cfg = parse(NET CONV, NULL);
    assert_true(cfg->net.flip && isnan(cfg->net.max_ratio) && cfg->net.momentum == .9 &&
                cfg->net.policy == DS_CONSTANT);
    assert_true(cfg->net.max_crop == 0 && cfg->net.inputs == 0 && cfg->net.B2 == .999);
    ds_cfg_free(cfg);
    cfg = parse("[net]\ninputs=256\nbatch=6\nsubdivisions=3\ntime_steps=5\n" TEN, NULL);
    assert_int_equal(cfg->shapes[0].outputs, 256);
    assert_int_equal(cfg->shapes[0].h, 0);
    ds_cfg_free(cfg);
}

static void test_foreign(void **state)
{
    (void)state;
    static const bad_case cases[] = {
        {NET "[yolo]\nclasses=2\n", 6, "[yolo] has no place in a classifier"},
        {NET "[yolo]\n", 6, "'/usr/bin/darknet detector'"},
        {NET "[region]\n", 6, "'/usr/bin/darknet detector'"},
        {NET "[detection]\n", 6, "'/usr/bin/darknet yolo'"},
        {NET "[iseg]\n", 6, "'/usr/bin/darknet isegmenter'"},
        {NET TEN "[rnn]\n", 8, "'/usr/bin/darknet rnn'"},
        {NET "[gru]\n" TEN "[sat]\n", 6, "'/usr/bin/darknet rnn'"},
        {NET "[lstm]\n", 6, "'/usr/bin/darknet rnn'"},
        {NET "[crnn]\n", 6, "'/usr/bin/darknet rnn'"},
    };
    CHECK_BAD(cases);
}

/* ---- shapes ---- */

static void test_shape_values(void **state)
{
    (void)state;
    static const struct {
        const char *layers;
        ds_shape out;
    } cases[] = {
        {CONV, {8, 12, 4, 384}},
        {"[conv]\nfilters=6\nsize=3\nstride=2\ngroups=3\n", {3, 5, 6, 90}},
        {"[conv]\nfilters=2\nsize=5\npadding=1\npad=1\n", {8, 12, 2, 192}},
        {"[deconv]\nfilters=2\nsize=4\nstride=2\npadding=1\n", {16, 24, 2, 768}},
        {"[conv]\nfilters=9\nsize=3\npad=1\n[local]\nfilters=2\nsize=3\nstride=2\npad=1\n", {4, 6, 2, 48}},
        {"[max]\nsize=2\nstride=2\n", {4, 6, 3, 72}},
        {"[maxpool]\nsize=3\nstride=2\n", {4, 6, 3, 72}},
        {"[maxpool]\nstride=2\n", {4, 6, 3, 72}},
        {"[maxpool]\nsize=2\nstride=2\npadding=0\n", {4, 6, 3, 72}},
        {"[avg]\n", {1, 1, 3, 3}},
        {"[crop]\ncrop_width=4\ncrop_height=3\n", {3, 4, 3, 36}},
        {CONV "[reorg]\nstride=2\n", {4, 6, 16, 384}},
        {CONV "[reorg]\nstride=2\nreverse=1\n", {16, 24, 1, 384}},
        {CONV "[reorg]\nextra=1\n", {0, 0, 0, 385}},
        {"[upsample]\n", {16, 24, 3, 1152}},
        {"[upsample]\nstride=-4\n", {2, 3, 3, 18}},
        {CONV CONV "[route]\nlayers=-1,0\n", {8, 12, 8, 768}},
        {CONV "[max]\nstride=2\n[upsample]\n[route]\nlayers=-1,0\n", {8, 12, 8, 768}},
        {CONV "[max]\nstride=2\n" CONV "[shortcut]\nfrom=0\n", {4, 6, 4, 96}},
        {CONV "[dropout]\n", {8, 12, 4, 384}},
        {CONV "[activation]\nactivation=relu\n", {8, 12, 4, 384}},
        {CONV "[lrn]\n", {8, 12, 4, 384}},
        {CONV "[logistic]\n", {8, 12, 4, 384}},
        {TEN, {1, 1, 10, 10}},
        {TEN "[soft]\ngroups=5\n", {0, 0, 0, 10}},
        {TEN "[cost]\n", {0, 0, 0, 10}},
        {TEN "[sat]\n", {0, 0, 0, 10}},
        {TEN "[sat]\ntarget=abstain\nclasses=9\n", {0, 0, 0, 10}},
        {TEN "[sat]\ntarget=abstain\n[reject]\n", {0, 0, 0, 9}},
        {TEN "[sat]\nclasses=10\n[reject]\n", {0, 0, 0, 10}},
        {TEN "[softmax]\n[reject]\n", {0, 0, 0, 10}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = ds_format("%s%s", NET, cases[i].layers);
        ds_cfg *cfg = parse(text, NULL);
        const ds_shape *s = &cfg->shapes[cfg->n - 1], *o = &cases[i].out;
        if (s->h != o->h || s->w != o->w || s->c != o->c || s->outputs != o->outputs)
            fail_msg("shape %d x %d x %d, %d of\n%s", s->h, s->w, s->c, s->outputs, text);
        ds_cfg_free(cfg);
        free(text);
    }
}

static void test_shape_errors(void **state)
{
    (void)state;
    static const bad_case cases[] = {
        {NET "[conv]\nsize=20\n", 6, "empty output"},
        {NET "[conv]\ngroups=2\nfilters=3\n", 7, "filters=3 is no multiple of groups=2"},
        {NET "[conv]\ngroups=2\nfilters=4\n", 7, "3 channels come in"},
        {NET "[conv]\nsize=1\npadding=1\n", 8, "size=1 with padding=1"},
        {NET "[conv]\nfilters=2000000000\n", 6, "too large"},
        {NET "[conv]\nsize=2000000000\npadding=2000000000\n", 6, "too large"},
        {NET "[conv]\nfilters=20000\n[conv]\nfilters=900000\n", 8, "number of weights"},
        {NET "[conv]\nfilters=3000000\n", 6, "outputs * batch"},
        {NET "[softmax]\ngroups=2\n[conv]\n", 8, "needs an image"},
        {"[net]\ninputs=9\n[avg]\n", 3, "needs an image"},
        {NET CONV "[local]\nsize=5\npad=1\n", 12, "does not fit"},
        {NET "[max]\nsize=2\npadding=4\n", 8, "windows without a pixel"},
        {NET "[crop]\ncrop_height=9\n", 7, "expected at most that"},
        {NET "[reorg]\nstride=2\n", 7, "expected a multiple of stride * stride"},
        {NET CONV "[reorg]\nstride=5\nflatten=1\n", 11, "expected multiples of stride=5"},
        {NET CONV "[reorg]\nextra=2\nflatten=1\n", 11, "only one of them"},
        {NET "[upsample]\nstride=0\n", 7, "stride=0"},
        {NET "[upsample]\nstride=-5\n", 7, "expected multiples of 5"},
        {NET "[upsample]\nstride=30000\n", 6, "too large"},
        {NET CONV "[route]\n", 10, "has no layers"},
        {NET CONV "[route]\nlayers=-2\n", 11, "layer -2 does not exist"},
        {NET CONV "[route]\nlayers=0,1\n", 11, "layer 1 does not exist"},
        {NET CONV "[route]\nlayers=-1,x\n", 11, "layers=-1,x"},
        {NET CONV "[route]\nlayers=-0.5\n", 11, "whole numbers"},
        {NET CONV "[max]\nstride=2\n[route]\nlayers=-1,0\n", 13, "expected equal width and height"},
        {NET "[route]\nlayers=-1\n", 7, "first layer"},
        {NET CONV "[shortcut]\n", 10, "has no from"},
        {NET CONV "[shortcut]\nfrom=1\n", 11, "layer 1 does not exist"},
        {NET CONV "[conv]\nsize=3\n[shortcut]\nfrom=0\n", 13, "equal and whole ratios"},
        {NET CONV TEN "[shortcut]\nfrom=0\n", 13, "equal and whole ratios"},
        {NET "[dropout]\n", 6, "first layer"},
        {NET "[lrn]\nsize=9\n", 7, "size=9 with 3 channels"},
        {NET TEN "[softmax]\ngroups=3\n", 9, "no multiple of groups=3"},
        {NET "[conn]\noutput=100000000\n", 6, "number of weights"},
    };
    CHECK_BAD(cases);
}

/* ---- plugins ---- */

static void test_order(void **state)
{
    (void)state;
    static const bad_case cases[] = {
        {NET "[sat]\n", 6, "[sat] is the first layer"},
        {NET "[softmax]\n", 6, "[softmax] is the first layer"},
        {NET TEN "[sat]\n[cost]\n", 9, "[cost] after [sat]"},
        {NET TEN "[sat]\n" TEN, 9, "expected only [reject]"},
        {NET TEN "[reject]\n", 8, "directly after a cost section"},
        {NET TEN "[softmax]\ngroups=2\n[reject]\n", 10, "directly after a cost section"},
        {NET TEN "[softmax]\n[cost]\n[reject]\n", 10, "directly after a cost section"},
        {NET TEN "[sat]\n[reject]\n[reject]\n", 10, "[reject] after [reject]"},
        {NET TEN "[sat]\n[reject]\n" TEN, 10, "to be the last section"},
        {NET TEN "[sat]\nclasses=9\n", 9,
         "classes=9, but 10 numbers come in, expected filters= or output=9 of the layer before, or "
         "classes=10"},
        {NET TEN "[sat]\nclasses=10\ntarget=abstain\n", 9, "or classes=9"},
        {NET "[conn]\noutput=2\n[sat]\ntarget=abstain\n", 8, "2 or more"},
        {NET "[conn]\n[softmax]\n", 7, "2 or more"},
    };
    CHECK_BAD(cases);
}

static void check_cost(const char *text, int cost, int reject)
{
    ds_cfg *cfg = parse(text, NULL);
    assert_int_equal(ds_cfg_cost(cfg), cost);
    assert_int_equal(ds_cfg_reject(cfg), reject);
    ds_cfg_free(cfg);
}

static void test_cost(void **state)
{
    (void)state;
    check_cost(NET TEN "[sat]\n[reject]\n", 1, 2);
    check_cost(NET TEN "[soft]\ngroups=1\nspatial=0\ntemperature=2\n", 1, -1);
    check_cost(NET TEN "[softmax]\n[reject]\n", 1, 2);
    check_cost(NET TEN "[softmax]\ngroups=2\n", -1, -1);
    check_cost(NET TEN "[softmax]\nnoloss=1\n", -1, -1);
    check_cost(NET TEN "[softmax]\ntree=x\n", -1, -1);
    check_cost(NET TEN "[softmax]\n" TEN, -1, -1);
    ds_notes notes = {0};
    ds_cfg *cfg = parse(NET TEN "[softmax]\ngroups=1\ntemperature=2\n[cost]\n", &notes);
    assert_int_equal(ds_cfg_cost(cfg), 1);
    assert_true(has_note(&notes, "note: t.cfg:11: [cost] after [softmax] takes no part"));
    assert_int_equal(cfg->sections[2].n, 1); /* groups=1 asks for nothing */
    assert_string_equal(ds_section_get(&cfg->sections[2], "temperature"), "2");
    ds_notes_clear(&notes);
    ds_cfg_free(cfg);
}

/* ---- lowering ---- */

static char *lower(const char *text, int batch, int subdivisions)
{
    ds_cfg *cfg = parse(text, NULL);
    char *out = ds_cfg_lower(cfg, batch, subdivisions);
    ds_cfg_free(cfg);
    return out;
}

static void test_lower(void **state)
{
    (void)state;
    static const char text[] =
        "[network]\nbatch= 4\nwidth=2\nseen=1\nheight=2\nflip=0\nchannels=1\npolicy=cosine\ncutout=1\n"
        "[conv]\nfilters= 3\n[soft]\ntemperature=2\ngroups=1\n[reject]\nthreshold=.5\n";
    char *out = lower(text, 0, 0);
    assert_string_equal(out, "[net]\nbatch=4\nwidth=2\nheight=2\nchannels=1\n\n[convolutional]\nfilters=3\n\n"
                             "[softmax]\ngroups=1\ntemperature=2\n\n[route]\nlayers=-1\n");
    free(out);
    out = lower("[net]\ninputs=5\nsubdivisions=1\n" TEN "[sat]\ntarget=ema\nmomentum=.5\n", 6, 3);
    assert_string_equal(
        out, "[net]\nbatch=6\nsubdivisions=3\ninputs=5\n\n[connected]\noutput=10\n\n[softmax]\ngroups=1\n");
    free(out);
    out = lower(NET TEN "[softmax]\ngroups=2\n", 0, 0);
    assert_non_null(strstr(out, "[softmax]\ngroups=2\n"));
    free(out);
}

static void test_base(void **state)
{
    (void)state;
    ds_cfg *cfg;
    assert_int_equal(ds_cfg_parse(NET CONV, "a.b/cifar.small.cfg", &cfg, NULL, NULL), 0);
    char *base = ds_cfg_base(cfg);
    assert_string_equal(base, "cifar");
    free(base);
    ds_cfg_free(cfg);
}

/* ---- training ---- */

static void test_training_errors(void **state)
{
    (void)state;
    static const bad_case cases[] = {
        {"[net]\ninputs=9\n" TEN "[softmax]\n", 2, "no image"},
        {"[net]\nwidth=2\nheight=2\nchannels=4\n" TEN "[softmax]\n", 4, "channels=4"},
        {NET "time_steps=2\n" TEN "[softmax]\n", 6, "time_steps=2"},
        {NET TEN, 6, "expected a cost section"},
        {NET TEN "[cost]\n", 8, "expected a cost section"},
        {NET TEN "[softmax]\n" TEN "[softmax]\n", 8, "only be the cost"},
        {NET TEN "[softmax]\nnoloss=1\n", 9, "noloss=1"},
        {NET TEN "[softmax]\ngroups=2\n[cost]\n", 9, "groups=2"},
        {NET TEN "[softmax]\ntree=x\n", 9, "tree=x"},
        {NET TEN "[l2norm]\n[sat]\n", 8, "gradient"},
        {NET TEN "[logistic]\n", 8, "classifier"},
        {NET CONV "[crop]\n" TEN "[sat]\n", 10, "first layer"},
        {NET "[crop]\n[conv]\n[route]\nlayers=0,1\n" TEN "[sat]\n", 9, "[crop]"},
        {NET "[crop]\n[conv]\n[shortcut]\nfrom=-2\n" TEN "[sat]\n", 9, "[crop]"},
        {NET TEN "truth=1\n[sat]\n", 8, "truth=1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ds_cfg *cfg = parse(cases[i].text, NULL);
        ds_error e = {0};
        int rc = ds_cfg_check_training(cfg, NULL, &e);
        check_error(&cases[i], rc, &e);
        ds_cfg_free(cfg);
    }
}

static void test_training_notes(void **state)
{
    (void)state;
    ds_notes notes = {0};
    ds_error e = {0};
    ds_cfg *cfg = parse("[net]\nbatch=1\nrandom=1\nwidth=8\nheight=8\nchannels=1\n" CONV
                        "batch_normalize=1\n[conv]\nstride=2\n" TEN "[softmax]\n[cost]\n",
                        NULL);
    assert_int_equal(ds_cfg_check_training(cfg, &notes, &e), 0);
    assert_true(has_note(&notes, "warning: t.cfg:2: batch=1"));
    assert_true(has_note(&notes, "note: t.cfg:3: random=1"));
    assert_true(has_note(&notes, "note: t.cfg:13: stock Darknet on a CPU"));
    assert_int_equal(notes.n, 3);
    ds_notes_clear(&notes);
    ds_cfg_free(cfg);
    cfg = parse(NET CONV "batch_normalize=1\n" TEN "[sat]\n[reject]\n", NULL);
    assert_int_equal(ds_cfg_check_training(cfg, &notes, &e), 0);
    assert_int_equal(notes.n, 0);
    ds_cfg_free(cfg);
}

/* ---- files of the host ---- */

/* Every classifier of the host passes; files for its other commands are refused by the section that says so. */
static void check_stock(const char *name, int *passed)
{
    char *path = ds_format(STOCK "%s", name), *text;
    static const char *const foreign[] = {"[yolo]", "[region]", "[detection]", "[rnn]", "[gru]"};
    ds_cfg *cfg;
    ds_error e = {0};
    bool classifier = true;
    assert_int_equal(ds_file_read_text(path, "a cfg", &text, NULL), 0);
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        classifier = classifier && !strstr(text, foreign[i]);
    int rc = ds_cfg_read(path, &cfg, NULL, &e);
    if (rc && (classifier || !strstr(e.text, "has no place in a classifier")))
        fail_msg("%s:%d: %s", path, e.line, e.text);
    if (!rc && !classifier)
        fail_msg("%s passes, but is no classifier", path);
    *passed += !rc;
    ds_cfg_free(cfg);
    free(text);
    free(path);
}

static void test_stock_files(void **state)
{
    (void)state;
    int passed = 0, total = 0;
    DIR *dir = opendir(STOCK);
    assert_non_null(dir);
    for (struct dirent *d; (d = readdir(dir));) {
        size_t n = strlen(d->d_name);
        if (n < 5 || strcmp(d->d_name + n - 4, ".cfg") != 0)
            continue;
        total++;
        check_stock(d->d_name, &passed);
    }
    closedir(dir);
    assert_true(total >= 45 && passed >= 28);
}

static void test_stock_shapes(void **state)
{
    (void)state;
    ds_cfg *cfg;
    assert_int_equal(ds_cfg_read(STOCK "densenet201.cfg", &cfg, NULL, NULL), 0);
    assert_int_equal(cfg->n, 306);
    assert_int_equal(cfg->shapes[302].c, 1536); /* 512, and 32 from each route of the last block */
    assert_int_equal(cfg->shapes[302].h, 8);
    assert_int_equal(cfg->shapes[305].outputs, 1000);
    ds_cfg_free(cfg);
}

/* What training changes: weights, and a bias and a scale a filter where there is batch normalisation, else a bias. Every
 * convolution of these files has square filters and no groups. */
static long long count_parameters(const ds_cfg *cfg)
{
    long long sum = 0;
    for (int i = 1; i < cfg->n; i++) {
        const ds_section *s = &cfg->sections[i];
        const ds_shape *in = &cfg->shapes[i - 1], *out = &cfg->shapes[i];
        const char *kind = ds_section_kind(s), *size = ds_section_get(s, "size");
        if (strcmp(kind, "convolutional") == 0)
            sum += (strtoll(size, NULL, 10) * strtoll(size, NULL, 10) * in->c +
                    (ds_section_get(s, "batch_normalize") ? 2 : 1)) *
                   out->c;
        else if (strcmp(kind, "connected") == 0)
            sum += (long long)(in->outputs + 1) * out->outputs;
    }
    return sum;
}

/* The counts are those of the networks as published for CIFAR-10, 11 outputs instead of 10. */
static void test_own_files(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        long long parameters;
    } own[] = {{"cfg/vgg16bn_cifar_sat.cfg", 14710464 + 2 * 4224 + 11 * 513},
               {"cfg/resnet18_cifar_sat.cfg", 11173962 + 513}};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        ds_cfg *cfg;
        ds_error e = {0};
        ds_notes notes = {0};
        if (ds_cfg_read(own[i].path, &cfg, &notes, &e) || ds_cfg_check_training(cfg, &notes, &e))
            fail_msg("%s:%d: %s", e.file, e.line, e.text);
        assert_int_equal(notes.n, 0);
        assert_int_equal(count_parameters(cfg), own[i].parameters);
        assert_int_equal(ds_cfg_cost(cfg), cfg->n - 3);
        assert_int_equal(ds_cfg_reject(cfg), cfg->n - 2);
        assert_int_equal(cfg->shapes[cfg->n - 1].outputs, 10);
        ds_cfg_free(cfg);
        ds_notes_clear(&notes);
    }
}

static void test_files(void **state)
{
    (void)state;
    ds_cfg *cfg;
    ds_error e = {0};
    assert_int_equal(ds_cfg_read("no/such.cfg", &cfg, NULL, &e), DS_EIO);
    assert_null(cfg);
    assert_string_equal(e.file, "no/such.cfg");
    assert_int_equal(ds_cfg_read("src", &cfg, NULL, &e), DS_EIO);
}

/* ---- any text at all ---- */

static char *mutate(ds_rng *r, const char *text)
{
    static const char *const words[] = {"=",
                                        "\n",
                                        "[",
                                        "]",
                                        "-",
                                        "99999999",
                                        "0",
                                        ",",
                                        "\n[route]\nlayers=-1\n",
                                        "\n[sat]\n",
                                        "\n[reject]\n",
                                        "\n[cost]\n",
                                        "1e9",
                                        "\xff"};
    size_t n = strlen(text), room = n + 1024;
    char *out = malloc(room);
    assert_non_null(out);
    memcpy(out, text, n + 1);
    for (uint64_t edits = 1 + ds_rng_below(r, 6); edits; edits--) {
        size_t at = ds_rng_below(r, n + 1);
        const char *word = words[ds_rng_below(r, sizeof words / sizeof *words)];
        size_t cut = ds_rng_below(r, 3) ? ds_rng_below(r, 4) : ds_rng_below(r, 60), add = strlen(word);
        cut = cut < n - at ? cut : n - at;
        memmove(out + at + add, out + at + cut, n - at - cut + 1);
        memcpy(out + at, word, add);
        n = n - cut + add;
    }
    return out;
}

static void fuzz(const char *text, uint64_t seed, int rounds)
{
    int accepted = 0;
    for (int i = 0; i < rounds; i++) {
        ds_rng r = ds_rng_make(seed, (uint64_t)i, 0);
        char *broken = mutate(&r, text);
        ds_cfg *cfg;
        ds_error e = {0};
        if (ds_cfg_parse(broken, "f.cfg", &cfg, NULL, &e)) {
            assert_null(cfg);
            assert_true(e.text[0]);
        } else {
            accepted++;
            ds_cfg_check_training(cfg, NULL, &e);
            free(ds_cfg_lower(cfg, 2, 1));
            ds_cfg_free(cfg);
        }
        free(broken);
    }
    assert_true(accepted > 0 && accepted < rounds);
}

static void test_fuzz(void **state)
{
    (void)state;
    static const char *const files[] = {STOCK "resnet18.cfg", STOCK "cifar.cfg"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *text;
        assert_int_equal(ds_file_read_text(files[i], "a cfg", &text, NULL), 0);
        fuzz(text, i, 3000);
        free(text);
    }
    fuzz(NET CONV CONV "[route]\nlayers=-1,0\n[shortcut]\nfrom=-3\n" TEN "[sat]\ntarget=ema\n[reject]\n", 7,
         6000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reader),         cmocka_unit_test(test_syntax),
        cmocka_unit_test(test_words),          cmocka_unit_test(test_net),
        cmocka_unit_test(test_foreign),        cmocka_unit_test(test_shape_values),
        cmocka_unit_test(test_shape_errors),   cmocka_unit_test(test_order),
        cmocka_unit_test(test_cost),           cmocka_unit_test(test_lower),
        cmocka_unit_test(test_base),           cmocka_unit_test(test_training_errors),
        cmocka_unit_test(test_training_notes), cmocka_unit_test(test_stock_files),
        cmocka_unit_test(test_stock_shapes),   cmocka_unit_test(test_files),
        cmocka_unit_test(test_fuzz),           cmocka_unit_test(test_own_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
