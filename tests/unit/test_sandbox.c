/* What a child without rights can do and what it cannot, and what its end costs. */
#include "base/clock.h"
#include "base/file.h"
#include "data/image.h"
#include "data/sandbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <omp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef DS_SANITIZED
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

static const size_t memory = (size_t)512 << 20;

/* ---- a child that does what it is told ---- */

typedef struct job {
    enum { COUNT, CRASH, RETURN, LOOP, SLEEP, CALL, DESCRIPTORS, KEPT, ALLOCATE } what;
    long call[7];
} job;

static char crash_here, *volatile nowhere = (char *)8;

/* The descriptors that can be written to, besides the channel. */
static long count_descriptors(void)
{
    long n = 0;
    for (int fd = 1; fd < 4096; fd++)
        n += write(fd, "", 0) == 0 || errno != EBADF;
    return n;
}

static long do_job(const job *j, long count, int fd)
{
    char byte = 0;
    switch (j->what) {
    case CRASH:
        *nowhere = 1;
        break;
    case LOOP:
        for (volatile long i = 0;; i++)
            ;
    case SLEEP:
        for (;;)
            syscall(SYS_futex, &crash_here, 0, 0, NULL, NULL, 0);
    case CALL:
        return syscall(j->call[0], j->call[1], j->call[2], j->call[3], j->call[4], j->call[5], j->call[6]);
    case DESCRIPTORS:
        return count_descriptors();
    case KEPT:
        return read(fd, &byte, 1) == 1 ? byte : -errno;
    case ALLOCATE: {
        char *volatile p = malloc(memory); /* not to be left out as unused */
        long got = p != NULL;
        free(p);
        return got;
    }
    case COUNT:
    case RETURN:
        break;
    }
    return count;
}

static void obey(void *arg)
{
    const int *fd = arg;
    job j;
    for (long count = 1;; count++) {
        ds_child_read(&j, sizeof j);
        if (j.what == RETURN)
            return;
        long result = do_job(&j, count, fd ? *fd : 0);
        ds_child_write(&result, sizeof result);
    }
}

static ds_sandbox_setup setup_of(void (*work)(void *))
{
    return (ds_sandbox_setup){.work = work, .material = "thing", .seconds = 60, .memory = memory};
}

static ds_sandbox *open_with(const ds_sandbox_setup *setup)
{
    ds_sandbox *s;
    ds_error e = {0};
    if (ds_sandbox_new(setup, &s, &e))
        fail_msg("%s", e.text);
    return s;
}

static ds_sandbox *open_sandbox(void (*work)(void *))
{
    ds_sandbox_setup setup = setup_of(work);
    return open_with(&setup);
}

/* Of little patience. */
static ds_sandbox *open_short(void (*work)(void *))
{
    ds_sandbox_setup setup = setup_of(work);
    setup.seconds = 2;
    return open_with(&setup);
}

static int order(ds_sandbox *s, bool fresh, const job *j, long *result, ds_error *e)
{
    ds_cell *cell;
    int rc = ds_sandbox_take(s, "the file", fresh, &cell, e);
    if (rc)
        return rc;
    rc = ds_cell_send(cell, j, sizeof *j, e);
    if (!rc)
        rc = ds_cell_receive(cell, result, sizeof *result, e);
    ds_sandbox_give(s, cell);
    return rc;
}

static long result_of(ds_sandbox *s, job j)
{
    long result = -1;
    ds_error e = {0};
    if (order(s, false, &j, &result, &e))
        fail_msg("%s", e.text);
    return result;
}

/* Fails with `code` and `text`; the next job succeeds. */
static void expect_end(ds_sandbox *s, job j, int code, const char *text)
{
    long result;
    ds_error e = {0};
    int rc = order(s, false, &j, &result, &e);
    if (rc != code || strcmp(e.file, "the file") != 0 || !strstr(e.text, text))
        fail_msg("code %d, %s: '%s', expected %d and '%s'", rc, e.file, e.text, code, text);
    assert_int_equal(result_of(s, (job){.what = COUNT}), 1);
}

/* ---- ends ---- */

static void test_children_serve_one_job_after_the_other(void **state)
{
    (void)state;
    ds_sandbox *s = open_sandbox(obey);
    ds_error e = {0};
    long result;
    for (int i = 1; i < 100; i++)
        assert_int_equal(result_of(s, (job){.what = COUNT}), i);
    assert_int_equal(order(s, true, &(job){.what = COUNT}, &result, &e), 0);
    assert_int_equal(result, 1);
    ds_sandbox_free(s);
}

