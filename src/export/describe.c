/* What a program must know that asks an exported network. */
#include "export/export.h"

static void put_number(FILE *f, double v)
{
    char text[DS_NUMBER_TEXT];
    fputs(isnan(v) ? "null" : isinf(v) ? v > 0 ? "1e999" : "-1e999" : ds_number_text(v, text), f);
}

static const char preprocessing[] =
    "  \"preprocessing\": {\n"
    "    \"crop\": \"the central square: side s = min(width, height) of the image, "
    "left (width - s) / 2, top (height - s) / 2, rounded down\",\n"
    "    \"resize\": \"bilinear without smoothing, corners on corners: output i of n comes from "
    "a = i * ((s - 1) / (n - 1)), in float32: (1 - (a - k)) * pixel k + (a - k) * pixel k + 1, "
    "k = a rounded down, at most s - 2; the last column is the last pixel; "
    "in the last row k is at most s - 1, and pixel k + 1 does not count\",\n"
    "    \"scale\": \"divided by 255\"\n"
    "  },\n";

static void put_thresholds(const ds_export *x, FILE *f)
{
    const ds_reject *r = x->reject;
    const int classes = ds_net_get_info(x->net)->classes;
    fputs("  \"threshold\": ", f);
    put_number(f, r->thresholds ? NAN : r->threshold);
    fputs(",\n  \"thresholds\": ", f);
    for (int i = 0; r->thresholds && i < classes; i++) {
        fputs(i ? ", " : "[", f);
        put_number(f, r->thresholds[i]);
    }
    fputs(r->thresholds ? "],\n" : "null,\n", f);
}

void ds_export_json(const ds_export *x, const char *format, FILE *f)
{
    const ds_net_info *info = ds_net_get_info(x->net);
    const ds_score *s = &x->reject->score;
    fprintf(f,
            "{\n  \"format\": \"%s\",\n  \"classes\": %d,\n  \"names\": %s,\n"
            "  \"input\": {\"layout\": \"NCHW\", \"type\": \"float32\", \"channels\": %d, \"height\": %d, "
            "\"width\": %d, \"order\": \"%s\", \"low\": 0, \"high\": 1},\n%s",
            format, info->classes, x->names ? x->names : "null", info->c, info->h, info->w,
            info->c == 3 ? "RGB" : "grey", preprocessing);
    fprintf(f, "  \"confidence\": \"%s\",\n  \"temperature\": ", ds_confidence_names[s->kind]);
    put_number(f, s->temperature / info->cost_temperature);
    fputs(",\n  \"pnorm_p\": ", f);
    put_number(f, s->pnorm_p);
    fputs(",\n", f);
    put_thresholds(x, f);
    fputs("  \"rule\": \"the confidence is that of softmax(log(probabilities) / temperature); accepted if "
          "confidence >= threshold (that of the most probable class, where there are several; "
          "null: always), and never if it is not a number\"\n}\n",
          f);
}
