/* Between config.c (the table) and config_parts.c (options with a shape of their own). */
#ifndef HS_RUNTIME_CONFIG_PARTS_H
#define HS_RUNTIME_CONFIG_PARTS_H

#include "runtime/config.h"
#include "runtime/yaml_tree.h"

/* "file:line: path: text", as status 500. */
#define hs_config_err(a, n, path, ...) hs_config_err_at((a), HS_HERE, (n), (path), __VA_ARGS__)
hs_error *hs_config_err_at(hs_arena *a, const char *where, const hs_yaml *n, const char *path, const char *fmt, ...)
    HS_PRINTF(5, 6);

/* ms; `null` and "infinity" are 0 */
HS_NODISCARD hs_error *hs_config_duration(hs_arena *a, const hs_yaml *n, const char *path, int64_t *ret);
/* bytes */
HS_NODISCARD hs_error *hs_config_size(hs_arena *a, const hs_yaml *n, const char *path, int64_t *ret);
HS_NODISCARD hs_error *hs_config_strs(hs_arena *a, const hs_yaml *n, const char *path, hs_strs *ret);
/* A whole file; 500 with a line for the operator. */
HS_NODISCARD hs_error *hs_config_read_file(hs_arena *a, hs_str path, hs_str *ret);
/* Unset files: *ret_missing says so instead of an error. */
HS_NODISCARD hs_error *hs_config_read_file_or_missing(hs_arena *a, hs_str path, hs_str *ret, bool *ret_missing);

/* config_accounts.c */
HS_NODISCARD hs_error *hs_config_accounts(hs_arena *a, const hs_yaml *top, hs_logger *log, hs_config *c);
/* config_media.c */
HS_NODISCARD hs_error *hs_config_media(hs_arena *a, const hs_yaml *top, hs_config *c);
/* All CODE options and the checks between options. */
HS_NODISCARD hs_error *hs_config_parts(hs_arena *a, const hs_yaml *top, hs_logger *log, hs_config *c);

#endif
