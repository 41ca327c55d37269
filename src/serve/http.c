#include "serve/serve.h"
#include "base/clock.h"
#include "data/image.h"
#include "serve/page.html.inc"
#include "serve/queue.h"
#include "serve/reply.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

/* A connection, as long as it is open. */
typedef struct guest {
    bool open, owed; /* owed: an answer */
    int fd;
    double until; /* it may be ended after */
} guest;

enum {
    MOST_BODIES = 32, /* of the largest requests are held at the same time */
    MORE_GUESTS = 64  /* than may be: those that are sent away */
};

struct ds_server {
    ds_serve_setup setup;
    struct MHD_Daemon *daemon;
    ds_queue *queue;
    ds_metrics metrics;
    pthread_mutex_t lock; /* of guests */
    guest *guests;        /* setup.max_connections + MORE_GUESTS */
    int n_guests;
    _Atomic bool draining,
        broken;          /* broken: the last image could not be answered, through no fault of its own */
    _Atomic size_t held; /* bytes of bodies */
    int listening;       /* while draining; 0: not */
};

typedef struct request request;

/* What an address does: fills the reply of a request, at once or later. */
typedef struct route {
    const char *method, *path;
    void (*answer)(request *r);
    /* of images: what `answer` needs besides */
    int (*read)(ds_job *job, ds_error *e);
    char *(*reply)(const ds_serve_setup *setup, const ds_question *q,
                   const struct darknet_sat_answer *answers);
} route;

struct request {
    ds_job job; /* first: a job is its request */
    ds_server *server;
    struct MHD_Connection *connection;
    guest *guest;
    const route *route;
    const char *allowed; /* the method of the address */
    double begin;
    bool last, suspended; /* last: of its connection */
    unsigned char *body;
    size_t n, room;
    struct MHD_PostProcessor *form;
    ds_question question;
    int status; /* 0: not answered yet */
    const char *type;
    char *reply;
};

static void say(request *r, int status, char *json)
{
    r->status = status;
    r->type = "application/json";
    r->reply = json;
}

/* The first reason counts. */
static void refuse(request *r, int status, const char *why)
{
    if (!r->status)
        say(r, status, ds_reply_error(why));
    r->last |= status == 413;
}

/* ---- the answers ---- */

/* On a thread of the queue. */
static void answered(ds_job *job, const struct darknet_sat_answer *answers, const ds_error *why)
{
    request *r = (request *)job;
    const ds_serve_setup *setup = &r->server->setup;
    const bool ours = !answers && why->code != DS_EINPUT && why->code != DS_EIO;
    r->server->broken = ours;
    if (!answers)
        refuse(r, ours ? 500 : 400, why->text);
    else
        say(r, 200, r->route->reply(setup, &r->question, answers));
    MHD_resume_connection(r->connection);
}

/* The route's `read` comes first, on a thread of the queue. */
static void answer_images(request *r)
{
    r->job.read = r->route->read;
    r->job.answered = answered;
    r->suspended = true;
    MHD_suspend_connection(r->connection); /* before there may be an answer */
    if (!r->server->draining && ds_queue_put(r->server->queue, &r->job))
        return;
    refuse(r, 503, "too many images wait, come again in a second");
    MHD_resume_connection(r->connection);
}

/* What came is not needed any more: many may wait. */
static void drop_body(request *r)
{
    r->server->held -= r->room;
    free(r->body);
    r->body = NULL;
    r->n = r->room = 0;
}

static int read_file(ds_job *job, ds_error *e)
{
    request *r = (request *)job;
    const struct darknet_sat_info *info = darknet_sat_info(r->server->setup.model);
    DS_FINALLY(ds_image_clear) ds_image im = {0};
    if (r->n == 0)
        return ds_fail(e, DS_EINPUT, "no image, expected an image file as body or as part of a form");
    const int channels = info->channels | (info->upright ? 0 : DS_AS_STORED);
    DS_TRY(ds_decoder_decode(r->server->setup.decoder, r->body, r->n, "", channels, &im, e));
    drop_body(r);
    DS_ALLOC(r->question.pixels, (size_t)info->channels * (size_t)info->height * (size_t)info->width);
    ds_prepare_center(&im, info->width, info->height, job->pixels = r->question.pixels);
    return DS_OK;
}

static int read_tensors(ds_job *job, ds_error *e)
{
    request *r = (request *)job;
    DS_TRY(ds_question_read((const char *)r->body, r->n, darknet_sat_info(r->server->setup.model),
                            &r->question, e));
    job->pixels = r->question.pixels;
    job->images = r->question.n;
    drop_body(r);
    return DS_OK;
}

