#include "base/gnuplot.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const char looks[] = "set encoding utf8\n"
                            "set border 3 lc rgb '#606060'\n"
                            "set tics nomirror out\n"
                            "set grid lc rgb '#d8d8d8' lw 1\n"
                            "set key outside top center horizontal\n";

/* In a process group of its own: Ctrl-C on the terminal is ours to answer. */
static int spawn(int script, char *csv, int picture, pid_t *pid)
{
    char *const argv[] = {"gnuplot", "-d", "-c", "/dev/stdin", csv, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    if (posix_spawn_file_actions_init(&actions) || posix_spawnattr_init(&attributes) ||
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP) ||
        posix_spawn_file_actions_adddup2(&actions, script, STDIN_FILENO) ||
        posix_spawn_file_actions_adddup2(&actions, picture, STDOUT_FILENO) ||
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0))
        ds_out_of_memory();
    int problem = posix_spawnp(pid, argv[0], &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return problem;
}

static int run(int script, char *csv, int picture, ds_error *e)
{
    pid_t pid;
    int status = 0, problem = spawn(script, csv, picture, &pid);
    if (problem == ENOENT)
        return ds_fail(e, DS_EIO, "no pictures: gnuplot is missing, it is in the package gnuplot-nox");
    if (problem)
        return ds_fail(e, DS_EIO, "no pictures: cannot run gnuplot: %s", strerror(problem));
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return ds_fail(e, DS_EIO, "no pictures: lost gnuplot: %s", strerror(errno));
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        return ds_fail(e, DS_EIO, "no picture: gnuplot failed");
    return lseek(picture, 0, SEEK_END) > 0 ? DS_OK : ds_fail(e, DS_EIO, "no picture: gnuplot wrote nothing");
}

/* The script is a file rather than a pipe: no reader has to keep up, and none that ends early kills us. */
static int draw(const char *script, char *csv, int picture, ds_error *e)
{
    int fd = memfd_create("gnuplot", MFD_CLOEXEC), rc;
    if (fd < 0 || dprintf(fd, "%s%s", looks, script) < 0)
        rc = ds_fail(e, DS_EIO, "cannot write to memory: %s", strerror(errno));
    else
        rc = run(fd, csv, picture, e);
    if (fd >= 0)
        close(fd);
    return rc;
}

int ds_gnuplot(const char *script, const char *csv, const char *png, ds_error *e)
{
    DS_FINALLY(ds_writer_abort) ds_writer w = {0};
    /* gnuplot would run a name that begins with '<' */
    DS_FREED char *whole = csv ? realpath(csv, NULL) : NULL;
    if (csv && !whole)
        return ds_fail_at(e, DS_EIO, csv, 0, "cannot read: %s", strerror(errno));
    DS_TRY(ds_writer_open(&w, png, e));
    DS_TRY(draw(script, whole, fileno(w.f), e));
    return ds_writer_commit(&w, e);
}
