/* The subcommands of hs. Each gets the arguments after its own name and returns the exit code. */
#ifndef HS_MAIN_HS_H
#define HS_MAIN_HS_H

#include <hs/error.h>

int hs_cmd_run(int argc, char **argv);
int hs_cmd_worker(int argc, char **argv);
int hs_cmd_generate(int argc, char **argv);
int hs_cmd_routes(int argc, char **argv);
int hs_cmd_config_docs(int argc, char **argv);
int hs_cmd_thumbnailer(int argc, char **argv);
int hs_cmd_version(int argc, char **argv);

/* "hs: <message>" on standard error; 1. */
int hs_fail(const hs_error *e);

#endif