static char *reply_answer(const ds_serve_setup *setup, const ds_question *q,
                          const struct darknet_sat_answer *answers)
{
    (void)q;
    return ds_reply_answer(darknet_sat_info(setup->model), answers);
}

static void live(request *r)
{
    say(r, 200, ds_strdup("{\"live\":true}"));
}

static void ready(request *r)
{
    const bool is = !r->server->draining && !r->server->broken;
    say(r, is ? 200 : 503, ds_format("{\"ready\":%s}", is ? "true" : "false"));
}

static void model(request *r)
{
    say(r, 200, ds_reply_model(&r->server->setup));
}

static void server(request *r)
{
    say(r, 200, ds_reply_server());
}

static void metrics(request *r)
{
    size_t size;
    FILE *f = ds_memstream(&r->reply, &size);
    ds_metrics_write(&r->server->metrics, ds_queue_images(r->server->queue), f);
    fclose(f);
    r->status = 200;
    r->type = "text/plain; version=0.0.4";
}

static void page(request *r)
{
    say(r, 200, ds_strdup(page_html));
    r->type = "text/html; charset=utf-8";
}

/* MODEL stands for the name of the model. */
static const route routes[] = {
    {"GET", "/", page, NULL, NULL},
    {"POST", "/classify", answer_images, read_file, reply_answer},
    {"GET", "/v2", server, NULL, NULL},
    {"GET", "/v2/health/live", live, NULL, NULL},
    {"GET", "/v2/health/ready", ready, NULL, NULL},
    {"GET", "/v2/models/MODEL", model, NULL, NULL},
    {"GET", "/v2/models/MODEL/ready", ready, NULL, NULL},
    {"POST", "/v2/models/MODEL/infer", answer_images, read_tensors, ds_reply_tensors},
    {"GET", "/metrics", metrics, NULL, NULL},
};

static bool is_path(const ds_server *s, const char *pattern, const char *path)
{
    const char *name = strstr(pattern, "MODEL");
    const size_t before = name ? (size_t)(name - pattern) : 0, n = strlen(s->setup.name);
    if (!name)
        return strcmp(pattern, path) == 0;
    return strncmp(pattern, path, before) == 0 && strncmp(path + before, s->setup.name, n) == 0 &&
           strcmp(path + before + n, name + strlen("MODEL")) == 0;
}

/* Or refuses. */
static void find_route(request *r, const char *method, const char *path)
{
    if (strcmp(method, "HEAD") == 0)
        method = "GET";
    for (size_t i = 0; i < sizeof routes / sizeof *routes && !r->route; i++)
        if (is_path(r->server, routes[i].path, path)) {
            r->allowed = routes[i].method;
            r->route = strcmp(method, routes[i].method) == 0 ? &routes[i] : NULL;
        }
    if (!r->route)
        refuse(r, r->allowed ? 405 : 404,
               r->allowed ? "this address knows another method" : "no such address");
}

/* ---- requests as they arrive ---- */

static void append(request *r, const void *bytes, size_t n)
{
    if (r->n + n > r->server->setup.max_body) {
        refuse(r, 413, "the request is too large");
        return;
    }
    size_t room = r->room ? r->room : 4096;
    while (room < r->n + n)
        room *= 2;
    if (atomic_fetch_add(&r->server->held, room - r->room) > MOST_BODIES * r->server->setup.max_body)
        refuse(r, 503, "too much is being sent, come again in a second");
    r->room = room;
    r->body = ds_xrealloc(r->body, room, 1);
    memcpy(r->body + r->n, bytes, n);
    r->n += n;
}

/* The first file of a form. */
static enum MHD_Result part(void *arg, enum MHD_ValueKind kind, const char *key, const char *file,
                            const char *type, const char *encoding, const char *data, uint64_t offset,
                            size_t n)
{
    request *r = arg;
    (void)kind, (void)key, (void)type, (void)encoding;
    if (!file) /* a field of the form */
        return MHD_YES;
    if (offset == 0 && r->n > 0)
        return MHD_NO;
    if (n)
        append(r, data, n);
    return MHD_YES;
}

