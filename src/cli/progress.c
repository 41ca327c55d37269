#include "cli/progress.h"
#include "base/clock.h"

#include <math.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

void ds_bar_start(ds_bar *bar, FILE *out, FILE *log, const ds_train_plan *plan)
{
    bool terminal = isatty(fileno(out));
    *bar = (ds_bar){.out = out, .log = terminal ? out : log, .terminal = terminal, .plan = *plan};
}

static int columns(FILE *out)
{
    struct winsize size;
    if (ioctl(fileno(out), TIOCGWINSZ, &size) || size.ws_col < 20)
        return 80;
    return size.ws_col;
}

/* "1:02:03" or "2:03" */
static void write_time(char *text, size_t n, double seconds)
{
    long s = seconds > 0 && seconds < 1e9 ? lround(seconds) : 0;
    if (s >= 3600)
        snprintf(text, n, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, n, "%ld:%02ld", s / 60, s % 60);
}

/* Where the target stands: its alpha, or how much of the warm-up is over. */
static void write_target(char *text, size_t n, const ds_bar *bar, const ds_train_step *s)
{
    text[0] = '\0';
    if (s->progress.warming && bar->plan.warmup_epochs > 0)
        snprintf(text, n, " warm-up %.0f%%", fmin(100, 100 * s->position / bar->plan.warmup_epochs));
    else if (!isnan(s->progress.alpha))
        snprintf(text, n, " alpha %.3f", s->progress.alpha);
}

/* text: width + 3 bytes. */
static void write_bar(char *text, double share, int width)
{
    int full = (int)(fmin(1, share) * width);
    text[0] = '[';
    memset(text + 1, '#', (size_t)full);
    memset(text + 1 + full, '-', (size_t)(width - full));
    text[width + 1] = ']';
    text[width + 2] = '\0';
}

/* The figures, and a bar in what the line has left. */
static void draw(ds_bar *bar, const ds_train_step *s)
{
    enum { WIDEST = 30, NARROWEST = 3 };
    char graph[WIDEST + 3] = "", target[32], left[32], line[256];
    write_target(target, sizeof target, bar, s);
    write_time(left, sizeof left, s->seconds_left);
    int n =
        snprintf(line, sizeof line, " epoch %d/%d batch %ld/%ld loss %.3f acc %.1f%%%s %.0f img/s %s left",
                 s->epoch + 1, bar->plan.epochs, s->batch, bar->plan.max_batches, s->average,
                 100 * s->accuracy, target, s->images_per_second, left);
    int width = columns(bar->out) - 1, room = width - n - 2;
    if (room >= NARROWEST)
        write_bar(graph, (double)s->batch / (double)bar->plan.max_batches, room < WIDEST ? room : WIDEST);
    fprintf(bar->out, "\r%s%.*s\033[K", graph, width, line + (graph[0] ? 0 : 1));
    fflush(bar->out);
    bar->on_line = true;
}

void ds_bar_step(ds_bar *bar, const ds_train_step *s)
{
    if (!bar->terminal) {
        fprintf(bar->out, "%ld, %.3f: %f, %f avg, %f rate, %lf seconds, %llu images\n", s->batch, s->position,
                s->loss, s->average, s->rate, s->seconds, (unsigned long long)s->seen);
        fflush(bar->out);
        return;
    }
    double t = ds_now();
    if (t - bar->drawn < 0.1 && s->batch < bar->plan.max_batches)
        return;
    bar->drawn = t;
    draw(bar, s);
}

static void clear_line(ds_bar *bar)
{
    if (bar->on_line)
        fputs("\r\033[K", bar->out);
    bar->on_line = false;
}

void ds_bar_epoch(ds_bar *bar, const ds_result *r, bool best)
{
    clear_line(bar);
    fprintf(bar->log, "epoch %d: loss %.4f, training accuracy %.2f %%", r->epoch, r->train_loss,
            100 * r->train_accuracy);
    if (!isnan(r->valid_top1))
        fprintf(bar->log, "; valid top-1 %.2f %%, nll %.4f, ece %.4f, aurc %.5f", 100 * r->valid_top1,
                r->valid_nll, r->valid_ece, r->valid_aurc);
    fprintf(bar->log, "; %.0f images/s%s\n", r->images_per_second, best ? "; best so far" : "");
    fflush(bar->log);
}

void ds_bar_end(ds_bar *bar)
{
    if (bar->on_line)
        fputc('\n', bar->out);
    bar->on_line = false;
    if (bar->out)
        fflush(bar->out);
}
