/* See glob.h. A pattern is cut at its stars into segments. What lies between two segments is free, so the leftmost
 * place for each is always right and nothing is tried twice. Looking for one segment costs segment × text at worst; a
 * budget keeps the whole linear in the text: patterns that need more are made to be expensive, and do not match. */
#include "core/glob.h"

#define STEPS_A_BYTE 64

typedef struct {
    hs_str s;
    bool nocase, words;
    size_t steps; /* that are left */
} text;

static unsigned char fold(char c, bool nocase)
{
    return (unsigned char)(nocase && c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Anywhere but between two characters of a word. */
static bool is_boundary(hs_str s, size_t at)
{
    return at == 0 || at >= s.n || !is_word_char(s.p[at - 1]) || !is_word_char(s.p[at]);
}

/* Bytes of the character that starts here: '?' stands for a whole one. */
static size_t char_len(hs_str s, size_t at)
{
    size_t n = 1;

    while (at + n < s.n && ((unsigned char)s.p[at + n] & 0xc0) == 0x80)
        n++;
    return n;
}

/* Whether the segment stands at `at`; *ret_end is behind it. */
static bool stands_at(text *t, hs_str segment, size_t at, bool wild, size_t *ret_end)
{
    for (size_t i = 0; i < segment.n; i++) {
        if (at >= t->s.n || !t->steps)
            return false;
        t->steps--;
        if (wild && segment.p[i] == '?')
            at += char_len(t->s, at);
        else if (fold(segment.p[i], t->nocase) == fold(t->s.p[at], t->nocase))
            at++;
        else
            return false;
    }
    *ret_end = at;
    return true;
}

/* Where a match may begin and end: at a word boundary, or only at the very start and end. */
static bool may_begin(const text *t, size_t at)
{
    return t->words ? is_boundary(t->s, at) : at == 0;
}

static bool may_end(const text *t, size_t at)
{
    return t->words ? is_boundary(t->s, at) : at == t->s.n;
}

/* The leftmost place of the segment at or after `from`; the first must begin a match, the last end one. */
static bool find_segment(text *t, hs_str segment, size_t from, bool first, bool last, bool wild, size_t *ret_end)
{
    size_t end;

    for (size_t at = from; at <= t->s.n && t->steps; at++) {
        t->steps--;
        if (at < t->s.n && ((unsigned char)t->s.p[at] & 0xc0) == 0x80)
            continue; /* within a character */
        if (first && !may_begin(t, at)) {
            if (!t->words)
                return false;
            continue;
        }
        if (stands_at(t, segment, at, wild, &end) && (!last || may_end(t, end))) {
            *ret_end = end;
            return true;
        }
    }
    return false;
}

static size_t budget(const text *t, hs_str pattern)
{
    return (t->s.n + pattern.n) * STEPS_A_BYTE + STEPS_A_BYTE;
}

static bool match(text *t, hs_str pattern, bool wild)
{
    size_t at = 0;
    bool first = true;

    for (;;) {
        size_t star = wild ? hs_str_find(pattern, '*', 0) : pattern.n;
        bool last = star == pattern.n;
        hs_str segment = hs_str_first(pattern, star);
        /* A star at either end frees that end. */
        if ((segment.n || (first && last)) && !find_segment(t, segment, at, first, last, wild, &at))
            return false;
        if (last)
            return true;
        pattern = hs_str_from(pattern, star + 1);
        first = false;
    }
}

static bool match_within(text *t, hs_str pattern, bool wild, size_t *left)
{
    size_t had = budget(t, pattern);
    bool found;

    had = had < *left ? had : *left;
    t->steps = had;
    found = match(t, pattern, wild);
    *left -= had - t->steps;
    return found;
}

bool hs_glob_match(hs_str pattern, hs_str s, bool nocase)
{
    text t = { .s = s, .nocase = nocase };
    size_t left = SIZE_MAX;

    return match_within(&t, pattern, true, &left);
}

bool hs_glob_match_words(hs_str pattern, hs_str s)
{
    size_t left = SIZE_MAX;

    return hs_glob_match_words_within(pattern, s, &left);
}

bool hs_words_match(hs_str words, hs_str s)
{
    text t = { .s = s, .nocase = true, .words = true };
    size_t left = SIZE_MAX;

    return match_within(&t, words, false, &left);
}

bool hs_glob_match_within(hs_str pattern, hs_str s, size_t *steps)
{
    text t = { .s = s, .nocase = true };

    return match_within(&t, pattern, true, steps);
}

bool hs_glob_match_words_within(hs_str pattern, hs_str s, size_t *steps)
{
    text t = { .s = s, .nocase = true, .words = true };

    return match_within(&t, pattern, true, steps);
}
