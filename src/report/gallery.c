#include "report/page.h"

enum { REJECTED_MOST = 10000, LISTED_LEAST = 50 };

typedef enum picked { MISTAKES, HITS, ANY } picked;

/* One way over the images: the first ones of a kind are listed, and pictured while pictures are left. */
typedef struct pass {
    picked kind;
    bool from_the_back;
    long listed, pictured; /* how many at most */
} pass;

static bool is_kind(bool wrong, picked kind)
{
    return kind == ANY || wrong == (kind == MISTAKES);
}

/* Returns how many pictures were left over. */
static long mark(const ds_answers *a, const size_t *order, pass p, unsigned char *marks)
{
    for (size_t k = 0; k < a->n && (p.listed > 0 || p.pictured > 0); k++) {
        size_t place = p.from_the_back ? a->n - 1 - k : k;
        if (!is_kind(a->wrong[order[place]], p.kind))
            continue;
        if (p.listed-- > 0)
            marks[place] |= DS_LISTED;
        if (!(marks[place] & DS_PICTURED) && p.pictured > 0) {
            marks[place] |= DS_LISTED | DS_PICTURED;
            p.pictured--;
        }
    }
    return p.pictured;
}

static void mark_rejected(const ds_answers *a, double threshold, const size_t *order, unsigned char *marks)
{
    long listed = 0;
    for (size_t place = a->n; place-- > 0 && listed < REJECTED_MOST; listed++) {
        if (ds_accepts(a->confidences[order[place]], threshold))
            return;
        marks[place] |= DS_LISTED;
    }
}

void ds_gallery_mark(const ds_answers *a, double threshold, const size_t *order, int thumbs,
                     unsigned char *marks)
{
    long third = thumbs / 3, left = thumbs - 2 * third;
    left +=
        mark(a, order, (pass){MISTAKES, false, third > LISTED_LEAST ? third : LISTED_LEAST, third}, marks);
    left += mark(a, order, (pass){HITS, true, third > LISTED_LEAST ? third : LISTED_LEAST, third}, marks);
    mark(a, order, (pass){ANY, true, LISTED_LEAST, left}, marks);
    mark_rejected(a, threshold, order, marks);
}
