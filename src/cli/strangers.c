#include "cli/strangers.h"
#include "base/file.h"
#include "cli/place.h"
#include "cli/print.h"
#include "select/figures.h"

#include <sys/stat.h>

int ds_strangers_check(ds_strangers *s, const ds_strangers_flags *flags, const char *out, ds_error *e)
{
    const char *other = flags->score >= 0 ? "novelty-score" : flags->list ? "outliers" : NULL;
    struct stat st;
    s->flags = flags;
    if (isnan(flags->rate))
        return other ? ds_fail(e, DS_EUSAGE, "-%s without -novelty A, expected both", other) : DS_OK;
    if (!out || ds_is_stdout(out) || (stat(out, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
        return ds_fail(e, DS_EUSAGE,
                       "-novelty without a file for -out, expected -out NEW.cfg: NEW.novelty is "
                       "written beside it");
    if (flags->score >= 0 && flags->list)
        return ds_fail(e, DS_EUSAGE,
                       "-novelty-score and -outliers, expected one of the two: they choose the score");
    const char *base = ds_path_base(out), *dot = strrchr(base, '.');
    if (base[strcspn(base, " \t\r\n#")])
        return ds_fail(e, DS_EUSAGE,
                       "-out %s with -novelty, expected a name without blanks and '#', for the cfg", out);
    s->path = ds_format("%.*s.novelty", (int)(dot && dot > base ? dot - out : (long)strlen(out)), out);
    return DS_OK;
}

void ds_strangers_clear(ds_strangers *s)
{
    ds_novelty_clear(&s->novelty);
    ds_answers_clear(&s->outliers);
    free(s->path);
}

/* one: no other answers are wanted than those of the first network, whose features are looked at. learner
 * NULL: logits and features are kept. */
static int answer(ds_model *m, const ds_run_flags *run, bool one, ds_novelty *learner, ds_answers *a,
                  ds_error *e)
{
    const ds_eval_setup how = {.score = {DS_MSP, 1, 2},
                               .top = 1,
                               .keep_logits = !learner,
                               .keep_features = !learner,
                               .learner = learner,
                               .one = one};
    return ds_model_answer(m, run, how, a, e);
}

static int learn(ds_strangers *s, ds_model *m, const ds_run_flags *run, ds_calibration_novelty *found,
                 ds_error *e)
{
    DS_FINALLY(ds_answers_clear) ds_answers train = {0};
    DS_TRY(ds_model_read_list(m, m->data.train, true, &train, e));
    found->trained = train.n;
    DS_TRY(ds_novelty_begin(&s->novelty, e));
    DS_TRY(answer(m, run, true, &s->novelty, &train, e));
    return ds_novelty_finish(&s->novelty, e);
}

int ds_strangers_learn(ds_strangers *s, ds_model *m, const ds_run_flags *run, ds_answers *a,
                       ds_calibration_novelty *found, ds_error *e)
{
    const bool of_logits = s->flags->score >= DS_NOVELTY_CONFIDENCES; /* learns nothing */
    const ds_depths *depths;
    ds_net_features(m->net, &depths);
    s->mean = ds_ensemble_is_mean(&m->all);
    s->novelty.depths = *depths;
    s->novelty.classes = ds_net_get_info(m->net)->classes;
    s->novelty.weights = ds_net_weights_hash(m->net);
    found->features = depths->row;
    found->train = m->data.train;
    if (!of_logits && !m->data.train)
        return ds_fail_at(e, DS_EINPUT, m->data.path, 0,
                          "no key 'train', expected the images to learn from for -novelty");
    if (s->mean && of_logits)
        return ds_fail(
            e, DS_EUSAGE, "-novelty-score %s with -views or -with, expected one of features: %s, %s, %s",
            ds_novelty_names[s->flags->score], ds_novelty_names[0], ds_novelty_names[1], ds_novelty_names[2]);
    if (s->flags->list)
        DS_TRY(ds_model_read_list(m, s->flags->list, false, &s->outliers, e));
    if (!of_logits)
        DS_TRY(learn(s, m, run, found, e));
    if (s->flags->list)
        DS_TRY(answer(m, run, true, NULL, &s->outliers, e));
    return answer(m, run, false, NULL, a, e);
}

/* Confidences become the scores, negated. */
static void score(const ds_novelty *v, ds_novelty_kind kind, ds_answers *a)
{
    ds_novelty_scores(v, kind, a->features, a->logits, a->classes + a->abstain, a->abstain, a->n,
                      a->confidences);
    for (size_t i = 0; i < a->n; i++)
        a->confidences[i] = -a->confidences[i];
}

/* The one that tells both halves apart best; where joint, which knows strangers of all kinds, is behind it by
 * chance perhaps, joint. Variance of an AUROC of m and n images: at most A (1 - A) / min(m, n) (Birnbaum &
 * Klose 1957). */
static void choose(ds_strangers *s, ds_answers *known, ds_answers *strange, ds_calibration_novelty *found)
{
    double best = -1, joint = 0;
    for (int k = 0; k < DS_NOVELTIES; k++) {
        const ds_score as = {(ds_confidence)(k - DS_NOVELTY_CONFIDENCES), 1, 2};
        if (k >= DS_NOVELTY_CONFIDENCES &&
            (s->mean || ds_score_check(&as, known->classes + known->abstain, known->abstain, NULL)))
            continue;
        score(&s->novelty, (ds_novelty_kind)k, known);
        score(&s->novelty, (ds_novelty_kind)k, strange);
        const double auroc = ds_auroc_two(known, strange);
        found->candidates[found->n_candidates++] = (ds_candidate){ds_novelty_names[k], auroc, 0};
        if (auroc > best)
            s->novelty.kind = (ds_novelty_kind)k;
        best = fmax(best, auroc);
        joint = k == DS_JOINT ? auroc : joint;
    }
    if (best - joint < 2 * sqrt(joint * (1 - joint) / fmin((double)known->n, (double)strange->n)))
        s->novelty.kind = DS_JOINT;
}

int ds_strangers_rank(ds_strangers *s, ds_answers *a, size_t n, ds_calibration_novelty *found, ds_error *e)
{
    ds_novelty *v = &s->novelty;
    const size_t half = s->flags->list ? ds_answers_halve(&s->outliers, 1) : 0, from = half ? n / 2 : 0;
    ds_answers first = ds_answers_part(a, 0, from), known = ds_answers_part(a, from, n);
    ds_answers strange = ds_answers_part(&s->outliers, 0, half);
    ds_answers others = ds_answers_part(&s->outliers, half, s->outliers.n);
    v->kind = s->flags->score >= 0 ? (ds_novelty_kind)s->flags->score : DS_JOINT;
    if (half)
        choose(s, &first, &strange, found);
    score(v, v->kind, a);
    double *scores = DS_ALLOC(scores, known.n + 1);
    for (size_t i = 0; i < known.n; i++)
        scores[i] = -known.confidences[i];
    ds_novelty_rank(v, scores, known.n);
    found->score = ds_novelty_names[v->kind];
    found->chosen_on = from;
    found->ranked = known.n;
    found->ranks = ds_novelty_ranks(known.n, s->flags->rate);
    if (found->ranks == 0)
        return ds_fail(e, DS_EINFEASIBLE,
                       "no feasible -novelty %g: the %zu images of calib= that rank (the others fit) allow "
                       "%.3g at the least",
                       s->flags->rate, known.n, 1 / ((double)known.n + 1));
    DS_ALLOC(a->novelty, a->n);
    a->novelty_rate = s->flags->rate;
    for (size_t i = 0; i < a->n; i++)
        a->novelty[i] = ds_novelty_p(v, -a->confidences[i]);
    score(v, v->kind, &others);
    found->auroc = ds_auroc_two(&known, &others);
    found->outliers = others.n;
    for (size_t i = 0; i < others.n; i++)
        found->found += ds_novelty_p(v, -others.confidences[i]) < s->flags->rate;
    return DS_OK;
}
