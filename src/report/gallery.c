#include "report/page.h"

enum { REJECTED_MOST = 10000, LISTED_LEAST = 50 };

typedef enum picked { MISTAKES, HITS, ANY } picked;

/* One way over the images: the first ones of a kind are listed, and pictured while pictures are left. */
typedef struct pass {
    picked kind;
    bool from_the_back;
    long listed, pictured; /* how many at most */
} pass;

static bool is_kind(const ds_prediction *p, picked kind)
{
    return kind == ANY || (p->prediction == p->label) == (kind == HITS);
}

/* Returns how many pictures were left over. */
static long mark(const ds_selection *rows, const size_t *order, pass p, unsigned char *marks)
{
    for (size_t k = 0; k < rows->n && (p.listed > 0 || p.pictured > 0); k++) {
        size_t place = p.from_the_back ? rows->n - 1 - k : k;
        if (!is_kind(&rows->rows[order[place]], p.kind))
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

static void mark_rejected(const ds_selection *rows, const size_t *order, unsigned char *marks)
{
    long listed = 0;
    for (size_t place = rows->n; place-- > 0 && listed < REJECTED_MOST; listed++) {
        if (ds_accepts(rows->rows[order[place]].confidence, rows->threshold))
            return;
        marks[place] |= DS_LISTED;
    }
}

void ds_gallery_mark(const ds_selection *rows, const size_t *order, int thumbs, unsigned char *marks)
{
    long third = thumbs / 3, left = thumbs - 2 * third;
    left +=
        mark(rows, order, (pass){MISTAKES, false, third > LISTED_LEAST ? third : LISTED_LEAST, third}, marks);
    left += mark(rows, order, (pass){HITS, true, third > LISTED_LEAST ? third : LISTED_LEAST, third}, marks);
    mark(rows, order, (pass){ANY, true, LISTED_LEAST, left}, marks);
    mark_rejected(rows, order, marks);
}
