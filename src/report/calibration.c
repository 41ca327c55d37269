#include "report/calibration.h"
#include "report/report.h"

/* The point of the decimals moves by two; the rest is their ten's complement. */
const char *ds_percent_text(double v, bool rest, char text[DS_PERCENT_TEXT])
{
    char number[DS_PERCENT_TEXT], *p = number + 2; /* behind "0." */
    int n = 2;
    do {
        snprintf(number, sizeof number, "%.*f", n, v);
    } while (strtod(number, NULL) != v && n++ < DS_PERCENT_TEXT - 8);
    while (p[n - 1] == '0')
        n--;
    for (int i = 0; i < n && rest; i++)
        p[i] = (char)((i + 1 < n ? '9' : '9' + 1) - (p[i] - '0'));
    bool small = p[0] == '0';
    snprintf(text, DS_PERCENT_TEXT, "%.*s%s%s %%", small ? 1 : 2, p + small, p[2] ? "." : "", p + 2);
    return text;
}

/* Is a threshold looked for? */
static bool has_aim(const ds_calibration *c)
{
    return c->promises || !isnan(c->risk) || !isnan(c->coverage) || !isnan(c->cost);
}

static void images(FILE *f, const ds_calibration *c)
{
    if (c->fitted_on)
        fprintf(f, "%-16s %zu: %zu to fit on, the other %zu for the threshold (-seed %d)\n", "images",
                c->images, c->fitted_on, c->images - c->fitted_on, c->seed);
    else
        fprintf(f, "%-16s %zu, all for %s\n", "images", c->images, has_aim(c) ? "the threshold" : "novelty");
    if (c->novelty.unknown)
        fprintf(f, "%-16s %zu (never accepted)\n", "  unknown", c->novelty.unknown);
    if (c->n_nan > c->novelty.unknown)
        fprintf(f, "%-16s %zu (never accepted)\n", "  no confidence", c->n_nan - c->novelty.unknown);
}

static void temperature(FILE *f, const ds_calibration *c)
{
    char text[DS_NUMBER_TEXT];
    if (!isnan(c->nll[1]))
        fprintf(f, "%-16s %s (fitted; NLL of the images not fitted on: %.6f, with 1 %.6f)\n", "temperature",
                ds_number_text(c->temperature, text), c->nll[1], c->nll[0]);
    else if (c->temperature != 1)
        fprintf(f, "%-16s %s\n", "temperature", ds_number_text(c->temperature, text));
}

static void confidence(FILE *f, const ds_calibration *c)
{
    char text[DS_NUMBER_TEXT];
    if (c->confidence)
        fprintf(f, "%-16s %s%s\n", "confidence", c->confidence,
                c->n_candidates ? " (lowest AURC of the images fitted on)" : "");
    for (int i = 0; i < c->n_candidates; i++) {
        const ds_candidate *k = &c->candidates[i];
        fprintf(f, "  %-14s %.6f", k->name, k->aurc);
        if (k->temperature > 0)
            fprintf(f, "  at temperature %s", ds_number_text(k->temperature, text));
        putc('\n', f);
    }
    if (c->pnorm_p > 0)
        fprintf(f, "%-16s %s\n", "norm", ds_number_text(c->pnorm_p, text));
}

/* Class by class what is promised, and what becomes of the images that are answered so. */
static void classes(FILE *f, const ds_calibration *c)
{
    fprintf(f, "  %-16s %8s  %8s  %8s  %8s  %s\n", "answer", "images", "accepted", "wrong", "risk",
            "threshold");
    for (int i = 0; i < c->classes; i++) {
        const ds_class_promise *p = &c->promises[i];
        const ds_guarantee *g = &p->found;
        char risk[DS_NUMBER_TEXT + 8] = "-", number[DS_NUMBER_TEXT] = "none";
        if (!isnan(p->risk))
            snprintf(risk, sizeof risk, "<= %g %%", 100 * p->risk);
        if (g->feasible)
            ds_number_text(g->cut.threshold, number);
        fputs("  ", f);
        ds_put_name(f, c->names[i], 16);
        fprintf(f, " %8zu  %8zu  %8zu  %8s  ", p->answered, g->cut.accepted, g->cut.errors, risk);
        if (isnan(p->risk) || g->feasible)
            fprintf(f, "%s\n", number);
        else if (g->feasible_risk < 1)
            fprintf(f, "never accepted: %g %% could be kept\n", 100 * g->feasible_risk);
        else
            fputs("never accepted: no R could be kept\n", f);
    }
}

