/* Files that a server needs and nobody has written yet: homeserver.yaml, the signing key, a log configuration, secrets.
 */
#ifndef HS_MAIN_GENERATE_H
#define HS_MAIN_GENERATE_H

#include "runtime/config.h"

typedef struct {
    const char *server_name;
    const char *config_path; /* the file to make; it must not be there */
    const char *data_dir;    /* media, the private PostgreSQL */
    const char *keys_dir;    /* signing key, log configuration */
    uint16_t port;           /* 0: 8008 */
    const char *bind;        /* NULL: ::1 and 127.0.0.1 */
    bool python_log_config;  /* as Synapse: a file of Python's logging beside it */
    bool enable_registration;
    bool enable_metrics; /* a listener on 127.0.0.1:19090 */
    bool report_stats;
} hs_generate;

/* Writes homeserver.yaml with fresh secrets, and what hs_generate_missing would. Errors are one line. */
HS_NODISCARD hs_error *hs_generate_config(hs_arena *a, const hs_generate *g);
/* Makes the signing key and the file of registration_shared_secret_path where they are missing; *ret_made says whether
 * a secret file was made, so that the configuration must be read again. */
HS_NODISCARD hs_error *hs_generate_missing(hs_arena *a, const hs_config *c, bool *ret_made);
/* The line of a new key file, "ed25519 a_AbCd …". */
HS_NODISCARD hs_error *hs_generate_signing_key(hs_arena *a, hs_str *ret);
/* A new file with these bytes; it must not be there. Complete under its name or not there at all. */
HS_NODISCARD hs_error *hs_write_new_file(hs_arena *a, const char *path, hs_str bytes, unsigned mode);

#endif
