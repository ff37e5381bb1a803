/* hash_password [-p PASSWORD] [-c CONFIG] [-r ROUNDS]: a bcrypt hash as Synapse stores it, with the pepper of the
 * configuration. */
#include "main/compat/prompt.h"

#include <crypt.h>
#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char USAGE[] = "usage: hash_password [-h] [-p PASSWORD] [-c CONFIG] [-r ROUNDS]\n\n"
                            "  -p, --password PASSWORD   default: asked for, or the first line of standard input\n"
                            "  -c, --config CONFIG       homeserver.yaml, for bcrypt_rounds and the pepper\n"
                            "  -r, --rounds ROUNDS       bcrypt cost; default: the configuration's, else 12\n";

/* bcrypt sees 72 bytes: the password in UTF-8 and the pepper after it. */
static hs_error *hash(hs_arena *a, hs_str password, hs_str pepper, int64_t rounds)
{
    char salt[CRYPT_GENSALT_OUTPUT_SIZE];
    struct crypt_data *data;
    hs_str both;
    const char *c, *out;

    if (rounds < 4 || rounds > 31)
        return hs_err(a, 500, HS_M_UNKNOWN, "the number of rounds must be 4 to 31");
    HS_TRY(hs_str_cat(a, &both, 2, password, pepper));
    HS_TRY(hs_cstr(a, hs_str_first(both, 72), &c));
    HS_TRY(hs_alloc(a, 1, &data));
    if (!crypt_gensalt_rn("$2b$", (unsigned long)rounds, NULL, 0, salt, sizeof salt))
        return hs_err(a, 500, HS_M_UNKNOWN, "no salt could be made");
    out = crypt_rn(c, salt, data, (int)sizeof *data); /* NULL for what cannot be; sanitizers leave this one alone */
    if (!out)
        return hs_err(a, 500, HS_M_UNKNOWN, "bcrypt failed");
    puts(out);
    sodium_memzero(data, sizeof *data);
    return NULL;
}

static hs_error *run(hs_arena *a, const char *given, const char *config, const char *rounds_text)
{
    hs_str password = hs_str_c(given), pepper = HS_S("");
    int64_t rounds = 12;

    if (config) {
        const hs_yaml *top, *n;
        HS_TRY(hs_read_yaml(a, config, &top));
        if (hs_yaml_get(top, HS_S("bcrypt_rounds")) &&
            !hs_yaml_to_i64(hs_yaml_get(top, HS_S("bcrypt_rounds")), &rounds))
            return hs_err(a, 500, HS_M_UNKNOWN, "%s: bcrypt_rounds is not a number", config);
        n = hs_yaml_path(top, HS_S("password_config.pepper"));
        if (!hs_yaml_is_null(n))
            pepper = n->text;
    }
    if (rounds_text && !hs_str_to_i64(hs_str_c(rounds_text), &rounds))
        return hs_err(a, 500, HS_M_UNKNOWN, "the number of rounds must be 4 to 31");
    if (!given && isatty(STDIN_FILENO))
        HS_TRY(hs_ask_new_password(a, &password));
    else if (!given)
        HS_TRY(hs_ask_secret(a, "", &password));
    if (password.n == 0)
        return hs_err(a, 500, HS_M_UNKNOWN, "Password cannot be blank.");
    for (size_t i = 0; i < password.n; i++)
        if ((unsigned char)password.p[i] >= 0x80) {
            fputs(
                "hash_password: the password is hashed as typed; letters beyond ASCII must be in Unicode's NFKC form\n",
                stderr);
            break;
        }
    return hash(a, password, pepper, rounds);
}

int main(int argc, char **argv)
{
    static const struct option OPTIONS[] = { { "password", required_argument, NULL, 'p' },
                                             { "config", required_argument, NULL, 'c' },
                                             { "rounds", required_argument, NULL, 'r' },
                                             { "help", no_argument, NULL, 'h' },
                                             { 0 } };
    const char *password = NULL, *config = NULL, *rounds = NULL;
    hs_arena *a;
    hs_error *e;
    int o;

    while ((o = getopt_long(argc, argv, "p:c:r:h", OPTIONS, NULL)) != -1) {
        switch (o) {
        case 'p':
            password = optarg;
            break;
        case 'c':
            config = optarg;
            break;
        case 'r':
            rounds = optarg;
            break;
        case 'h':
            fputs(USAGE, stdout);
            return 0;
        default:
            fputs(USAGE, stderr);
            return 2;
        }
    }
    if (!(a = hs_arena_open((size_t)16 << 20)))
        return 1;
    e = run(a, password, config, rounds);
    if (e)
        fprintf(stderr, "hash_password: %.*s\n", HS_FMT(e->message));
    hs_arena_close(a);
    return e ? 1 : 0;
}
