/* Which of the kinds of import a path is. */
#include "import/parts.h"

#include "base/file.h"

#include <sys/stat.h>

static bool holds(const char *dir, const char *name)
{
    DS_FREED char *path = ds_path_join(dir, name);
    return ds_path_exists(path);
}

/* The archives of MNIST by their names, plain or packed: images and labels, of training and test. */
static bool find_idx(const char *dir, char *names[DS_GUESSED])
{
    static const char *const parts[DS_GUESSED] = {"train-images", "train-labels", "t10k-images",
                                                  "t10k-labels"};
    static const char *const endings[] = {"", ".gz", ".zip"};
    for (int k = 0; k < DS_GUESSED; k++)
        for (int i = 0; i < 3 && !names[k]; i++) {
            DS_FREED char *name = ds_format("%s-idx%d-ubyte%s", parts[k], k % 2 ? 1 : 3, endings[i]);
            if (holds(dir, name))
                names[k] = ds_path_join(dir, name);
        }
    return names[0] && names[1];
}

void ds_import_guess(const char *path, ds_import *s, char *names[DS_GUESSED])
{
    struct stat st;
    s->source[0] = path;
    s->kind = DS_FOLDERS;
    if (stat(path, &st) || S_ISDIR(st.st_mode)) { /* what is missing is told later */
        if (holds(path, "data_batch_1.bin")) {
            s->kind = DS_CIFAR10;
        } else if (holds(path, "fine_label_names.txt")) {
            s->kind = DS_CIFAR100;
        } else if (find_idx(path, names)) {
            s->kind = DS_IDX;
            for (int k = 0; k < 2; k++) {
                s->source[k] = names[k];
                s->test[k] = names[2] && names[3] ? names[2 + k] : NULL;
            }
        }
    } else if (strstr(ds_path_base(path), "cifar-100")) {
        s->kind = DS_CIFAR100;
    } else if (strstr(ds_path_base(path), "cifar-10")) {
        s->kind = DS_CIFAR10;
    }
}
