/* What goes with an account, compared with the schema: every table that names a user is filled for two of them, and one
 * of the two accounts is closed. */
#include "store/account_close.h"
#include "support/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* Why they stay: account_close.c. */
#define STAY                                                                                                           \
    "'account', 'user_id', 'external_id', 'profile', 'profile_field', 'room_member', 'user_room', "                    \
    "'receipt', 'ban_redaction', 'media', 'device_change', 'space_walk', 'remote_device', 'remote_device_list'"

/* A row for user u in every table with a user_nid: the columns that must have a value get one that tells the two apart.
 */
static const char FILL[] =
    "DO $do$ DECLARE t text; c text; v text; u bigint; BEGIN"
    " FOR t IN SELECT table_name FROM information_schema.columns JOIN information_schema.tables USING (table_schema, "
    "table_name)"
    "   WHERE table_schema = 'public' AND column_name = 'user_nid' AND table_type = 'BASE TABLE'"
    "   ORDER BY table_name <> 'user_id', table_name LOOP"
    "  FOR u IN 7..8 LOOP"
    "   SELECT string_agg(quote_ident(column_name), ','), string_agg(CASE"
    "     WHEN column_name = 'user_nid' THEN u::text"
    "     WHEN data_type IN ('bigint', 'integer', 'smallint') THEN u::text"
    "     WHEN data_type = 'boolean' THEN 'false'"
    "     WHEN data_type = 'bytea' THEN quote_literal('{\"u\":' || u || '}') || '::bytea'"
    "     WHEN data_type IN ('json', 'jsonb') THEN quote_literal('{}')"
    "     WHEN data_type = 'ARRAY' THEN quote_literal('{}')"
    "     WHEN data_type = 'tsvector' THEN quote_literal('x') || '::tsvector'"
    "     ELSE quote_literal('x' || u) END, ',')"
    "   INTO c, v FROM information_schema.columns WHERE table_schema = 'public' AND table_name = t"
    "     AND (column_name = 'user_nid' OR is_nullable = 'NO' AND column_default IS NULL);"
    "   EXECUTE format('INSERT INTO %I(%s) VALUES (%s) ON CONFLICT DO NOTHING', t, c, v);"
    "  END LOOP; END LOOP; END $do$";

/* Of these tables, how many have a row of user u. */
static const char COUNT[] =
    "CREATE OR REPLACE FUNCTION tables_with(u bigint, stay bool) RETURNS bigint LANGUAGE plpgsql AS $$"
    " DECLARE t text; n bigint; k bigint := 0; BEGIN"
    " FOR t IN SELECT table_name FROM information_schema.columns JOIN information_schema.tables USING (table_schema, "
    "table_name)"
    "   WHERE table_schema = 'public' AND column_name = 'user_nid' AND table_type = 'BASE TABLE'"
    "     AND stay = (table_name IN (" STAY ")) LOOP"
    "  EXECUTE format('SELECT count(*) FROM %I WHERE user_nid = $1', t) INTO n USING u;"
    "  k := k + (n > 0)::int; END LOOP; RETURN k; END $$";

static int open_db(void **state)
{
    static test_db t;

    t = (test_db){ 0 };
    test_db_open(&t);
    test_pg_sql(t.conninfo, FILL);
    test_pg_sql(t.conninfo, COUNT);
    test_pg_sql(t.conninfo,
                "UPDATE account SET password_hash = 'h', flags = 1, valid_until_ts = 5, renewal_token = 'r'");
    *state = &t;
    return 0;
}

static int close_db(void **state)
{
    test_db_close(*state);
    return 0;
}

static void close_the_account(void *ud)
{
    test_db *t = ud;
    hs_write_result result;
    hs_write *w;

    test_ok(hs_write_open(t->db, t->a, &w));
    test_ok(hs_store_account_close(w, 7, 4, 1));
    test_ok(hs_store_account_sweep(w, 7));
    test_ok(hs_write_commit(w, &result));
    assert_int_equal(result.status, HS_WRITE_OK);
}

/* A10: only the tombstone is left, and nobody else has lost anything. */
static void of_a_closed_account_a_tombstone_is_left(void **state)
{
    test_db *t = *state;
    long long stay = test_pg_sql(t->conninfo, "SELECT tables_with(7, true)");

    assert_int_equal(stay, 14);
    assert_int_equal(test_pg_sql(t->conninfo, "SELECT tables_with(7, false)"), hs_store_sweep_tables());
    test_on_fiber(t->loop, close_the_account, t);
    assert_int_equal(test_pg_sql(t->conninfo, "SELECT tables_with(7, false)"), 0);
    assert_int_equal(test_pg_sql(t->conninfo, "SELECT tables_with(8, false)"), hs_store_sweep_tables());
    assert_int_equal(test_pg_sql(t->conninfo, "SELECT tables_with(7, true)"), stay);
    assert_int_equal(test_pg_sql(t->conninfo,
                                 "SELECT count(*) FROM account WHERE user_nid = 7 AND password_hash IS NULL"
                                 " AND flags = 4 AND valid_until_ts IS NULL AND renewal_token IS NULL"),
                     1);
    assert_int_equal(
        test_pg_sql(t->conninfo,
                    "SELECT count(*) FROM account WHERE user_nid = 8 AND password_hash = 'h' AND flags = 1"),
        1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(of_a_closed_account_a_tombstone_is_left, open_db, close_db),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
