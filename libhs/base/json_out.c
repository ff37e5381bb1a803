/* See json_out.h. */
#include "base/json_out.h"

#include "base/int_text.h"

void hs_json_out_init(hs_json_out *j, hs_buf *b)
{
    *j = (hs_json_out){ .b = b };
}

/* The comma before a value or a key, unless it follows its own key. */
static void separate(hs_json_out *j)
{
    uint64_t bit = UINT64_C(1) << (j->depth & 63u);

    if (j->after_key) {
        j->after_key = false;
        return;
    }
    if (j->used & bit)
        hs_buf_addc(j->b, ',');
    j->used |= bit;
}

static void literal_key(hs_json_out *j, const char *key)
{
    separate(j);
    hs_buf_addc(j->b, '"');
    hs_buf_add(j->b, hs_str_c(key));
    hs_buf_add(j->b, HS_S("\":"));
    j->after_key = true;
}

static void open_level(hs_json_out *j, bool array)
{
    separate(j);
    hs_buf_addc(j->b, array ? '[' : '{');
    if (j->depth + 1 >= HS_JSON_OUT_DEPTH) {
        j->b->failed = true; /* our own mistake: no answer is that deep */
        return;
    }
    j->depth++;
    uint64_t bit = UINT64_C(1) << j->depth;
    j->used &= ~bit;
    j->array = array ? j->array | bit : j->array & ~bit;
}

void hs_json_obj(hs_json_out *j)
{
    open_level(j, false);
}

void hs_json_arr(hs_json_out *j)
{
    open_level(j, true);
}

void hs_json_obj_at(hs_json_out *j, const char *key)
{
    literal_key(j, key);
    open_level(j, false);
}

void hs_json_arr_at(hs_json_out *j, const char *key)
{
    literal_key(j, key);
    open_level(j, true);
}

void hs_json_end(hs_json_out *j)
{
    if (!j->depth)
        return;
    hs_buf_addc(j->b, j->array & (UINT64_C(1) << j->depth) ? ']' : '}');
    j->depth--;
}

void hs_json_key(hs_json_out *j, hs_str key)
{
    separate(j);
    hs_json_quote(j->b, key);
    hs_buf_addc(j->b, ':');
    j->after_key = true;
}

void hs_json_quote(hs_buf *b, hs_str v)
{
    static const char HEX[] = "0123456789abcdef";
    size_t from = 0;

    hs_buf_addc(b, '"');
    for (size_t i = 0; i < v.n; i++) {
        unsigned char c = (unsigned char)v.p[i];
        char esc[6] = { '\\', 'u', '0', '0', 0, 0 };
        size_t n = 2;

        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        switch (c) {
        case '"':
        case '\\':
            esc[1] = (char)c;
            break;
        case '\b':
            esc[1] = 'b';
            break;
        case '\f':
            esc[1] = 'f';
            break;
        case '\n':
            esc[1] = 'n';
            break;
        case '\r':
            esc[1] = 'r';
            break;
        case '\t':
            esc[1] = 't';
            break;
        default:
            esc[4] = HEX[c >> 4];
            esc[5] = HEX[c & 15];
            n = 6;
        }
        hs_buf_add(b, hs_str_make(v.p + from, i - from));
        hs_buf_add(b, hs_str_make(esc, n));
        from = i + 1;
    }
    hs_buf_add(b, hs_str_from(v, from));
    hs_buf_addc(b, '"');
}

void hs_json_v_str(hs_json_out *j, hs_str v)
{
    separate(j);
    hs_json_quote(j->b, v);
}

void hs_json_v_int(hs_json_out *j, int64_t v)
{
    char text[HS_INT_TEXT];

    separate(j);
    hs_buf_add(j->b, hs_int_text(v, text));
}

void hs_json_v_bool(hs_json_out *j, bool v)
{
    separate(j);
    hs_buf_add(j->b, v ? HS_S("true") : HS_S("false"));
}

void hs_json_v_null(hs_json_out *j)
{
    separate(j);
    hs_buf_add(j->b, HS_S("null"));
}

void hs_json_v_raw(hs_json_out *j, hs_str v)
{
    separate(j);
    hs_buf_splice(j->b, v);
}

void hs_json_str(hs_json_out *j, const char *key, hs_str v)
{
    literal_key(j, key);
    hs_json_v_str(j, v);
}

void hs_json_int(hs_json_out *j, const char *key, int64_t v)
{
    literal_key(j, key);
    hs_json_v_int(j, v);
}

void hs_json_bool(hs_json_out *j, const char *key, bool v)
{
    literal_key(j, key);
    hs_json_v_bool(j, v);
}

void hs_json_null(hs_json_out *j, const char *key)
{
    literal_key(j, key);
    hs_json_v_null(j);
}

void hs_json_raw(hs_json_out *j, const char *key, hs_str v)
{
    literal_key(j, key);
    hs_json_v_raw(j, v);
}

void hs_json_opt_str(hs_json_out *j, const char *key, hs_str v)
{
    if (v.p)
        hs_json_str(j, key, v);
}

void hs_json_str_or_null(hs_json_out *j, const char *key, hs_str v)
{
    if (v.p)
        hs_json_str(j, key, v);
    else
        hs_json_null(j, key);
}

void hs_json_int_or_null(hs_json_out *j, const char *key, int64_t v)
{
    if (v)
        hs_json_int(j, key, v);
    else
        hs_json_null(j, key);
}
