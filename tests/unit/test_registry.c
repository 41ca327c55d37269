/* The registry: finding layers, ABI, what becomes of a state whose init fails. */
#include "plugins/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* A layer that counts its releases and fails when told to. */
typedef struct probe {
    char *word;
    bool fail, place, key;
    char *memory;
} probe;

static int releases;

static int probe_init(void *state, ds_setup *setup, ds_error *e)
{
    probe *p = state;
    p->memory = malloc(16);
    setup->outputs = setup->inputs;
    if (p->place)
        return ds_fail_at(e, DS_EINPUT, "other.txt", 3, "bad");
    setup->key = p->key ? "key" : NULL;
    return p->fail || p->key ? ds_fail(e, DS_EINPUT, "bad") : DS_OK;
}

static int probe_forward(void *state, const ds_pass *pass, ds_error *e)
{
    (void)state, (void)pass, (void)e;
    return DS_OK;
}

static void probe_release(void *state)
{
    probe *p = state;
    releases++;
    free(p->memory);
}

#define DS_STATE probe
static const ds_option probe_options[] = {
    OPT_TEXT("word", word, "text", .def = "w"),
    OPT_BOOL("fail", fail, "fail"),
    OPT_BOOL("place", place, "fail with a place"),
    OPT_BOOL("key", key, "fail because of a key"),
    OPT_END,
};

static const ds_layer probe_layer = {
    .abi = DS_PLUGIN_ABI,
    .name = "probe",
    .help = "for tests",
    .role = DS_COST,
    .state_size = sizeof(probe),
    .options = probe_options,
    .init = probe_init,
    .forward = probe_forward,
    .release = probe_release,
};

static int make(ds_instance *it, const char *key, ds_error *e)
{
    ds_pair pair = {(char *)key, "1", 8};
    it->setup = (ds_setup){.inputs = 4};
    if (e)
        *e = (ds_error){0};
    releases = 0;
    return ds_instance_init(it, &pair, key ? 1 : 0, "x.cfg", 7, e);
}

static void every_layer_is_complete(void **unused)
{
    (void)unused;
    const ds_layer *layer;
    int n = 0;
    for (; (layer = ds_layer_at(n)); n++) {
        assert_int_equal(layer->abi, DS_PLUGIN_ABI);
        assert_ptr_equal(ds_layer_find(layer->name), layer);
        assert_true(layer->help && layer->options);
        assert_true((layer->row || layer->forward) && layer->state_size > 0);
        for (const ds_option *o = layer->options; o->type != DS_END; o++)
            assert_true(o->help && *o->help && !strchr(o->help, '\n') && o->help[strlen(o->help) - 1] != '.');
    }
    assert_true(n >= 3);
    assert_null(ds_layer_at(-1));
    assert_null(ds_layer_at(n + 1));
    assert_null(ds_layer_find("convolutional"));
    assert_null(ds_layer_find(""));
}

static void another_abi_is_refused(void **unused)
{
    (void)unused;
    ds_layer old = probe_layer;
    ds_instance it = {.layer = &old};
    ds_error e = {0};
    old.abi = DS_PLUGIN_ABI + 1;
    assert_false(ds_layer_usable(&old));
    assert_true(ds_layer_usable(&probe_layer));
    assert_int_equal(make(&it, NULL, &e), DS_EINPUT);
    assert_null(it.state);
    assert_non_null(strstr(e.text, "ABI 9, expected 8"));
    assert_int_equal(releases, 0);
}

static void a_state_is_filled_and_freed(void **unused)
{
    (void)unused;
    ds_instance it = {.layer = &probe_layer};
    ds_error e = {0};
    assert_int_equal(make(&it, "word", &e), 0);
    assert_string_equal(((probe *)it.state)->word, "1");
    assert_int_equal(it.setup.classes, 4);
    assert_true(it.setup.temperature == 1);
    ds_instance_release(&it);
    assert_int_equal(releases, 1);
    ds_instance_release(&it);
    assert_int_equal(releases, 1);
}

static void fails_at(const char *key, const char *file, int line)
{
    ds_instance it = {.layer = &probe_layer};
    ds_error e = {0};
    assert_int_equal(make(&it, key, &e), DS_EINPUT);
    assert_null(it.state);
    assert_int_equal(releases, 1);
    assert_string_equal(e.file, file);
    assert_int_equal(e.line, line);
}

static void a_failed_init_is_released_and_placed(void **unused)
{
    (void)unused;
    fails_at("fail", "x.cfg", 7);
    fails_at("key", "x.cfg", 8);
    fails_at("place", "other.txt", 3);
}

static void a_bad_key_has_its_line(void **unused)
{
    (void)unused;
    ds_instance it = {.layer = &probe_layer};
    ds_error e = {0};
    assert_int_equal(make(&it, "wort", &e), DS_EINPUT);
    assert_null(it.state);
    assert_int_equal(e.line, 8);
    assert_non_null(strstr(e.text, "[probe]"));
    assert_int_equal(make(&it, "fail", NULL), DS_EINPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layer_is_complete),     cmocka_unit_test(another_abi_is_refused),
        cmocka_unit_test(a_state_is_filled_and_freed), cmocka_unit_test(a_failed_init_is_released_and_placed),
        cmocka_unit_test(a_bad_key_has_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
