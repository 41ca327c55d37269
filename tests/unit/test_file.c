/* Files are replaced whole or not at all: links, rights, what killed and living writers leave beside them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/darknet-sat.XXXXXX";

/* The system's, or that of a file system that has no files without a name. */
static bool has_unnamed = true;
int open(const char *path, int flags, ...)
{
    if (!has_unnamed && (flags & O_TMPFILE) == O_TMPFILE)
        return errno = EOPNOTSUPP, -1;
    va_list list;
    va_start(list, flags);
    const unsigned mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, unsigned) : 0;
    va_end(list);
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static const char *at(const char *name)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void expect_text(const char *path, const char *text)
{
    char *found;
    assert_int_equal(ds_file_read_text(path, "a text", &found, NULL), DS_OK);
    assert_string_equal(found, text);
    free(found);
}

static void replace(const char *path, const char *text)
{
    ds_writer w;
    ds_error e = {0};
    assert_int_equal(ds_writer_open(&w, path, &e), DS_OK);
    fputs(text, w.f);
    assert_int_equal(ds_writer_commit(&w, &e), DS_OK);
}

/* Entries of the folder whose names hold `part`. */
static int count(const char *part)
{
    int n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *entry; (entry = readdir(d));)
        n += strstr(entry->d_name, part) != NULL;
    closedir(d);
    return n;
}

static void test_replace(void **state)
{
    (void)state;
    struct stat st;
    put(at("plain"), "old");
    assert_int_equal(chmod(at("plain"), 0640), 0);
    replace(at("plain"), "new");
    expect_text(at("plain"), "new");
    assert_int_equal(stat(at("plain"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    umask(027);
    unlink(at("fresh"));
    replace(at("fresh"), "text");
    umask(022);
    assert_int_equal(stat(at("fresh"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(count(".tmp"), 0);
}

static void test_abort(void **state)
{
    (void)state;
    ds_writer w;
    put(at("kept"), "old");
    assert_int_equal(ds_writer_open(&w, at("kept"), NULL), DS_OK);
    fputs("half of the n", w.f);
    assert_int_equal(count(".kept.tmp"), !has_unnamed);
    ds_writer_abort(&w);
    expect_text(at("kept"), "old");
    assert_int_equal(count(".kept.tmp"), 0);
}

static void test_link(void **state)
{
    (void)state;
    struct stat st;
    put(at("target"), "old");
    unlink(at("link"));
    assert_int_equal(symlink("target", at("link")), 0);
    replace(at("link"), "new");
    expect_text(at("target"), "new");
    assert_int_equal(lstat(at("link"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
}

/* Opens a writer, tells that it stands, and waits to be killed. */
static pid_t begin_writing(const char *path)
{
    int ends[2];
    char ready;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        ds_writer w;
        int rc = ds_writer_open(&w, path, NULL);
        if (write(ends[1], "x", 1) == 1 && !rc)
            pause();
        _Exit(1);
    }
    assert_int_equal(read(ends[0], &ready, 1), 1);
    close(ends[0]);
    close(ends[1]);
    return child;
}

static void test_leftovers(void **state)
{
    (void)state;
    pid_t dead = begin_writing(at("shared"));
    kill(dead, SIGKILL);
    waitpid(dead, NULL, 0);
    put(at(".shared.tmp-mine"), "not ours");
    assert_int_equal(count(".shared.tmp"), 1 + !has_unnamed);
    pid_t living = begin_writing(at("shared"));
    assert_int_equal(count(".shared.tmp"), 1 + !has_unnamed); /* that of the dead one is gone */
    replace(at("shared"), "mine");
    assert_int_equal(count(".shared.tmp"), 1 + !has_unnamed); /* that of the living one is not */
    kill(living, SIGKILL);
    waitpid(living, NULL, 0);
    replace(at("shared"), "mine again");
    assert_int_equal(count(".shared.tmp"), 1);
    expect_text(at(".shared.tmp-mine"), "not ours");
    unlink(at(".shared.tmp-mine"));
}

static void test_errors(void **state)
{
    (void)state;
    ds_writer w;
    ds_error e = {0};
    assert_int_equal(ds_writer_open(&w, folder, &e), DS_EIO);
    assert_non_null(strstr(e.text, "is a directory"));
    assert_int_equal(ds_writer_open(&w, at("none/file"), &e), DS_EIO);
    assert_string_equal(e.file, at("none/file"));
    assert_int_equal(ds_writer_open(&w, "/dev/null", &e), DS_OK);
    assert_int_equal(ds_writer_commit(&w, &e), DS_OK);
    assert_int_equal(ds_writer_open(&w, "/dev/full", &e), DS_OK);
    fputs("text", w.f);
    assert_int_equal(ds_writer_commit(&w, &e), DS_EIO);
}

static int use_names(void **state)
{
    (void)state;
    has_unnamed = false;
    return 0;
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    const int fd = open(folder, O_TMPFILE | O_RDWR, 0600);
    has_unnamed = fd >= 0;
    if (fd >= 0)
        close(fd);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char *command[] = {"rm", "-rf", folder, NULL};
    pid_t child = fork();
    if (child == 0)
        execvp(command[0], command);
    return waitpid(child, NULL, 0) == child ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replace),   cmocka_unit_test(test_abort),
        cmocka_unit_test(test_link),      cmocka_unit_test(test_leftovers),
        cmocka_unit_test(test_errors),    cmocka_unit_test_setup(test_replace, use_names),
        cmocka_unit_test(test_abort),     cmocka_unit_test(test_link),
        cmocka_unit_test(test_leftovers), cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
