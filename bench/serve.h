/* What the programs of this folder share: the command line, the network at another size, and commands on standard input, so that a driver can
 * time several programs in turn.
 *
 * For a line "MODE N" a program takes N steps of that mode, one that is not timed before the first, and prints a line of name=value pairs. */
#pragma once

#include "cfg/cfg.h"

#include <stdbool.h>

typedef struct ds_bench {
    int batch, size,
        threads; /* as given; batch is set in any case, size 0: as the cfg says, threads 0: all cores */
    char *backend;
    bool tune;
    int precision; /* index into ds_precision_flags */
    ds_cfg *cfg;
    ds_notes notes;
} ds_bench;

/* One kind of step. */
typedef struct ds_bench_mode {
    const char *name;
    int (*prepare)(void *arg, ds_error *e); /* once, before the first step */
    int (*begin)(void *arg, ds_error *e);   /* before the timed steps of a command; (optional) */
    int (*step)(void *arg, ds_error *e);
    /* Prints " name=value…" about the steps of the command, which took `seconds` together; (optional) */
    void (*tell)(const void *arg, double seconds);
} ds_bench_mode;

/* Read the command line, "CFG [-batch N] [-size S] [-threads N]" and, with `backend`, [-backend NAME], and the cfg. -size: height and
 * width. Close in any case. */
int ds_bench_open(ds_bench *b, int argc, char **argv, bool backend, ds_error *e);
void ds_bench_close(ds_bench *b);

/* Obey until standard input ends. `what` begins each line; modes: n, all called with arg. */
int ds_bench_serve(const ds_bench *b, const char *what, const ds_bench_mode *modes, int n, void *arg,
                   ds_error *e);
