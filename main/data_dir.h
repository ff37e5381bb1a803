/* The data directory of `hs run`: what a first start makes in it. */
#ifndef HS_MAIN_DATA_DIR_H
#define HS_MAIN_DATA_DIR_H

#include <hs/arena.h>

typedef struct {
    hs_str server_name; /* empty: "localhost" */
    uint16_t port;      /* 0: 8008 */
} hs_data_dir_options;

/* Makes the directory; *ret is its absolute path. "cannot be written" errors are one clear line. */
HS_NODISCARD hs_error *hs_data_dir_open(hs_arena *a, const char *path, hs_str *ret);
/* homeserver.yaml with fresh secrets, unless there is one. *ret_new says which. */
HS_NODISCARD hs_error *hs_data_dir_config(hs_arena *a, hs_str dir, const hs_data_dir_options *o, bool *ret_new);

#endif