static const char *header(const request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

/* More than one length, or one beside chunks: a proxy may see other requests than we do. */
static enum MHD_Result count_lengths(void *arg, enum MHD_ValueKind kind, const char *key, const char *value)
{
    int *n = arg;
    (void)kind, (void)value;
    *n += strcasecmp(key, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0 ||
          strcasecmp(key, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0;
    return MHD_YES;
}

/* A 0 byte would end the address, which then were another one. */
static size_t unescape(void *arg, struct MHD_Connection *connection, char *text)
{
    (void)arg, (void)connection;
    return strstr(text, "%00") ? strlen(text) : MHD_http_unescape(text);
}

static request *begin_request(ds_server *s, struct MHD_Connection *connection, const char *method,
                              const char *path)
{
    request *r = DS_ZALLOC(r, 1);
    const union MHD_ConnectionInfo *of =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    r->server = s;
    r->connection = connection;
    r->guest = of ? of->socket_context : NULL;
    r->begin = ds_now();
    find_route(r, method, path);
    int lengths = 0;
    MHD_get_connection_values(connection, MHD_HEADER_KIND, count_lengths, &lengths);
    if ((r->last = lengths > 1))
        refuse(r, 400, "more than one Content-Length or Transfer-Encoding");
    const char *coding = header(r, MHD_HTTP_HEADER_TRANSFER_ENCODING);
    if (coding && strcasecmp(coding, "chunked") != 0) {
        r->last = true; /* nobody knows where it ends */
        refuse(r, 501, "a Transfer-Encoding other than chunked");
    }
    const char *length = header(r, MHD_HTTP_HEADER_CONTENT_LENGTH),
               *type = header(r, MHD_HTTP_HEADER_CONTENT_TYPE);
    if (length && strtod(length, NULL) > (double)s->setup.max_body)
        refuse(r, 413, "the request is too large");
    if (r->route && r->route->read && type && strncasecmp(type, "multipart/form-data", 19) == 0)
        r->form = MHD_create_post_processor(connection, 4096, part, r);
    return r;
}

static void set_patience(request *r, double seconds, bool owed)
{
    if (!r->guest)
        return;
    pthread_mutex_lock(&r->server->lock);
    r->guest->until = ds_now() + seconds;
    r->guest->owed = owed;
    pthread_mutex_unlock(&r->server->lock);
}

static enum MHD_Result send_reply(request *r)
{
    const size_t n = strlen(r->reply);
    struct MHD_Response *response = MHD_create_response_from_buffer(n, r->reply, MHD_RESPMEM_MUST_FREE);
    r->reply = NULL;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, r->type);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (r->route && r->route->answer == page)
        MHD_add_response_header(response, "Content-Security-Policy",
                                "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
                                "img-src blob:; connect-src 'self'; frame-ancestors 'none'");
    if (r->status == 405)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW,
                                strcmp(r->allowed, "GET") == 0 ? "GET, HEAD" : r->allowed);
    if (r->status == 503)
        MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    if (r->last || r->server->draining)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    ds_metrics_request(&r->server->metrics, r->status,
                       r->route && r->route->read && r->status == 200 ? ds_now() - r->begin : -1);
    set_patience(r, r->server->setup.patience, true); /* to take it */
    enum MHD_Result sent = MHD_queue_response(r->connection, (unsigned)r->status, response);
    MHD_destroy_response(response);
    return sent;
}

/* Called when the headers are there, with each piece of the body, at its end, and after an answer has
 * come. */
static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *data, size_t *n,
                              void **state)
{
    request *r = *state;
    (void)version;
    if (!r) {
        *state = r = begin_request(arg, connection, method, path);
        set_patience(r, r->server->setup.patience, false);
        if (!r->status)
            return MHD_YES;
    }
    if (*n) {
        if (!r->status && r->form)
            MHD_post_process(r->form, data, *n);
        else if (!r->status)
            append(r, data, *n);
        *n = 0;
        return MHD_YES;
    }
    if (r->status)
        return send_reply(r);
    if (r->suspended)
        return MHD_YES;
    set_patience(r, INFINITY, true);
    r->route->answer(r);
    return r->suspended || !r->status ? MHD_YES : send_reply(r);
}

static void end_request(void *arg, struct MHD_Connection *connection, void **state,
                        enum MHD_RequestTerminationCode how)
{
    request *r = *state;
    (void)arg, (void)connection, (void)how;
    if (!r)
        return;
    set_patience(r, r->server->setup.patience, false);
    if (r->form)
        MHD_destroy_post_processor(r->form);
    drop_body(r);
    free(r->question.pixels);
    free(r->question.id);
    free(r->reply);
    free(r);
}

/* ---- connections ---- */

static void greet(void *arg, struct MHD_Connection *connection, void **context,
                  enum MHD_ConnectionNotificationCode how)
{
    ds_server *s = arg;
    guest *g = *context;
    pthread_mutex_lock(&s->lock);
    if (how == MHD_CONNECTION_NOTIFY_STARTED) {
        for (g = s->guests; g->open;)
            g++;
        const int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        *g = (guest){true, false, fd, ds_now() + s->setup.patience};
        *context = g;
        s->n_guests++;
    } else if (g) {
        g->open = false;
        s->n_guests--;
    }
    pthread_mutex_unlock(&s->lock);
}

