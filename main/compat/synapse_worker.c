/* synapse_worker: the flags of `python -m synapse.app.generic_worker`. It becomes `hs worker`. */
#include "main/compat/become.h"

#include <hs/arena.h>

#include <getopt.h>
#include <stdio.h>

static const char USAGE[] =
    "usage: synapse_worker -c homeserver.yaml -c worker.yaml [options]\n\n"
    "  -c, --config-path CONFIG       file, or folder with *.yaml; later ones win\n"
    "  -D, --daemonize                go to the background once it serves\n"
    "      --report-stats yes|no, --config-directory DIR, --keys-directory DIR, --data-directory DIR,\n"
    "      --enable-registration, --enable-metrics, --print-pidfile, --no-secrets-in-config, -n, --manhole PORT, -d "
    "FILE\n"
    "                                 accepted, without effect\n";

int main(int argc, char **argv)
{
    enum { IGNORED = 256 };
    static const struct option OPTIONS[] = { { "config-path", required_argument, NULL, 'c' },
                                             { "daemonize", no_argument, NULL, 'D' },
                                             { "report-stats", required_argument, NULL, IGNORED },
                                             { "config-directory", required_argument, NULL, IGNORED },
                                             { "keys-directory", required_argument, NULL, IGNORED },
                                             { "data-directory", required_argument, NULL, IGNORED },
                                             { "enable-registration", no_argument, NULL, IGNORED },
                                             { "enable-metrics", no_argument, NULL, IGNORED },
                                             { "print-pidfile", no_argument, NULL, IGNORED },
                                             { "no-secrets-in-config", no_argument, NULL, IGNORED },
                                             { "no-redirect-stdio", no_argument, NULL, 'n' },
                                             { "manhole", required_argument, NULL, IGNORED },
                                             { "database-path", required_argument, NULL, 'd' },
                                             { "help", no_argument, NULL, 'h' },
                                             { 0 } };
    const char *files[HS_BECOME_FILES], *words[] = { "worker", NULL, NULL };
    size_t n = 0;
    hs_arena *a;
    int c;

    while ((c = getopt_long(argc, argv, "c:Dnd:h", OPTIONS, NULL)) != -1) {
        if (c == 'c' && n < HS_BECOME_FILES)
            files[n++] = optarg;
        else if (c == 'D')
            words[1] = "--daemonize";
        else if (c == 'h' || c == '?' || c == 'c') {
            fputs(USAGE, c == 'h' ? stdout : stderr);
            return c == 'h' ? 0 : 2;
        }
    }
    if (!n) {
        fputs("Must supply a config file.\n", stderr);
        return 1;
    }
    if (!(a = hs_arena_open((size_t)1 << 20)))
        return 1;
    hs_error *e = hs_become(a, words, files, n);
    fprintf(stderr, "%.*s\n", HS_FMT(e->message));
    hs_arena_close(a);
    return 1;
}
