#include "report/page.h"

#include <string.h>

static const ds_slot *find(const ds_slot *slots, int n, const char *name, size_t length)
{
    for (int i = 0; i < n; i++)
        if (strlen(slots[i].name) == length && memcmp(slots[i].name, name, length) == 0)
            return &slots[i];
    return NULL;
}

int ds_template_fill(FILE *f, const char *template, const ds_slot *slots, int n, ds_error *e)
{
    for (const char *open; (open = strstr(template, "{{"));) {
        const char *name = open + 2, *close = strstr(name, "}}");
        const ds_slot *slot = close ? find(slots, n, name, (size_t)(close - name)) : NULL;
        if (!slot)
            return ds_fail(e, DS_EINPUT,
                           "the template asks for '%.*s', expected a known name between {{ and }}",
                           close ? (int)(close - name) : 20, name);
        fwrite(template, 1, (size_t)(open - template), f);
        ds_put_escaped(f, slot->text, slot->how);
        template = close + 2;
    }
    fputs(template, f);
    return ds_report_flush(f, e);
}
