#include "train/predict.h"

int ds_predictor_init(ds_predictor *p, ds_model *m, double threshold, ds_error *e)
{
    const ds_net_info *info = ds_net_get_info(m->net);
    const ds_reject *r = ds_net_get_reject(m->net);
    const bool own = isnan(threshold);
    *p = (ds_predictor){.model = m,
                        .info = info,
                        .score = r->score,
                        .threshold = own ? r->threshold : threshold,
                        .thresholds = own ? r->thresholds : NULL,
                        .novelty_rate = r->novelty_rate,
                        .novelty = ds_net_novelty(m->net)};
    if (own)
        ds_model_tell_threshold(m);
    DS_ALLOC(p->log_p, (size_t)info->classes);
    return ds_score_check(&p->score, info->logits, info->abstain, e);
}

void ds_predictor_clear(ds_predictor *p)
{
    free(p->log_p);
    p->log_p = NULL;
}

ds_prediction ds_predict(ds_predictor *p, int row)
{
    const ds_net_info *info = p->info;
    const float *z = ds_ensemble_logits(&p->model->all) + (size_t)row * (size_t)info->logits;
    const ds_score msp = {.kind = DS_MSP, .temperature = info->cost_temperature};
    ds_log_softmax(z, info->classes, info->cost_temperature, p->log_p);
    ds_prediction a = {.class = ds_logits_valid(z, info->classes) ? ds_argmax(z, info->classes) : 0,
                       .probability = ds_score_row(&msp, z, info->logits, info->abstain),
                       .confidence = ds_score_row(&p->score, z, info->logits, info->abstain),
                       .novelty = p->novelty ? p->novelty[row] : 1};
    a.threshold = p->thresholds ? p->thresholds[a.class] : p->threshold;
    a.verdict = ds_judge(a.confidence, a.threshold, a.novelty, p->novelty_rate);
    return a;
}

double ds_predicted(const ds_predictor *p, const ds_prediction *a, int class)
{
    return class == a->class ? a->probability : exp(p->log_p[class]);
}
