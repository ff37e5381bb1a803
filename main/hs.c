/* The program hs: a table of subcommands. */
#include "main/hs.h"

#include <hs/version.h>

#include <stdio.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} COMMANDS[] = {
    { "run", hs_cmd_run, "everything, in one process or several, on a private PostgreSQL unless one is configured" },
    { "worker", hs_cmd_worker, "one process of several: some or all roles, beside others on any machine" },
    { "generate", hs_cmd_generate, "write a homeserver.yaml with keys and secrets" },
    { "routes", hs_cmd_routes, "list every operation that is served" },
    { "config-docs", hs_cmd_config_docs, "describe every option of homeserver.yaml" },
    { "thumbnailer", hs_cmd_thumbnailer,
      "started by workers: decodes images in a sandbox; --check says whether it can" },
    { "version", hs_cmd_version, "what this is and what it was built with" },
};
#define COMMANDS_N (sizeof COMMANDS / sizeof *COMMANDS)

int hs_fail(const hs_error *e)
{
    const hs_error *deepest = e;

    /* What an operator needs is at the bottom of the chain: "connection refused", not "Internal server error". */
    while (deepest->cause)
        deepest = deepest->cause;
    fprintf(stderr, "hs: %.*s\n", HS_FMT(deepest->message));
    return 1;
}

int hs_cmd_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("hs %s\n", HS_VERSION);
    return 0;
}

static int help(void)
{
    printf("usage: hs <command> [options]\n\n");
    for (size_t i = 0; i < COMMANDS_N; i++)
        printf("  %-12s %s\n", COMMANDS[i].name, COMMANDS[i].help);
    printf("\n`hs <command> --help` says more. Without a command: hs run.\n");
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2 || argv[1][0] == '-') {
        if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
            return help();
        return hs_cmd_run(argc - 1, argv + 1);
    }
    if (strcmp(argv[1], "help") == 0)
        return help();
    for (size_t i = 0; i < COMMANDS_N; i++)
        if (strcmp(argv[1], COMMANDS[i].name) == 0)
            return COMMANDS[i].run(argc - 2, argv + 2);
    fprintf(stderr, "hs: there is no command '%s'; `hs help` lists them\n", argv[1]);
    return 2;
}
