#include "report/report.h"

#include <errno.h>
#include <string.h>

const double ds_report_coverages[DS_REPORT_COVERAGES] = {1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7};
const double ds_report_risks[DS_REPORT_RISKS] = {0.005, 0.01, 0.02, 0.05};

int ds_report_flush(FILE *f, ds_error *e)
{
    errno = 0;
    if (fflush(f) == 0 && !ferror(f))
        return DS_OK;
    return ds_fail(e, DS_EIO, "cannot write: %s", errno ? strerror(errno) : "an earlier write failed");
}
