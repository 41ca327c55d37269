/* The sub-commands, each in its cmd_*.c: a function and the table of its flags. argv holds the words after
 * the sub-command. They return 0 or a negative ds_err and fill `e`; main prints it. */
#pragma once

#include "base/option.h"

int ds_cmd_new(int argc, char **argv, ds_error *e);
int ds_cmd_train(int argc, char **argv, ds_error *e);
int ds_cmd_check(int argc, char **argv, ds_error *e);
int ds_cmd_valid(int argc, char **argv, ds_error *e);
int ds_cmd_predict(int argc, char **argv, ds_error *e);
int ds_cmd_reject(int argc, char **argv, ds_error *e);
int ds_cmd_calibrate(int argc, char **argv, ds_error *e);
int ds_cmd_watch(int argc, char **argv, ds_error *e);
int ds_cmd_serve(int argc, char **argv, ds_error *e);
int ds_cmd_noise(int argc, char **argv, ds_error *e);
int ds_cmd_audit(int argc, char **argv, ds_error *e);
int ds_cmd_export(int argc, char **argv, ds_error *e);
int ds_cmd_import(int argc, char **argv, ds_error *e); /* argv[0]: "idx", "cifar10" … */
/* plugin.c: the layer of NAME.so, which is ds_layer_NAME; it stays as long as the program. */
int ds_open_plugin(const char *path, ds_error *e);
int ds_cmd_layers(int argc, char **argv, ds_error *e);

extern const ds_option ds_new_options[], ds_train_options[], ds_check_options[], ds_valid_options[],
    ds_predict_options[], ds_reject_options[], ds_calibrate_options[], ds_watch_options[], ds_serve_options[],
    ds_noise_options[], ds_audit_options[], ds_export_options[], ds_import_idx_options[],
    ds_import_cifar_options[], ds_import_folders_options[], ds_layers_options[];

/* First words of stock Darknet's command line that we do not have, NULL-terminated. */
extern const char *const ds_host_words[];
/* Of our `classifier X` that is nearest to stock Darknet's `classifier word`; NULL when stock has no such
 * word. */
const char *ds_host_classifier_word(const char *word);
/* Run /usr/bin/darknet in place of this process. Returns only on failure. */
int ds_forward(int argc, char **argv, ds_error *e);
