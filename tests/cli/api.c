/* What the examples do not show: api CFG WEIGHTS REFUSED.cfg IMAGE. Prints "ok NAME" or "not ok NAME". */
#include "darknet-sat.h"

#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

static void say(int good, const char *name)
{
    printf("%sok %s\n", good ? "" : "not ", name);
    failures += !good;
}

typedef struct darknet_sat_answer answer;
typedef struct darknet_sat_image image;
static struct darknet_sat_error error;

static darknet_sat_model *open_model(char **argv, int workers)
{
    const struct darknet_sat_options o = {.size = sizeof o, .threads = 1, .workers = workers, .batch = 8};
    darknet_sat_model *m;
    if (!darknet_sat_open(argv[1], argv[2], &o, &m, &error))
        return m;
    fprintf(stderr, "%s\n", error.text);
    exit(1);
}

static int equal(const answer *a, const answer *b, int classes)
{
    return !a->error && !b->error && a->class_index == b->class_index && a->verdict == b->verdict &&
           memcmp(&a->confidence, &b->confidence, sizeof a->confidence) == 0 &&
           memcmp(a->probabilities, b->probabilities, (size_t)classes * sizeof(double)) == 0;
}

/* Bytes of a file, in fresh memory. */
static unsigned char *slurp(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    unsigned char *bytes = malloc(1 << 20);
    *n = f && bytes ? fread(bytes, 1, 1 << 20, f) : 0;
    if (f)
        fclose(f);
    return bytes;
}

/* Grey, the network's size: bytes and the floats that they mean. */
static void check_kinds(darknet_sat_model *m, const char *path)
{
    const struct darknet_sat_info *info = darknet_sat_info(m);
    const int c = info->channels, w = info->width, h = info->height;
    size_t n;
    unsigned char *bytes = slurp(path, &n), *pixels = malloc((size_t)(w * h * c));
    float *floats = malloc((size_t)(w * h * c) * sizeof *floats);
    answer *a = NULL, *b = NULL;
    say(!darknet_sat_classify_file(m, path, &a, &error) &&
            !darknet_sat_classify_bytes(m, bytes, n, &b, &error) && equal(a, b, info->classes),
        "bytes of a file answer as the file does");
    darknet_sat_free(a);
    darknet_sat_free(b);
    for (int i = 0; i < w * h * c; i++) {
        pixels[i] = (unsigned char)(i * 37);
        floats[(i % c) * w * h + i / c] = (float)pixels[i] / 255;
    }
    a = b = NULL;
    say(!darknet_sat_classify_pixels(m, pixels, w, h, c, &a, &error) &&
            !darknet_sat_classify_floats(m, floats, &b, &error) &&
            fabs(a->confidence - b->confidence) < 1e-5 && a->class_index == b->class_index,
        "pixels answer as their floats do");
    double sum = 0;
    for (int k = 0; k < info->classes; k++)
        sum += a->probabilities[k];
    say(fabs(sum - 1) < 1e-9 && a->threshold == info->thresholds[a->class_index],
        "probabilities, and the class's threshold");
    darknet_sat_free(a);
    darknet_sat_free(b);
    b = (answer *)&sum;
    say(darknet_sat_classify_bytes(m, bytes, n / 2, &b, &error) == DARKNET_SAT_INPUT && !b && error.text[0],
        "half a file is an error");
    say(darknet_sat_classify_bytes(m, bytes, 0, &b, &error) == DARKNET_SAT_INPUT, "no bytes are an error");
    say(darknet_sat_classify_pixels(m, pixels, 0, h, c, &b, NULL) == DARKNET_SAT_INPUT,
        "no pixels are an error");
    say(darknet_sat_classify_pixels(m, pixels, w, h, c + 1, &b, &error) == DARKNET_SAT_INPUT &&
            strstr(error.text, "channels"),
        "channels of another number are an error");
    const image odd[] = {{.kind = 9, .data = pixels},
                         {.kind = DARKNET_SAT_FILE},
                         {DARKNET_SAT_PIXELS, pixels, 5, w, h, c},
                         {DARKNET_SAT_FLOATS, floats, 4, w + 1, h, c}};
    a = NULL;
    int good = !darknet_sat_classify(m, odd, 4, &a, &error);
    for (int i = 0; i < 4 && good; i++)
        good = a[i].error == DARKNET_SAT_INPUT && a[i].error_text && !a[i].probabilities;
    say(good, "four images that are none");
    darknet_sat_free(a);
    say(!darknet_sat_classify(m, NULL, 0, &a, &error) && a, "no images, no answers");
    darknet_sat_free(a);
    say(darknet_sat_classify(m, odd, (size_t)-1 / 64, &a, &error) == DARKNET_SAT_MEMORY && !a,
        "more images than memory");
    free(bytes);
    free(pixels);
    free(floats);
}

