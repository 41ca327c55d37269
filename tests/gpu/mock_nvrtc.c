/* libnvrtc.so.13: the code that it makes names the emulated kernels. */
#include "tests/gpu/mock.h"

#include <stdlib.h>
#include <string.h>

int nvrtcVersion(int *major, int *minor)
{
    *major = 13, *minor = 0;
    return mock_fails(__func__);
}

int nvrtcCreateProgram(void **p, const char *source, const char *name, int n, const char *const *headers, const char *const *names)
{
    (void)name, (void)n, (void)headers, (void)names;
    if (mock_fails(__func__) || !strstr(source, "norm_forward"))
        return 1;
    *p = calloc(1, 2);
    mock_live(1);
    return 0;
}

int nvrtcCompileProgram(void *p, int n, const char *const *options)
{
    *(char *)p = '0';
    for (int i = 0; i < n; i++)
        if (strcmp(options[i], "-DBF16=1") == 0)
            *(char *)p = '1';
    return mock_fails(__func__);
}

int nvrtcGetProgramLogSize(void *p, size_t *n)
{
    (void)p;
    *n = 5;
    return 0;
}

int nvrtcGetProgramLog(void *p, char *log)
{
    (void)p;
    memcpy(log, "log!", 5);
    return 0;
}

int nvrtcGetCUBINSize(void *p, size_t *n)
{
    (void)p;
    *n = 2;
    return mock_fails(__func__);
}

int nvrtcGetCUBIN(void *p, char *image)
{
    memcpy(image, p, 2);
    return mock_fails(__func__);
}

int nvrtcDestroyProgram(void **p)
{
    free(*p);
    mock_live(-1);
    return 0;
}
