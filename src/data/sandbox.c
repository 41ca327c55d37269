/* A keeper, forked at the start, forks the children and waits for them; the program hands it the child's end
 * of a socket, which becomes the child's descriptor 0. */
#include "data/sandbox.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef DS_SANITIZED
#define DS_SANITIZED 0
#endif

enum { CHANNEL = 0, CONTROL = 2 }; /* descriptors of a child, of the keeper */

struct ds_sandbox {
    ds_sandbox_setup setup;
    pid_t keeper;
    int control;          /* socket to the keeper */
    pthread_mutex_t lock; /* of `control` and `idle` */
    ds_cell *idle;
};

struct ds_cell {
    ds_sandbox *sandbox;
    const char *path;
    pid_t pid; /* 0: has ended */
    int channel;
    double since; /* when it was taken; behind a stop, when that ended */
    double busy;  /* seconds before; the child has not computed longer */
    ds_cell *next;
};

void ds_child_read(void *to, size_t n)
{
    for (ssize_t k; n > 0; to = (char *)to + k, n -= (size_t)k)
        if ((k = read(CHANNEL, to, n)) <= 0)
            _exit(0);
}

void ds_child_write(const void *from, size_t n)
{
    for (ssize_t k; n > 0; from = (const char *)from + k, n -= (size_t)k)
        if ((k = write(CHANNEL, from, n)) <= 0)
            _exit(0);
}

/* The calls that are left: memory that is neither a file's nor executable, and what follows. NULL: this
 * system has no such filters. */
static scmp_filter_ctx make_filter(void)
{
    static const int calls[] = {SCMP_SYS(read),         SCMP_SYS(write),      SCMP_SYS(brk),
                                SCMP_SYS(munmap),       SCMP_SYS(mremap),     SCMP_SYS(madvise),
                                SCMP_SYS(futex),        SCMP_SYS(exit),       SCMP_SYS(exit_group),
                                SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack)};
    /* the last one is for the runtime of the address sanitizer */
    const size_t n = sizeof calls / sizeof *calls - !DS_SANITIZED;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    bool whole = filter && !seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1) &&
                 !seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) &&
                 !seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
                                   SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
                                   SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS));
    for (size_t i = 0; whole && i < n; i++)
        whole = !seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    return whole ? filter : NULL;
}

static bool limit(const ds_sandbox_setup *s)
{
    const rlim_t limits[][2] = {{RLIMIT_AS, DS_SANITIZED ? RLIM_INFINITY : s->memory}, /* it maps terabytes */
                                {RLIMIT_CPU, 4 * (rlim_t)s->seconds},
                                {RLIMIT_CORE, 0},
                                {RLIMIT_FSIZE, 0},
                                {RLIMIT_NOFILE, 0},
                                {RLIMIT_NPROC, 0}};
    bool done = true;
    for (size_t i = 0; done && i < sizeof limits / sizeof *limits; i++) {
        int resource = (int)limits[i][0];
        struct rlimit r;
        done = getrlimit(resource, &r) == 0;
        r.rlim_cur = r.rlim_max = limits[i][1] < r.rlim_max ? limits[i][1] : r.rlim_max;
        done = done && setrlimit(resource, &r) == 0;
    }
    return done;
}

/* Closes the descriptors from `first` up, but for one. */
static bool close_from(unsigned first, unsigned kept)
{
    return (kept <= first || close_range(first, kept - 1, 0) == 0) &&
           close_range(kept < first ? first : kept + 1, ~0U, 0) == 0;
}

/* Tells at once whether it gave its rights up: 0, or why not. (To load the filter sets no_new_privs.) */
static _Noreturn void live(const ds_sandbox_setup *s, scmp_filter_ctx filter)
{
    /* where the kernel can be told so, children go before all others when memory runs out */
    dprintf(open("/proc/self/oom_score_adj", O_WRONLY), "1000");
    bool ready =
        prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && limit(s) && close_from(CHANNEL + 1, (unsigned)s->fd);
    int problem = ready ? -seccomp_load(filter) : errno;
    ds_child_write(&problem, sizeof problem);
    if (!problem)
        s->work(s->arg);
    _exit(0);
}

