/* generate_signing_key [-o FILE]: a new Ed25519 key in Synapse's file format. */
#include "main/generate.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char USAGE[] = "usage: generate_signing_key [-h] [-o OUTPUT_FILE]\n\n"
                            "  -o, --output_file OUTPUT_FILE   where to write the key to; default: standard output\n";

int main(int argc, char **argv)
{
    static const struct option OPTIONS[] = { { "output_file", required_argument, NULL, 'o' },
                                             { "help", no_argument, NULL, 'h' },
                                             { 0 } };
    const char *file = NULL;
    hs_arena *a;
    hs_error *e;
    hs_str line;
    int o;

    while ((o = getopt_long(argc, argv, "o:h", OPTIONS, NULL)) != -1) {
        if (o == 'h') {
            fputs(USAGE, stdout);
            return 0;
        }
        if (o != 'o') {
            fputs(USAGE, stderr);
            return 2;
        }
        file = optarg;
    }
    if (!(a = hs_arena_open((size_t)1 << 20)))
        return 1;
    e = hs_generate_signing_key(a, &line);
    if (!e && file && strcmp(file, "-") != 0)
        e = hs_write_new_file(a, file, line, 0640);
    else if (!e && fwrite(line.p, 1, line.n, stdout) != line.n)
        e = hs_err(a, 500, HS_M_UNKNOWN, "cannot write the key");
    if (e)
        fprintf(stderr, "generate_signing_key: %.*s\n", HS_FMT(e->message));
    hs_arena_close(a);
    return e ? 1 : 0;
}