/* NULL where there must be something. */
static void check_missing(darknet_sat_model *m)
{
    const image none = {.kind = DARKNET_SAT_FILE};
    answer *a;
    say(darknet_sat_classify(NULL, &none, 1, &a, &error) == DARKNET_SAT_USAGE &&
            darknet_sat_classify(m, NULL, 5, &a, &error) == DARKNET_SAT_USAGE &&
            darknet_sat_classify(m, &none, 1, NULL, &error) == DARKNET_SAT_USAGE &&
            darknet_sat_classify_floats(NULL, NULL, &a, NULL) == DARKNET_SAT_USAGE &&
            darknet_sat_open("", "", NULL, NULL, &error) == DARKNET_SAT_USAGE && !darknet_sat_info(NULL),
        "what is missing is told");
}

static void check_options(char **argv)
{
    const struct darknet_sat_options wrong[] = {{.size = sizeof wrong[0] + 8},
                                                {.size = 0, .batch = 8},
                                                {.size = sizeof wrong[0], .batch = -1},
                                                {.size = sizeof wrong[0], .workers = 65},
                                                {.size = sizeof wrong[0], .precision = "f64"}};
    darknet_sat_model *m = (darknet_sat_model *)argv;
    int good = 1;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        good &= darknet_sat_open(argv[1], argv[2], &wrong[i], &m, &error) == DARKNET_SAT_USAGE && !m &&
                error.text[0];
    say(good, "wrong options are told");
    say(darknet_sat_open(argv[3], argv[2], NULL, &m, NULL) == DARKNET_SAT_INPUT && !m,
        "without room for the error");
    darknet_sat_close(NULL);
    darknet_sat_free(NULL);
}

/* More images than a batch, by several threads and several models at once. */
typedef struct asking {
    darknet_sat_model *m;
    const image *images;
    const answer *expected;
    int good;
} asking;

enum { IMAGES = 21, THREADS = 6, ROUNDS = 20 };

static void *ask(void *arg)
{
    asking *q = arg;
    const int classes = darknet_sat_info(q->m)->classes;
    q->good = 1;
    for (int k = 0; k < ROUNDS; k++) {
        answer *a;
        if (darknet_sat_classify(q->m, q->images, IMAGES, &a, NULL))
            return q->good = 0, NULL;
        for (int i = 0; i < IMAGES; i++)
            q->good &= equal(&a[i], &q->expected[i], classes);
        darknet_sat_free(a);
    }
    return NULL;
}

static void check_threads(darknet_sat_model *one, darknet_sat_model *many)
{
    const struct darknet_sat_info *info = darknet_sat_info(one);
    const int w = 30, h = 20, c = info->channels;
    const size_t size = (size_t)(w * h * c);
    unsigned char *pixels = malloc(IMAGES * size);
    image images[IMAGES];
    answer *expected = NULL;
    for (size_t i = 0; i < IMAGES * size; i++)
        pixels[i] = (unsigned char)(i * i >> 5);
    for (int i = 0; i < IMAGES; i++)
        images[i] = (image){DARKNET_SAT_PIXELS, pixels + (size_t)i * size, size, w, h, c};
    int good = !darknet_sat_classify(one, images, IMAGES, &expected, &error);
    pthread_t threads[THREADS];
    asking q[THREADS];
    for (int i = 0; i < THREADS; i++) {
        q[i] = (asking){i % 2 ? many : one, images, expected, 0};
        good &= !pthread_create(&threads[i], NULL, ask, &q[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        good &= q[i].good;
    }
    say(good, "six threads and two models at once get the same answers, to the bit");
    darknet_sat_free(expected);
    free(pixels);
}

/* Smaller than any normal number, computed where the compiler cannot. */
static int has_denormals(void)
{
    volatile double x = 1e-300;
    return x * 1e-10 != 0;
}

static int count;

static void on_signal(int number)
{
    (void)number;
    count++;
}

int main(int argc, char **argv)
{
    extern char **environ;
    char **environment = environ, *last = environ[0];
    sigset_t mask;
    if (argc != 5)
        return 2;
    signal(SIGUSR1, on_signal);
    darknet_sat_model *one = open_model(argv, 1);
    check_kinds(one, argv[4]);
    check_missing(one);
    fesetround(FE_UPWARD);
    darknet_sat_model *many = open_model(argv, 3);
    check_options(argv);
    check_threads(one, many);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    say(fegetround() == FE_UPWARD && has_denormals(), "floating point is as it was");
    say(environ == environment && environ[0] == last, "so is the environment");
    raise(SIGUSR1);
    say(count == 1 && !sigismember(&mask, SIGINT), "so are signals");
    say(strcmp(darknet_sat_verdict_text(DARKNET_SAT_UNKNOWN), "unknown") == 0 &&
            darknet_sat_code_text(DARKNET_SAT_IO)[0] && strchr(darknet_sat_version(), '.'),
        "texts");
    darknet_sat_close(one);
    darknet_sat_close(many);
    return failures ? 1 : 0;
}
