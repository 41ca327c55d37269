#include "data/write_png.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { SIGNATURE = 8, CHUNK = 12, IHDR = 13, HEAD = SIGNATURE + CHUNK + IHDR };

struct ds_png {
    int h;
    size_t row;         /* bytes of a row of pixels */
    unsigned char *raw; /* h rows, each behind its filter byte (always 0: none) */
    size_t n_raw;
    unsigned char *file; /* the whole file; its first HEAD bytes never change */
    size_t n_data;       /* room for the compressed data */
    z_stream z;
};

static unsigned char *put32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(v >> (24 - 8 * i));
    return p + 4;
}

/* Close the chunk whose 4 bytes of length begin at `p` and whose n bytes of data are in place; returns its
 * end. */
static unsigned char *seal(unsigned char *p, const char *type, uint32_t n)
{
    put32(p, n);
    memcpy(p + 4, type, 4);
    return put32(p + 8 + n, (uint32_t)crc32(0, p + 4, n + 4));
}

static void write_head(unsigned char *p, int w, int h, int c)
{
    memcpy(p, "\x89PNG\r\n\x1a\n", SIGNATURE);
    unsigned char *data = p + SIGNATURE + 8;
    data = put32(put32(data, (uint32_t)w), (uint32_t)h);
    /* bit depth, colour type, then the only compression, filter and interlace methods we use */
    const unsigned char rest[5] = {8, c == 3 ? 2 : 0, 0, 0, 0};
    memcpy(data, rest, sizeof rest);
    seal(p + SIGNATURE, "IHDR", IHDR);
}

int ds_png_new(int w, int h, int c, ds_png **png, ds_error *e)
{
    if (w < 1 || h < 1 || w > 32768 || h > 32768 || (c != 1 && c != 3))
        return ds_fail(e, DS_EINPUT,
                       "cannot write an image of %dx%dx%d, expected 1 … 32768 pixels a side, 1 or 3 channels",
                       w, h, c);
    ds_png *p = calloc(1, sizeof *p);
    if (!p)
        return ds_fail_memory(e);
    if (deflateInit(&p->z, Z_BEST_SPEED) != Z_OK) {
        free(p);
        return ds_fail_memory(e);
    }
    p->h = h;
    p->row = (size_t)w * (size_t)c;
    p->n_raw = (p->row + 1) * (size_t)h;
    p->n_data = deflateBound(&p->z, p->n_raw);
    p->raw = calloc(p->n_raw, 1);
    p->file = malloc(HEAD + CHUNK + p->n_data + CHUNK);
    if (!p->raw || !p->file) {
        ds_png_free(p);
        return ds_fail_memory(e);
    }
    write_head(p->file, w, h, c);
    *png = p;
    return DS_OK;
}

/* Compress the pixels into the file's buffer; returns the size of the file, 0 on failure. */
static size_t encode(ds_png *p, const unsigned char *px)
{
    for (int y = 0; y < p->h; y++)
        memcpy(p->raw + (p->row + 1) * (size_t)y + 1, px + p->row * (size_t)y, p->row);
    unsigned char *data = p->file + HEAD;
    deflateReset(&p->z);
    p->z.next_in = p->raw;
    p->z.avail_in = (uInt)p->n_raw;
    p->z.next_out = data + 8;
    p->z.avail_out = (uInt)p->n_data;
    if (deflate(&p->z, Z_FINISH) != Z_STREAM_END)
        return 0;
    unsigned char *end = seal(data, "IDAT", (uint32_t)p->z.total_out);
    return (size_t)(seal(end, "IEND", 0) - p->file);
}

static int write_all(const char *path, const unsigned char *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return errno;
    int problem = 0;
    while (n && !problem) {
        ssize_t done = write(fd, bytes, n);
        if (done < 0 && errno != EINTR)
            problem = errno;
        if (done > 0) {
            bytes += done;
            n -= (size_t)done;
        }
    }
    if (close(fd) && !problem)
        problem = errno;
    return problem;
}

int ds_png_write(ds_png *png, const unsigned char *px, const char *path, ds_error *e)
{
    size_t n = encode(png, px);
    if (!n)
        return ds_fail_at(e, DS_EIO, path, 0, "cannot compress the image");
    int problem = write_all(path, png->file, n);
    return problem ? ds_fail_at(e, DS_EIO, path, 0, "cannot write: %s", strerror(problem)) : DS_OK;
}

int ds_png_encode(ds_png *png, const unsigned char *px, const unsigned char **bytes, size_t *n, ds_error *e)
{
    *bytes = png->file;
    *n = encode(png, px);
    return *n ? DS_OK : ds_fail(e, DS_EIO, "cannot compress the image");
}

void ds_png_free(ds_png *png)
{
    if (!png)
        return;
    deflateEnd(&png->z);
    free(png->raw);
    free(png->file);
    free(png);
}