/* The daemon has room for some more: at its own limit it sleeps. */
static enum MHD_Result has_room(void *arg, const struct sockaddr *address, socklen_t n)
{
    ds_server *s = arg;
    (void)address, (void)n;
    pthread_mutex_lock(&s->lock);
    const bool room = s->n_guests < s->setup.max_connections;
    pthread_mutex_unlock(&s->lock);
    return room ? MHD_YES : MHD_NO;
}

void ds_server_tick(ds_server *s)
{
    const double now = ds_now();
    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < s->setup.max_connections + MORE_GUESTS; i++)
        if (s->guests[i].open && s->guests[i].until < now)
            shutdown(s->guests[i].fd, SHUT_RDWR);
    pthread_mutex_unlock(&s->lock);
}

/* ---- from outside ---- */

/* The daemon's own way to listen does not say why it could not, in all versions. */
static int open_socket(const ds_serve_setup *setup, int *fd, ds_error *e)
{
    const struct addrinfo numbers = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *at;
    DS_FREED char *port = ds_format("%d", setup->port);
    if (getaddrinfo(setup->address, port, &numbers, &at))
        return ds_fail(e, DS_EUSAGE, "'%s' is no address, expected numbers as in 127.0.0.1 or ::1",
                       setup->address);
    *fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const bool listens = *fd >= 0 && !setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) &&
                         !bind(*fd, at->ai_addr, at->ai_addrlen) && !listen(*fd, SOMAXCONN);
    if (!listens)
        ds_fail(e, DS_EIO, "cannot listen on %s, port %s: %s", setup->address, port, strerror(errno));
    freeaddrinfo(at);
    return listens ? DS_OK : DS_EIO;
}

static int listen_at(ds_server *s, ds_error *e)
{
    int fd = -1;
    DS_TRY(open_socket(&s->setup, &fd, e));
    s->daemon =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC, 0, has_room,
                         s, handle, s, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, end_request,
                         NULL, MHD_OPTION_NOTIFY_CONNECTION, greet, s, MHD_OPTION_CONNECTION_LIMIT,
                         (unsigned)(s->setup.max_connections + MORE_GUESTS), MHD_OPTION_CONNECTION_TIMEOUT,
                         (unsigned)s->setup.patience + 1, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                         (size_t)(16 << 10), MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_END);
    return s->daemon ? DS_OK : ds_fail(e, DS_EIO, "libmicrohttpd does not begin");
}

int ds_server_new(const ds_serve_setup *setup, ds_server **server, ds_error *e)
{
    ds_server *s = DS_ZALLOC(*server, 1);
    s->setup = *setup;
    DS_ZALLOC(s->guests, (size_t)setup->max_connections + MORE_GUESTS);
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->metrics.lock, NULL);
    s->metrics.watch = setup->watch;
    int rc = ds_queue_new(&s->setup, &s->metrics, &s->queue, e);
    if (!rc)
        rc = listen_at(s, e);
    if (!rc)
        return DS_OK;
    ds_server_free(s);
    *server = NULL;
    return rc;
}

int ds_server_port(const ds_server *s)
{
    return MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

int ds_server_save_watch(ds_server *s, const char *path, ds_error *e)
{
    pthread_mutex_lock(&s->metrics.lock);
    const ds_watch now = *s->metrics.watch;
    pthread_mutex_unlock(&s->metrics.lock);
    return ds_watch_write(&now, path, e);
}

static bool owes_answers(ds_server *s)
{
    bool owes = false;
    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < s->setup.max_connections + MORE_GUESTS; i++)
        owes |= s->guests[i].open && s->guests[i].owed;
    pthread_mutex_unlock(&s->lock);
    return owes;
}

void ds_server_drain(ds_server *s, double seconds)
{
    const double end = ds_now() + seconds;
    s->draining = true;
    s->listening = MHD_quiesce_daemon(s->daemon);
    shutdown(s->listening, SHUT_RDWR);
    while (owes_answers(s) && ds_now() < end)
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

/* The queue first: no connection may wait when the daemon ends, which may still ask the queue. */
void ds_server_free(ds_server *s)
{
    if (!s)
        return;
    if (s->queue)
        ds_queue_close(s->queue);
    if (s->daemon)
        MHD_stop_daemon(s->daemon);
    if (s->queue)
        ds_queue_free(s->queue);
    if (s->listening > 0)
        close(s->listening);
    pthread_mutex_destroy(&s->lock);
    free(s->guests);
    free(s);
}