/* To the keeper: a child to end, or 0, for a new one at the descriptor that goes along. The keeper answers
 * with an int: the status of the one, the other's number or -errno. */
typedef struct order {
    pid_t end;
    struct iovec piece;
    _Alignas(struct cmsghdr) char rights[CMSG_SPACE(sizeof(int))];
    struct msghdr message;
} order;

static struct msghdr *address(order *o)
{
    o->piece = (struct iovec){&o->end, sizeof o->end};
    o->message = (struct msghdr){
        .msg_iov = &o->piece, .msg_iovlen = 1, .msg_control = o->rights, .msg_controllen = sizeof o->rights};
    return &o->message;
}

/* Until the program ends, or the sandbox. A descriptor that comes becomes 0, the lowest that is free. */
static const int ends[] = {SIGINT, SIGTERM, SIGHUP};

static _Noreturn void keep(const ds_sandbox_setup *setup, int control)
{
    scmp_filter_ctx filter = make_filter();
    /* what asks the program to end, its terminal say, is not for us: it may still need answers */
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        signal(ends[i], SIG_IGN);
    if (setup->prepare)
        setup->prepare();
    dup2(control, CONTROL);
    close_range(0, CONTROL - 1, 0);
    close_from(CONTROL + 1, (unsigned)setup->fd);
    for (order o; recvmsg(CONTROL, address(&o), 0) == sizeof o.end;) {
        int answer = 0;
        if (o.end) {
            kill(o.end, SIGKILL); /* of no effect on one that has ended */
            waitpid(o.end, &answer, 0);
        } else if ((answer = fork()) == 0) {
            live(setup, filter);
        } else if (answer < 0) {
            answer = -errno;
        }
        close(CHANNEL);
        send(CONTROL, &answer, sizeof answer, MSG_NOSIGNAL);
    }
    _exit(0);
}