static void test_end_costs_one_job(void **state)
{
    (void)state;
    signal(SIGSEGV, SIG_DFL); /* which cmocka catches */
    ds_sandbox *s = open_sandbox(obey);
    /* the address sanitizer catches the signal and ends in its own way */
    expect_end(s, (job){.what = CRASH}, DS_EIO,
               SANITIZED ? "the decoder " : "the decoder was killed by signal 11 (untrusted thing)");
    expect_end(s, (job){.what = RETURN}, DS_EIO, "the decoder ended with status 0 (untrusted thing)");
    ds_sandbox_free(s);
}

static void test_time_is_limited(void **state)
{
    (void)state;
    ds_sandbox *s = open_short(obey);
    double start = ds_now();
    expect_end(s, (job){.what = LOOP}, DS_EINPUT, "the decoder took too long (untrusted thing)");
    expect_end(s, (job){.what = SLEEP}, DS_EINPUT, "the decoder took too long (untrusted thing)");
    assert_true(ds_now() - start < 30);
    ds_sandbox_free(s);
}

/* Sends what it can of a message, a byte at a time. */
static void dribble(void *arg)
{
    (void)arg;
    for (char byte = 0;; ds_child_write(&byte, 1))
        for (volatile long i = 0; i < 100000; i++)
            ;
}

static void test_dribbling_takes_too_long(void **state)
{
    (void)state;
    ds_sandbox *s = open_short(dribble);
    static char room[64 << 20];
    ds_cell *cell;
    ds_error e = {0};
    assert_int_equal(ds_sandbox_take(s, "f", false, &cell, &e), 0);
    assert_int_equal(ds_cell_receive(cell, room, sizeof room, &e), DS_EINPUT);
    assert_non_null(strstr(e.text, "took too long"));
    ds_sandbox_give(s, cell);
    ds_sandbox_free(s);
}

static void test_spent_children_are_replaced(void **state)
{
    (void)state;
    ds_sandbox *s = open_short(obey);
    ds_cell *cell;
    ds_error e = {0};
    assert_int_equal(result_of(s, (job){.what = COUNT}), 1);
    assert_int_equal(ds_sandbox_take(s, "f", false, &cell, &e), 0);
    usleep(2100000);
    ds_sandbox_give(s, cell);
    assert_int_equal(result_of(s, (job){.what = COUNT}), 1);
    ds_sandbox_free(s);
}

static void test_many_threads(void **state)
{
    (void)state;
    ds_sandbox *s = open_sandbox(obey);
    int wrong = 0, ended = 0;
#pragma omp parallel for num_threads(8) reduction(+ : wrong, ended)
    for (int i = 0; i < 400; i++) {
        ds_error e = {0};
        long result = 0;
        int rc = order(s, false, &(job){.what = i % 7 ? COUNT : CRASH}, &result, &e);
        wrong += rc != (i % 7 ? 0 : DS_EIO) || (!rc && result < 1);
        ended += rc == DS_EIO;
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(ended, 58);
    ds_sandbox_free(s);
}

/* ---- rights ---- */

static void test_calls_kill(void **state)
{
    (void)state;
    static const char path[] = "/dev/null";
    const long p = (long)path, pages = 4096, anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
    const long calls[][7] = {
        {SYS_open, p, O_RDONLY},
        {SYS_openat, AT_FDCWD, p, O_RDONLY},
        {SYS_socket, AF_INET, SOCK_STREAM},
        {SYS_socketpair, AF_UNIX, SOCK_STREAM},
        {SYS_sendmsg},
        {SYS_recvmsg},
        {SYS_fork},
        {SYS_clone, SIGCHLD},
        {SYS_execve, p},
        {SYS_kill, 0, 0},
        {SYS_tgkill, 0, 0},
        {SYS_ptrace},
        {SYS_process_vm_readv},
        {SYS_unlink, p},
        {SYS_stat, p},
        {SYS_lseek},
        {SYS_ioctl},
        {SYS_dup},
        {SYS_prctl, PR_SET_DUMPABLE, 1},
        {SYS_prlimit64},
        {SYS_seccomp},
        {SYS_uname},
        {SYS_io_uring_setup},
        {SYS_memfd_create, p},
        {SYS_mmap, 0, pages, PROT_READ | PROT_EXEC, anonymous, -1, 0},
        {SYS_mmap, 0, pages, PROT_READ, MAP_SHARED, 0, 0},
        {SYS_mprotect, p & -pages, pages, PROT_EXEC},
        {0x40000000 | SYS_read}, /* the x32 way */
    };
    ds_sandbox *s = open_sandbox(obey);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        job j = {.what = CALL};
        memcpy(j.call, calls[i], sizeof j.call);
        expect_end(s, j, DS_EIO, "the decoder was killed by signal 31 (untrusted thing)");
    }
    assert_true(result_of(s, (job){CALL, {SYS_mmap, 0, pages, PROT_READ, anonymous, -1, 0}}) > 0);
    ds_sandbox_free(s);
}

