/* Several threads ask one model, as those of a server or of cameras do: threads CFG WEIGHTS N
 * The pixels are made up: those of a camera are rows of red, green and blue bytes likewise.
 * cc threads.c $(pkg-config --cflags --libs darknet-sat) -pthread */
#include <darknet-sat.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { WIDTH = 64, HEIGHT = 48, THREADS = 4 };

struct camera {
    darknet_sat_model *model;
    int number, pictures, accepted;
};

static void *watch(void *arg)
{
    struct camera *c = arg;
    const int channels = darknet_sat_info(c->model)->channels;
    unsigned char *pixels = malloc((size_t)WIDTH * HEIGHT * (size_t)channels);
    for (int k = 0; pixels && k < c->pictures; k++) {
        struct darknet_sat_answer *answer;
        struct darknet_sat_error error;
        for (int i = 0; i < WIDTH * HEIGHT * channels; i++)
            pixels[i] = (unsigned char)(i * (k + 1) * (c->number + 1));
        if (darknet_sat_classify_pixels(c->model, pixels, WIDTH, HEIGHT, channels, &answer, &error)) {
            fprintf(stderr, "error: %s\n", error.text);
            exit(1);
        }
        c->accepted += answer->verdict == DARKNET_SAT_ACCEPTED;
        darknet_sat_free(answer);
    }
    free(pixels);
    return NULL;
}

int main(int argc, char **argv)
{
    struct darknet_sat_options options = {.size = sizeof options, .threads = 1, .workers = 2};
    struct darknet_sat_error error;
    struct camera cameras[THREADS];
    pthread_t threads[THREADS];
    darknet_sat_model *model;
    if (argc != 4) {
        fprintf(stderr, "usage: %s CFG WEIGHTS N\n", argv[0]);
        return 2;
    }
    if (darknet_sat_open(argv[1], argv[2], &options, &model, &error)) {
        fprintf(stderr, "error: %s\n", error.text);
        return 1;
    }
    for (int i = 0; i < THREADS; i++) {
        cameras[i] = (struct camera){model, i, (int)strtol(argv[3], NULL, 10), 0};
        if (pthread_create(&threads[i], NULL, watch, &cameras[i]))
            return 1;
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        printf("camera %d: %d of %d pictures accepted\n", i, cameras[i].accepted, cameras[i].pictures);
    }
    darknet_sat_close(model);
    return 0;
}
