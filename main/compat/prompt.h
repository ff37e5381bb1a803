/* Asking people: what the Synapse-named tools share. */
#ifndef HS_MAIN_COMPAT_PROMPT_H
#define HS_MAIN_COMPAT_PROMPT_H

#include "base/fields.h"
#include "runtime/yaml_tree.h"

/* A line from standard input, without its newline; fails at its end. */
HS_NODISCARD hs_error *hs_ask(hs_arena *a, const char *prompt, hs_str *ret);
/* The same without echo when a terminal is there. */
HS_NODISCARD hs_error *hs_ask_secret(hs_arena *a, const char *prompt, hs_str *ret);
/* Asks twice; empty or different ones are errors. */
HS_NODISCARD hs_error *hs_ask_new_password(hs_arena *a, hs_str *ret);
/* homeserver.yaml as a tree, without the checks of a server that starts. */
HS_NODISCARD hs_error *hs_read_yaml(hs_arena *a, const char *path, const hs_yaml **ret);
HS_NODISCARD hs_error *hs_read_whole(hs_arena *a, const char *path, hs_str *ret);

#endif
