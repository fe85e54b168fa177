/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main() of a fuzz target outside libFuzzer: feeds every file of the folders (or single files) in argv, and
 * of each file every prefix up to 512 bytes too, since "cut short" is what parsers get wrong first. Fails
 * when it was given nothing.
 */
#include "common/cleanup.h"
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long inputs;

/* A copy of exactly n bytes, so that a sanitizer or valgrind sees each read past the end. */
static int feed(const uint8_t *data, size_t n) {
        auto_free uint8_t *exact = malloc(n ? n : 1);

        if (!exact)
                return -ENOMEM;
        if (n > 0)
                memcpy(exact, data, n);
        inputs++;
        LLVMFuzzerTestOneInput(exact, n);
        return 0;
}

static int feed_file(const char *path) {
        auto_fclose FILE *f = fopen(path, "re");
        auto_free uint8_t *data = NULL;
        struct stat st;
        size_t n;
        int r;

        if (!f || fstat(fileno(f), &st) < 0)
                return -errno;
        data = malloc((size_t)st.st_size + 1);
        if (!data)
                return -ENOMEM;
        n = fread(data, 1, (size_t)st.st_size, f);
        for (size_t cut = 0; cut < n && cut < 512; cut++) {
                r = feed(data, cut);
                if (r < 0)
                        return r;
        }
        return feed(data, n);
}

static int feed_folder(const char *path) {
        auto_closedir DIR *d = opendir(path);
        struct dirent *e;

        if (!d)
                return -errno;
        while ((e = readdir(d))) {
                char name[4096];
                int r;

                if (e->d_name[0] == '.')
                        continue;
                snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
                r = feed_file(name);
                if (r < 0)
                        return r;
        }
        return 0;
}

int main(int argc, char **argv) {
        for (int i = 1; i < argc; i++) {
                int r = feed_folder(argv[i]);

                if (r == -ENOTDIR)
                        r = feed_file(argv[i]);
                if (r < 0) {
                        fprintf(stderr, "replay: %s: %s\n", argv[i], strerror(-r));
                        return 1;
                }
        }
        printf("%lu inputs\n", inputs);
        return inputs > 0 ? 0 : 1;
}
