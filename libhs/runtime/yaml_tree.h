/* A YAML document as a tree in an arena. Nodes know where they stand, for error messages. */
#ifndef HS_RUNTIME_YAML_TREE_H
#define HS_RUNTIME_YAML_TREE_H

#include <hs/arena.h>

typedef enum { HS_YAML_SCALAR, HS_YAML_SEQ, HS_YAML_MAP } hs_yaml_kind;

typedef struct hs_yaml hs_yaml;
typedef struct {
    hs_str key;
    const hs_yaml *value;
    size_t line;
} hs_yaml_pair;

struct hs_yaml {
    hs_yaml_kind kind;
    bool plain; /* a scalar without quotes: may be a number, a boolean or null */
    hs_str text;
    const hs_yaml **items;
    hs_yaml_pair *pairs; /* of keys that are scalars; a repeated key is there once, with its last value */
    size_t n;            /* items or pairs */
    hs_str file;
    size_t line; /* from 1 */
};

/* *ret is NULL for a file without a document. The error's message begins with "file:line: ". */
HS_NODISCARD hs_error *hs_yaml_parse(hs_arena *a, hs_str file, hs_str bytes, const hs_yaml **ret);

/* All accept NULL as a node. */
const hs_yaml *hs_yaml_get(const hs_yaml *map, hs_str key);
/* Members along "a.b.c". */
const hs_yaml *hs_yaml_path(const hs_yaml *map, hs_str path);
bool hs_yaml_is_null(const hs_yaml *n); /* absent, empty, ~ or null */
/* Plain scalars as YAML 1.1 has them (yes, on, …). */
bool hs_yaml_to_bool(const hs_yaml *n, bool *ret);
bool hs_yaml_to_i64(const hs_yaml *n, int64_t *ret);
bool hs_yaml_to_double(const hs_yaml *n, double *ret);
/* The node as JSON; refuses what is nested deeper than 32 levels. */
HS_NODISCARD hs_error *hs_yaml_to_json(hs_arena *a, const hs_yaml *n, hs_str *ret);

#endif