static int ask_keeper(ds_sandbox *s, pid_t end, int fd)
{
    int answer;
    order o = {.end = end};
    struct msghdr *message = address(&o);
    struct cmsghdr *rights = CMSG_FIRSTHDR(message);
    *rights = (struct cmsghdr){CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    pthread_mutex_lock(&s->lock);
    bool done = sendmsg(s->control, message, MSG_NOSIGNAL) == sizeof end &&
                recv(s->control, &answer, sizeof answer, 0) == sizeof answer;
    pthread_mutex_unlock(&s->lock);
    return done ? answer : -ESRCH;
}

/* The status of the child, which may live until now. (With its keeper it is killed too.) */
static int reap(ds_cell *c)
{
    int status = ask_keeper(c->sandbox, c->pid, c->channel);
    close(c->channel);
    c->pid = 0;
    return status < 0 ? SIGKILL : status;
}

int ds_cell_end(ds_cell *c, const char *why, ds_error *e)
{
    char how[64];
    int status = reap(c), killed = WIFSIGNALED(status);
    snprintf(how, sizeof how, killed ? "was killed by signal %d" : "ended with status %d",
             killed ? WTERMSIG(status) : WEXITSTATUS(status));
    return ds_fail_at(e, why ? DS_EINPUT : DS_EIO, c->path, 0, "the decoder %s (untrusted %s)",
                      why ? why : how, c->sandbox->setup.material);
}

static int transfer(ds_cell *c, char *at, size_t n, bool out, ds_error *e)
{
    while (n > 0) {
        ssize_t k = out ? send(c->channel, at, n, MSG_NOSIGNAL) : recv(c->channel, at, n, MSG_WAITALL);
        if (k < 0 && errno == EINTR) { /* after Ctrl-Z and fg */
            c->since = ds_now();
            continue;
        }
        if ((k < 0 && errno == EAGAIN) || ds_now() - c->since > c->sandbox->setup.seconds)
            return ds_cell_end(c, "took too long", e);
        if (k <= 0)
            return ds_cell_end(c, NULL, e);
        at += k;
        n -= (size_t)k;
    }
    return DS_OK;
}

int ds_cell_send(ds_cell *c, const void *from, size_t n, ds_error *e)
{
    return transfer(c, (char *)from, n, true, e);
}

int ds_cell_receive(ds_cell *c, void *to, size_t n, ds_error *e)
{
    return transfer(c, to, n, false, e);
}

int ds_cell_verdict(ds_cell *c, ds_error *e)
{
    ds_error told;
    DS_TRY(ds_cell_receive(c, &told, sizeof told, e));
    told.text[sizeof told.text - 1] = '\0';
    return told.code ? ds_fail_at(e, DS_EINPUT, c->path, 0, "%s", told.text) : DS_OK;
}

static int start(ds_cell *c, ds_error *e)
{
    struct timeval wait = {.tv_sec = c->sandbox->setup.seconds};
    int pair[2], problem;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return ds_fail_at(e, DS_EHOST, c->path, 0, "cannot start a decoder: %s", strerror(errno));
    c->channel = pair[0];
    c->pid = ask_keeper(c->sandbox, 0, pair[1]);
    close(pair[1]);
    if (c->pid < 0) {
        close(c->channel);
        return ds_fail_at(e, DS_EHOST, c->path, 0, "cannot start a decoder: %s", strerror(-c->pid));
    }
    setsockopt(c->channel, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(c->channel, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    if (ds_cell_receive(c, &problem, sizeof problem, e))
        return e ? e->code = DS_EHOST : DS_EHOST;
    if (!problem)
        return DS_OK;
    reap(c);
    return ds_fail(e, DS_EHOST,
                   "a decoder of untrusted %ss cannot give up its rights: %s, expected Linux 5.9 or "
                   "newer with seccomp",
                   c->sandbox->setup.material, strerror(problem));
}

int ds_sandbox_take(ds_sandbox *s, const char *path, bool fresh, ds_cell **cell, ds_error *e)
{
    int rc = DS_OK;
    pthread_mutex_lock(&s->lock);
    ds_cell *c = fresh ? NULL : s->idle;
    if (c)
        s->idle = c->next;
    pthread_mutex_unlock(&s->lock);
    if (!c)
        DS_ZALLOC(c, 1);
    c->sandbox = s;
    c->path = path;
    c->since = ds_now();
    if (!c->pid && (rc = start(c, e)))
        free(c);
    *cell = c;
    return rc;
}

void ds_sandbox_give(ds_sandbox *s, ds_cell *c)
{
    c->busy += ds_now() - c->since;
    if (c->pid && c->busy > s->setup.seconds)
        reap(c);
    if (!c->pid) {
        free(c);
        return;
    }
    pthread_mutex_lock(&s->lock);
    c->next = s->idle;
    s->idle = c;
    pthread_mutex_unlock(&s->lock);
}

int ds_sandbox_new(const ds_sandbox_setup *setup, ds_sandbox **sandbox, ds_error *e)
{
    int control[2];
    ds_sandbox *s;
    ds_cell *first;
    *sandbox = NULL;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control))
        return ds_fail(e, DS_EIO, "cannot start a decoder: %s", strerror(errno));
    DS_ALLOC(s, 1);
    *s = (ds_sandbox){.setup = *setup, .control = control[0], .keeper = fork()};
    if (s->keeper == 0)
        keep(setup, control[1]);
    close(control[1]);
    pthread_mutex_init(&s->lock, NULL);
    int rc = ds_sandbox_take(s, "", true, &first, e);
    if (rc) {
        ds_sandbox_free(s);
        return rc;
    }
    ds_sandbox_give(s, first);
    *sandbox = s;
    return DS_OK;
}

void ds_sandbox_free(ds_sandbox *s)
{
    if (!s)
        return;
    for (ds_cell *c; (c = s->idle); free(c)) {
        s->idle = c->next;
        reap(c);
    }
    close(s->control);
    if (s->keeper > 0)
        waitpid(s->keeper, NULL, 0);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
