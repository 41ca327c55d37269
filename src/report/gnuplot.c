#include "report/gnuplot.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const char looks[] = "set encoding utf8\n"
                            "set border 3 lc rgb '#606060'\n"
                            "set tics nomirror out\n"
                            "set grid lc rgb '#d8d8d8' lw 1\n"
                            "set key outside top center horizontal\n";

int ds_gnuplot_open(ds_gnuplot *g, int w, int h, ds_error *e)
{
    /* a file rather than a pipe: no reader has to keep up, and none that ends early kills us */
    int fd = memfd_create("gnuplot", MFD_CLOEXEC);
    g->f = fd < 0 ? NULL : fdopen(fd, "w+");
    if (!g->f) {
        if (fd >= 0)
            close(fd);
        return ds_fail(e, DS_EIO, "cannot write to memory: %s", strerror(errno));
    }
    fprintf(g->f, "set terminal pngcairo size %d,%d background rgb 'white'\n%s", w, h, looks);
    return DS_OK;
}

static int add_actions(posix_spawn_file_actions_t *actions, int script, int picture)
{
    int problem = posix_spawn_file_actions_adddup2(actions, script, STDIN_FILENO);
    if (!problem)
        problem = posix_spawn_file_actions_adddup2(actions, picture, STDOUT_FILENO);
    if (!problem)
        problem = posix_spawn_file_actions_addopen(actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    return problem;
}

/* In a process group of its own: Ctrl-C on the terminal is ours to answer. */
static int spawn(int script, int picture, pid_t *pid)
{
    static char name[] = "gnuplot", defaults[] = "-d", input[] = "-";
    char *argv[] = {name, defaults, input, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int problem = posix_spawn_file_actions_init(&actions);
    if (problem)
        return problem;
    problem = posix_spawnattr_init(&attributes);
    if (!problem) {
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
        problem = add_actions(&actions, script, picture);
        if (!problem)
            problem = posix_spawnp(pid, name, &actions, &attributes, argv, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return problem;
}

static int run(FILE *script, FILE *picture, ds_error *e)
{
    pid_t pid;
    int status = 0;
    if (fflush(script) || fseek(script, 0, SEEK_SET))
        return ds_fail(e, DS_EIO, "cannot write to memory: %s", strerror(errno));
    int problem = spawn(fileno(script), fileno(picture), &pid);
    if (problem == ENOENT)
        return ds_fail(e, DS_EIO, "no pictures: gnuplot is missing, it is in the package gnuplot-nox");
    if (problem)
        return ds_fail(e, DS_EIO, "no pictures: cannot run gnuplot: %s", strerror(problem));
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return ds_fail(e, DS_EIO, "no pictures: lost gnuplot: %s", strerror(errno));
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        return ds_fail(e, DS_EIO, "no picture: gnuplot failed");
    return DS_OK;
}

int ds_gnuplot_draw(ds_gnuplot *g, const char *path, ds_error *e)
{
    ds_writer w = {0};
    int rc = ds_writer_open(&w, path, e);
    if (!rc)
        rc = run(g->f, w.f, e);
    if (!rc && lseek(fileno(w.f), 0, SEEK_END) <= 0)
        rc = ds_fail(e, DS_EIO, "no picture: gnuplot wrote nothing");
    if (!rc)
        rc = ds_writer_commit(&w, e);
    else
        ds_writer_abort(&w);
    ds_gnuplot_abort(g);
    return rc;
}

void ds_gnuplot_abort(ds_gnuplot *g)
{
    if (g->f)
        fclose(g->f);
    g->f = NULL;
}
