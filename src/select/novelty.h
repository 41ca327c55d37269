/* Is an image none of the classes? How far its features, what layers put out averaged over positions, are
 * from those of the training images. */
#ifndef DS_SELECT_NOVELTY_H
#define DS_SELECT_NOVELTY_H

#include <stddef.h>

/* Where in a network features come from, first layer first. Those of an image are `row` numbers, one depth
 * after the other. */
enum { DS_MOST_DEPTHS = 16 };
typedef struct ds_depths {
    int n;
    int layer[DS_MOST_DEPTHS], channels[DS_MOST_DEPTHS];
    size_t row; /* sum of channels */
} ds_depths;

#endif
