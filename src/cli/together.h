/* Several copies of the program that do one command together (ranks/ranks.h). */
#pragma once

#include "ranks/ranks.h"

/* Those of this program; NULL: there is one. Set before the command runs, and never again. */
ds_ranks *ds_together(void);
/* Is this the one that prints and writes? */
bool ds_together_first(void);
/* Meet the others of a command, which does its work with several ranks or not. From then on ranks but the
 * first write nothing. DS_EUSAGE on all ranks: not. */
int ds_together_begin(const char *command, bool several, ds_error *e);
/* The end of a command that gave rc, and is told of: ranks whose failure the others do not know of end them
 * all, and do not return. */
void ds_together_end(int rc);
/* Is a failure this rank's to tell? Its own, or the first one's. */
bool ds_together_tells(int rc);
/* The value of -threads: for 0 this rank's part of the cores of its host. Where the launcher has bound it to
 * fewer cores than threads (mpirun: to one), it may use all of them. */
int ds_together_threads(int asked);
