/* `layers`: what the option tables of the plugins say, as a list, as help of one layer, or as the text of
 * cfg/LAYERS.md. */
#include "cfg/cfg.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "data/data.h"
#include "plugins/registry.h"
#include "select/select.h"

#include <errno.h>

typedef struct layers_state {
    bool markdown;
} layers_state;

#define DS_STATE layers_state
const ds_option ds_layers_options[] = {
    OPT_FLAG("markdown", markdown, "print the text of cfg/LAYERS.md: every layer with its keys"),
    OPT_END,
};

static void list_layers(void)
{
    const ds_layer *layer;
    for (int i = 0; (layer = ds_layer_at(i)); i++)
        printf("%-12s %s\n", layer->name, layer->help);
    printf(
        "\n`%s layers NAME` prints the keys of a layer, of those of Darknet too (convolutional, net, ...).\n",
        program_invocation_name);
}

static void print_layer(const ds_layer *layer)
{
    printf("[%s]: %s\n\nkeys:\n", layer->name, layer->help);
    ds_option_print(layer->options, "", stdout);
    if (layer->role != DS_REJECT)
        return;
    puts("\nconfidences (higher: surer):");
    for (int i = 0; ds_confidence_names[i]; i++)
        printf("  %-24s %s\n", ds_confidence_names[i], ds_confidence_help[i]);
}

static int print_section(const char *name, ds_error *e)
{
    const ds_option *keys = ds_section_keys(name);
    const char *near = keys ? NULL : ds_kind_nearest(name);
    if (!keys)
        return ds_fail(e, DS_EUSAGE, "unknown layer '%s', %s%s%s", name,
                       near ? "did you mean '" : "expected one of those that `layers` lists, or of Darknet",
                       near ? near : "", near ? "'?" : "");
    printf("[%s]: a section of Darknet\n\nkeys:\n", name);
    ds_option_print(keys, "", stdout);
    return DS_OK;
}

/* A bar would end the table's cell. */
static void put_cell(const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            putchar('\\');
        putchar(*text);
    }
}

static void put_row(const ds_option *o)
{
    const char *quote = o->def ? "`" : "";
    DS_FREED char *value = ds_option_describe(o);
    printf("| `%s` | ", o->name);
    put_cell(value);
    if (o->unit)
        printf(" (%s)", o->unit);
    printf(" | %s%s%s | ", quote, o->def ? o->def : "", quote);
    put_cell(o->when ? o->when : "");
    printf(" | %s |\n", o->help);
}

static void put_head(void)
{
    puts("| key | value | default | only with | meaning |\n|---|---|---|---|---|");
}

static void put_table(const ds_option *table)
{
    put_head();
    for (const ds_option *o = table; o->type != DS_END; o++)
        put_row(o);
}

static void print_markdown(void)
{
    const ds_layer *layer;
    puts(
        "# Layers and keys\n\nMade by `./darknet layers -markdown` from the option tables; edit those. Every "
        "section and key of\nstock Darknet's classifiers works too, with its meaning there.");
    for (int i = 0; (layer = ds_layer_at(i)); i++) {
        printf("\n## `[%s]`\n\n%s\n\n", layer->name, layer->help);
        put_table(layer->options);
    }
    puts("\n## Confidences\n\nWords for `confidence=` and `-confidence`; a higher number is a surer "
         "answer.\n\n"
         "| word | meaning |\n|---|---|");
    for (int i = 0; ds_confidence_names[i]; i++)
        printf("| `%s` | %s |\n", ds_confidence_names[i], ds_confidence_help[i]);
    puts("\n## `[net]`\n\nThe keys of stock Darknet, `policy=cosine` and more:\n");
    put_head();
    for (const char *const *name = ds_net_own_keys; *name; name++)
        put_row(ds_option_find(ds_net_keys, *name));
    puts("\n## `.data` files\n");
    put_table(ds_datafile_options);
}

int ds_cmd_layers(int argc, char **argv, ds_error *e)
{
    layers_state s = {0};
    DS_FINALLY(ds_words_clear) ds_words w = {.table = ds_layers_options, .state = &s};
    DS_TRY(ds_words_read(&w, argc, argv, 1, e));
    const char *name = w.operands[0];
    const ds_layer *layer = name ? ds_layer_find(name) : NULL;
    if (s.markdown && name)
        return ds_fail(e, DS_EUSAGE, "-markdown prints all layers, expected no '%s' with it", name);
    if (name && !layer)
        return print_section(name, e);
    if (layer)
        print_layer(layer);
    else if (s.markdown)
        print_markdown();
    else
        list_layers();
    return DS_OK;
}
