/* The command line of one sub-command: flags by an option table, everything else operands. */
#ifndef DS_CLI_FLAGS_H
#define DS_CLI_FLAGS_H

#include "base/error.h"
#include "base/option.h"

/* Fill `state` (defaults first) from argv[0 … argc-1], the words after the sub-command. "-name value",
 * "--name value" and, for a DS_FLAG, "-name"; "--" ends the flags; a single "-" is a value; a negative number
 * may follow a flag. operands: gets pointers into argv, at most max_operands; *n_operands: how many came.
 * DS_EUSAGE: unknown flag (names the nearest), flag given twice (unless DS_TEXTS), missing or bad value,
 * operand too many. On error too the caller frees the state with ds_option_clear. */
int ds_flags_parse(const ds_option *table, void *state, int argc, char **argv, const char **operands,
                   int max_operands, int *n_operands, ds_error *e);

#endif