static void cut(FILE *f, const ds_calibration *c)
{
    char text[DS_NUMBER_TEXT];
    size_t n = c->images - c->fitted_on, rejected = n - c->cut.accepted;
    fprintf(f, "%-16s %s\n", "threshold",
            c->promises               ? "one of each class"
            : isnan(c->cut.threshold) ? "none"
                                      : ds_number_text(c->cut.threshold, text));
    if (c->promises)
        classes(f, c);
    fprintf(f, "%-16s %.2f %% (%zu accepted)\n", "coverage", 100 * c->cut.coverage, c->cut.accepted);
    fprintf(f, "%-16s %.2f %% (%zu rejected)\n", "reject rate", 100 * (double)rejected / (double)n, rejected);
    if (c->cut.accepted)
        fprintf(f, "%-16s %.2f %% (%zu errors among the accepted)\n", "selective risk", 100 * c->cut.risk,
                c->cut.errors);
    else
        ds_report_line(f, "selective risk", "undefined");
}

static void novelty(FILE *f, const ds_calibration_novelty *n)
{
    char rate[DS_PERCENT_TEXT];
    if (!n->score)
        return;
    ds_report_line(f, "novelty", n->path);
    if (n->trained) {
        fprintf(f, "%-16s %zu images, %zu features each: ", "  learnt from", n->trained, n->features);
        ds_put_line(f, "", n->train);
    }
    const char *why = n->n_candidates == 0 ? ""
                      : strcmp(n->score, "joint") == 0
                          ? " (no other is surely better for half of the outliers)"
                          : " (highest AUROC of half of the outliers)";
    fprintf(f, "%-16s %s%s\n", "  score", n->score, why);
    for (int i = 0; i < n->n_candidates; i++)
        fprintf(f, "    %-12s %.6f\n", n->candidates[i].name, n->candidates[i].aurc);
    if (n->outliers)
        fprintf(f, "%-16s %zu of the other %zu are unknown (%.2f %%), AUROC %.6f\n", "  outliers", n->found,
                n->outliers, 100 * (double)n->found / (double)n->outliers, n->auroc);
    if (n->n_candidates && strcmp(n->score, "joint") != 0)
        fputs(
            "the score was chosen for strangers like these outliers alone: others may pass, which joint (the "
            "default) would find\n",
            f);
    if (n->chosen_on)
        fprintf(f, "%zu calibration images helped to choose the score, %zu others are the ranks\n",
                n->chosen_on, n->ranked);
    /* for given ranks the share is a draw of Beta(ranks, ranked + 1 - ranks) */
    const double mean = (double)n->ranks / (double)(n->ranked + 1);
    fprintf(f,
            "an image of the same kind as the calibration images is called unknown with probability at most "
            "%s, over the draw of these images and of it: when it is among the %zu strangest of %zu, itself "
            "and the %zu that the score was ranked on; the share of a long series differs from one draw of "
            "them to the next (standard deviation %.2f points)\n",
            ds_percent_text(n->rate, false, rate), n->ranks, n->ranked + 1, n->ranked,
            100 * sqrt(mean * (1 - mean) / ((double)n->ranked + 2)));
}

static void promise(FILE *f, const ds_calibration *c)
{
    char sure[DS_PERCENT_TEXT], share[DS_PERCENT_TEXT], cost[DS_NUMBER_TEXT];
    if (c->promises)
        fprintf(
            f,
            "with probability at least %s over the draw of the calibration images, the error rate among "
            "images of the same kind that are accepted as a class is at most the risk in its line, for all "
            "of these classes at once\n",
            ds_percent_text(c->delta, true, sure));
    else if (!isnan(c->risk))
        fprintf(f,
                "with probability at least %s over the draw of the calibration images, the error rate among "
                "accepted images of the same kind is at most %s\n",
                ds_percent_text(c->delta, true, sure), ds_percent_text(c->risk, false, share));
    else if (!isnan(c->coverage))
        fputs("no guarantee: the threshold was set for its coverage of these images (-risk R -delta D gives "
              "one)\n",
              f);
    else if (has_aim(c))
        fprintf(
            f,
            "no guarantee: an image is accepted when the network gives its answer an error probability of at "
            "most %s, the cost of rejecting it\n",
            ds_number_text(c->cost, cost));
}

void ds_calibration_text(FILE *f, const ds_calibration *c)
{
    ds_report_line(f, "model", c->model);
    ds_report_line(f, "list", c->list);
    images(f, c);
    temperature(f, c);
    confidence(f, c);
    cut(f, c);
    novelty(f, &c->novelty);
    promise(f, c);
}
