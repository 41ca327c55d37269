/* What `import` and `new` share. */
#pragma once

#include "import/import.h"

#define DS_SPLIT_HELP \
    "take COUNT training images, or a share of them, class shares kept, for valid, calib or test"

/* One flag takes one value: "-split a=1 b=2" becomes "-split a=1 -split b=2", "-test A B" (test_words)
 * becomes "-test A -test B". `out` has room for 2 * argc words; returns how many there are. */
int ds_import_spread(int argc, char **argv, int test_words, char **out);
/* "valid=2000" or "valid=10%", in place; the name stays inside the text. */
int ds_split_read(char *text, ds_split *split, ds_error *e);
/* How many images are where, and the .data file. */
void ds_imported_print(const ds_imported *done);
