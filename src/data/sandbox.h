/* Work on what strangers sent, in child processes without rights: they compute, in bounded memory and time,
 * and talk to the program; whatever else they try ends them. */
#pragma once

#include "base/error.h"

typedef struct ds_sandbox ds_sandbox; /* opaque; for any number of threads */
typedef struct ds_cell ds_cell;       /* opaque: a child, for one thread at a time */

typedef struct ds_sandbox_setup {
    void (*prepare)(void);   /* before, with all rights, where children are forked; NULL: nothing */
    void (*work)(void *arg); /* in the child, which ends with it */
    void *arg;
    const char *material; /* in messages: "image" */
    int fd;               /* a descriptor that children keep; 0: none */
    int seconds;          /* from take to give; a child may compute four times as long */
    size_t memory;        /* bytes of a child's address space */
} ds_sandbox_setup;

/* Forks the process that forks the children: to be called while the program has one thread, since a fork of
 * several is unsafe. Children see what the program holds now, nothing of what it reads later. DS_EIO: the
 * system does not let a child give up its rights. */
int ds_sandbox_new(const ds_sandbox_setup *setup, ds_sandbox **sandbox, ds_error *e);
/* All cells have been given back. `s` may be NULL. */
void ds_sandbox_free(ds_sandbox *s);

/* A child that waits, or a new one; `fresh`: a new one in any case. `path`, the caller's: the file of
 * errors. */
int ds_sandbox_take(ds_sandbox *s, const char *path, bool fresh, ds_cell **cell, ds_error *e);
void ds_sandbox_give(ds_sandbox *s, ds_cell *cell);

/* n bytes to and from the child. DS_EIO: it has ended ("the decoder was killed by signal 11 (untrusted
 * image)"). DS_EINPUT: it took too long. After an error the cell can but be given back. */
int ds_cell_send(ds_cell *c, const void *from, size_t n, ds_error *e);
int ds_cell_receive(ds_cell *c, void *to, size_t n, ds_error *e);
/* Receives a ds_error that tells what came of the work: DS_OK or, whatever its code, DS_EINPUT. */
int ds_cell_verdict(ds_cell *c, ds_error *e);
/* Ends a child that sends what none should. DS_EINPUT: "the decoder WHY (untrusted image)". */
int ds_cell_end(ds_cell *c, const char *why, ds_error *e);

/* In the child: all n bytes, or its end. */
void ds_child_read(void *to, size_t n);
void ds_child_write(const void *from, size_t n);
