/* Runs a fuzz driver over files and folders of files, for builds without libFuzzer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int run_file(const char *path)
{
    static uint8_t data[1 << 22];
    FILE *f = fopen(path, "rb");

    if (!f) {
        perror(path);
        return 1;
    }
    size_t n = fread(data, 1, sizeof data, f);
    if (fclose(f) != 0)
        return 1;
    return LLVMFuzzerTestOneInput(data, n);
}

static int run(const char *path, size_t *files)
{
    struct stat st;
    int bad = 0;

    if (stat(path, &st) != 0) {
        perror(path);
        return 1;
    }
    if (!S_ISDIR(st.st_mode)) {
        ++*files;
        return run_file(path);
    }
    DIR *d = opendir(path);
    if (!d)
        return 1;
    for (struct dirent *e; (e = readdir(d));) {
        char inner[4096];
        int n = snprintf(inner, sizeof inner, "%s/%s", path, e->d_name);
        if (e->d_name[0] == '.' || n < 0 || (size_t)n >= sizeof inner)
            continue;
        ++*files;
        bad |= run_file(inner);
    }
    closedir(d);
    return bad;
}

int main(int argc, char **argv)
{
    size_t files = 0;
    int bad = 0;

    for (int i = 1; i < argc; i++)
        bad |= run(argv[i], &files);
    printf("%zu inputs\n", files);
    return bad || !files;
}
