/* Images of strangers: the program reads the file, a child without rights decodes it. */
#include "data/image.h"
#include "data/sandbox.h"

#include <unistd.h>

/* The child gets it, then the file. */
typedef struct request {
    size_t n;
    int channels;
} request;

/* Answers with a ds_error; where it has none, with a ds_image and its pixels. */
static void serve(void *arg)
{
    (void)arg;
    for (;;) {
        request r;
        ds_error e = {0};
        ds_image im = {0};
        ds_child_read(&r, sizeof r);
        unsigned char *bytes = malloc(r.n + 1);
        if (!bytes)
            _exit(1);
        ds_child_read(bytes, r.n);
        int rc = ds_image_decode(bytes, r.n, "", r.channels, &im, &e);
        ds_child_write(&e, sizeof e);
        if (!rc) {
            ds_child_write(&im, sizeof im);
            ds_child_write(im.px, (size_t)im.w * (size_t)im.h * (size_t)im.c);
        }
        ds_image_clear(&im);
        free(bytes);
    }
}

int ds_decoder_new(ds_sandbox **decoder, ds_error *e)
{
    ds_sandbox_setup s = {.work = serve, .material = "image", .seconds = 30, .memory = (size_t)3 << 29};
    return ds_sandbox_new(&s, decoder, e);
}

static int ask(ds_cell *cell, const request *r, const unsigned char *bytes, ds_image *im, ds_error *e)
{
    ds_image sent;
    DS_TRY(ds_cell_send(cell, r, sizeof *r, e));
    DS_TRY(ds_cell_send(cell, bytes, r->n, e));
    DS_TRY(ds_cell_verdict(cell, e));
    DS_TRY(ds_cell_receive(cell, &sent, sizeof sent, e));
    if (sent.w < 1 || sent.h < 1 || (long long)sent.w * sent.h > DS_MOST_PIXELS || sent.file_channels < 1 ||
        sent.file_channels > 4)
        return ds_cell_end(cell, "sent no image", e);
    const int channels = r->channels & ~DS_AS_STORED;
    size_t n = (size_t)sent.w * (size_t)sent.h * (size_t)channels;
    *im = (ds_image){sent.w, sent.h, channels, malloc(n), sent.file_channels};
    return im->px ? ds_cell_receive(cell, im->px, n, e)
                  : ds_cell_end(cell, "sent more pixels than there is memory for", e);
}

static int decode(ds_sandbox *decoder, const char *path, bool fresh, const request *r,
                  const unsigned char *bytes, ds_image *im, ds_error *e)
{
    ds_cell *cell;
    DS_TRY(ds_sandbox_take(decoder, path, fresh, &cell, e));
    int rc = ask(cell, r, bytes, im, e);
    ds_sandbox_give(decoder, cell);
    if (rc)
        ds_image_clear(im);
    return rc;
}

int ds_decoder_decode(ds_sandbox *decoder, const unsigned char *bytes, size_t n, const char *path,
                      int channels, ds_image *im, ds_error *e)
{
    request r = {n, channels};
    ds_error ended = {0};
    if (n > DS_MOST_UNTRUSTED)
        return ds_fail_at(e, DS_EINPUT, path, 0, "has %zu bytes, expected at most %d (untrusted image)", n,
                          DS_MOST_UNTRUSTED);
    int rc = decode(decoder, path, false, &r, bytes, im, &ended);
    if (rc == DS_EIO) /* what an earlier image did to that child may have ended it; a new one tells */
        return decode(decoder, path, true, &r, bytes, im, e);
    return rc ? ds_error_pass(e, &ended) : DS_OK;
}
