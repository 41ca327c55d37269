/* Several copies of the program that do one command together (ranks/ranks.h). */
#pragma once

#include "ranks/ranks.h"

/* Those of this program; NULL: there is one. Set before the command runs, and never again. */
ds_ranks *ds_together(void);
/* Is standard output a person's terminal? mpirun makes one of whatever it writes to. */
bool ds_together_terminal(void);
/* Is this the one that prints and writes? */
bool ds_together_first(void);
/* Meet the others, if there are any, with the same program and words of the command line: else DS_EINPUT on
 * all ranks. From then on ranks but the first write nothing. */
int ds_together_begin(int argc, char **argv, ds_error *e);
/* DS_EUSAGE: there are others, and the command does not share its work. */
int ds_together_alone(const char *command, ds_error *e);
/* All has been done, and rc came of it. Is a failure this rank's to tell? One of many ranks the first one's,
 * one that the others do not come to know of its own. */
bool ds_together_tells(int rc);
/* What there was to tell is told: the end, where the others do not know of a failure that of all of them. */
void ds_together_end(int rc);
/* The value of -threads: for 0 this rank's part of the cores of its host. Where the launcher has bound it to
 * fewer cores than threads (mpirun: to one), it may use all of them. */
int ds_together_threads(int asked);
/* The value of -cache in bytes: for auto (-1) this rank's part of a quarter of ds_memory_limit. */
size_t ds_together_cache(int asked);