static void test_descriptors_are_closed(void **state)
{
    (void)state;
    char path[] = "/tmp/test_sandbox_XXXXXX";
    int secret = mkstemp(path), kept[2];
    assert_true(secret >= 0 && unlink(path) == 0 && pipe(kept) == 0 && write(kept[1], "k", 1) == 1);
    ds_sandbox_setup setup = setup_of(obey);
    ds_sandbox *s = open_sandbox(obey), *with_kept;
    assert_int_equal(result_of(s, (job){.what = DESCRIPTORS}), 0);
    ds_sandbox_free(s);
    setup.fd = kept[0];
    setup.arg = &kept[0];
    with_kept = open_with(&setup);
    assert_int_equal(result_of(with_kept, (job){.what = DESCRIPTORS}), 0);
    assert_int_equal(result_of(with_kept, (job){.what = KEPT}), 'k');
    ds_sandbox_free(with_kept);
    close(secret);
    close(kept[0]);
    close(kept[1]);
}

static void test_memory_is_limited(void **state)
{
    (void)state;
    if (SANITIZED)
        skip(); /* their runtime maps terabytes */
    ds_sandbox *s = open_sandbox(obey);
    assert_int_equal(result_of(s, (job){.what = ALLOCATE}), 0);
    ds_sandbox_free(s);
}

/* Refuses to set filters, as a kernel without them. */
static int without_seccomp(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter || seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(seccomp), 0) ||
        seccomp_rule_add(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(prctl), 1,
                         SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP, 0)) ||
        seccomp_load(filter))
        return 1;
    ds_error e = {0};
    ds_sandbox *s;
    if (ds_decoder_new(&s, &e) != DS_EHOST || s)
        return 2;
    return strstr(e.text, "cannot give up its rights: ") && strstr(e.text, "expected Linux") ? 0 : 3;
}

