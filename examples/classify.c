/* The classes of images, or that they are rejected: classify DATA CFG WEIGHTS IMAGE...
 * cc classify.c $(pkg-config --cflags --libs darknet-sat) */
#include <darknet-sat.h>
#include <stdio.h>
#include <stdlib.h>

static void print(const char *path, const struct darknet_sat_answer *a)
{
    if (a->error)
        printf("%s: %s\n", path, a->error_text);
    else if (a->verdict == DARKNET_SAT_ACCEPTED)
        printf("%s: %s, probability %.17g\n", path, a->name, a->probabilities[a->class_index]);
    else
        printf("%s: rejected (%s): confidence %.17g, threshold %.17g\n", path,
               darknet_sat_verdict_text(a->verdict), a->confidence, a->threshold);
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: %s DATA CFG WEIGHTS IMAGE...\n", argv[0]);
        return 2;
    }
    const int n = argc - 4;
    struct darknet_sat_options options = {.size = sizeof options, .data = argv[1]};
    struct darknet_sat_error error;
    struct darknet_sat_answer *answers;
    darknet_sat_model *model;
    if (darknet_sat_open(argv[2], argv[3], &options, &model, &error)) {
        fprintf(stderr, "error: %s\n", error.text);
        return 1;
    }
    struct darknet_sat_image *images = calloc((size_t)n, sizeof *images);
    if (!images)
        return 1;
    for (int i = 0; i < n; i++)
        images[i] = (struct darknet_sat_image){.kind = DARKNET_SAT_FILE, .data = argv[4 + i]};
    if (darknet_sat_classify(model, images, (size_t)n, &answers, &error)) {
        fprintf(stderr, "error: %s\n", error.text);
        return 1;
    }
    for (int i = 0; i < n; i++)
        print(argv[4 + i], &answers[i]);
    darknet_sat_free(answers);
    darknet_sat_close(model);
    free(images);
    return 0;
}