static void test_no_seccomp_is_an_error(void **state)
{
    (void)state;
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(without_seccomp());
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

/* ---- images ---- */

static char image_path[32];

static int write_image(void **state)
{
    (void)state;
    snprintf(image_path, sizeof image_path, "/tmp/test_sandbox_XXXXXX");
    int fd = mkstemp(image_path);
    return fd >= 0 && write(fd, "P5 2 2 255\nabcd", 15) == 15 ? close(fd) : -1;
}

static int remove_image(void **state)
{
    (void)state;
    return unlink(image_path);
}

/* Each file in turn: the same pixels or the same error as without a sandbox. */
static void test_corpus_decodes_the_same(void **state)
{
    (void)state;
    static const char folder[] = "tests/fuzz/corpus/image";
    ds_sandbox *decoder;
    ds_error e = {0};
    struct dirent **entries;
    assert_int_equal(ds_decoder_new(&decoder, &e), 0);
    int n = scandir(folder, &entries, NULL, alphasort), images = 0;
    for (int i = 0; i < n; i++) {
        char *path = ds_path_join(folder, entries[i]->d_name);
        for (int c = 1; c <= 3; c += 2) {
            ds_image a, b;
            ds_error ea = {0}, eb = {0};
            int rc = ds_image_read(path, c, &a, &ea);
            assert_int_equal(ds_image_read_by(decoder, path, c, &b, &eb) != 0, rc != 0);
            assert_string_equal(ea.text, eb.text);
            assert_string_equal(ea.file, eb.file);
            if (!rc) {
                assert_true(a.w == b.w && a.h == b.h && a.c == b.c && a.file_channels == b.file_channels);
                assert_memory_equal(a.px, b.px, (size_t)(a.w * a.h * a.c));
            }
            images += !rc;
            ds_image_clear(&a);
            ds_image_clear(&b);
        }
        free(path);
        free(entries[i]);
    }
    free(entries);
    assert_true(images > 100);
    ds_sandbox_free(decoder);
}

/* A decoder that the first image has taken over. */
static void lie(void *arg)
{
    const ds_image *im = arg;
    static const ds_error none, endless = {.code = -77, .text = {[0 ... sizeof none.text - 1] = 'x'}};
    char bytes[64];
    ds_child_read(bytes, 2 * sizeof(size_t) + 15);
    ds_child_write(im ? &none : &endless, sizeof none);
    if (im) {
        ds_child_write(im, sizeof *im);
        ds_child_write(bytes, 4);
    }
}

static void test_lies_are_errors(void **state)
{
    (void)state;
    ds_image lies[] = {
        {.w = 0, .h = 2, .file_channels = 1},         {.w = 2, .h = -2, .file_channels = 1},
        {.w = -2, .h = -2, .file_channels = 1},       {.w = 1 << 30, .h = 4, .file_channels = 1},
        {.w = 65536, .h = 65536, .file_channels = 1}, {.w = 2, .h = 2},
        {.w = 2, .h = 2, .file_channels = 5}};
    ds_image im, small = {.w = 2, .h = 2, .c = 7, .file_channels = 4, .px = (unsigned char *)1};
    ds_error e = {0};
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        ds_sandbox_setup setup = setup_of(lie);
        ds_sandbox *s;
        setup.arg = &lies[i];
        s = open_with(&setup);
        assert_int_equal(ds_image_read_by(s, image_path, 1, &im, &e), DS_EINPUT);
        assert_string_equal(e.text, "the decoder sent no image (untrusted thing)");
        assert_null(im.px);
        ds_sandbox_free(s);
    }
    ds_sandbox *s = open_sandbox(lie);
    assert_int_equal(ds_image_read_by(s, image_path, 1, &im, &e), DS_EINPUT);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    ds_sandbox_free(s);
    /* it ends after each image, as one does whose memory an image has spoiled: this costs none */
    ds_sandbox_setup setup = setup_of(lie);
    setup.arg = &small;
    s = open_with(&setup);
    for (int i = 0; i < 3; i++) {
        e = (ds_error){0};
        assert_int_equal(ds_image_read_by(s, image_path, 1, &im, &e), 0);
        assert_int_equal(e.code, 0);
        assert_true(im.w == 2 && im.h == 2 && im.c == 1);
        ds_image_clear(&im);
    }
    ds_sandbox_free(s);
}

static void test_files_that_cannot_be_sent(void **state)
{
    (void)state;
    ds_sandbox *decoder;
    ds_image im;
    ds_error e = {0};
    assert_int_equal(ds_decoder_new(&decoder, &e), 0);
    assert_int_equal(ds_image_read_by(decoder, "/nowhere", 1, &im, &e), DS_EIO);
    assert_non_null(strstr(e.text, "cannot open"));
    assert_int_equal(truncate(image_path, (256 << 20) + 1), 0);
    assert_int_equal(ds_image_read_by(decoder, image_path, 1, &im, &e), DS_EINPUT);
    assert_non_null(strstr(e.text, "expected at most 268435456 (untrusted image)"));
    ds_sandbox_free(decoder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_children_serve_one_job_after_the_other),
        cmocka_unit_test(test_end_costs_one_job),
        cmocka_unit_test(test_time_is_limited),
        cmocka_unit_test(test_dribbling_takes_too_long),
        cmocka_unit_test(test_spent_children_are_replaced),
        cmocka_unit_test(test_calls_kill),
        cmocka_unit_test(test_descriptors_are_closed),
        cmocka_unit_test(test_memory_is_limited),
        cmocka_unit_test(test_no_seccomp_is_an_error),
        cmocka_unit_test_setup_teardown(test_lies_are_errors, write_image, remove_image),
        cmocka_unit_test_setup_teardown(test_files_that_cannot_be_sent, write_image, remove_image),
        cmocka_unit_test(test_corpus_decodes_the_same),
        cmocka_unit_test(test_many_threads), /* last: OpenMP's threads stay */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
