/* See glob.h. The classic two-pointer match: on a mismatch only the last '*' is tried again, so the cost is bounded by
 * pattern × text and there is no recursion. */
#include "core/glob.h"

static unsigned char fold(char c, bool nocase)
{
    return (unsigned char)(nocase && c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

/* Bytes of the character that starts here: '?' stands for a whole one. */
static size_t char_len(hs_str s, size_t at)
{
    size_t n = 1;

    while (at + n < s.n && ((unsigned char)s.p[at + n] & 0xc0) == 0x80)
        n++;
    return n;
}

bool hs_glob_match(hs_str pattern, hs_str s, bool nocase)
{
    size_t p = 0, i = 0, star = SIZE_MAX, retry = 0;

    while (i < s.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = p++;
            retry = i;
        } else if (p < pattern.n && pattern.p[p] == '?') {
            p++;
            i += char_len(s, i);
        } else if (p < pattern.n && fold(pattern.p[p], nocase) == fold(s.p[i], nocase)) {
            p++;
            i++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            i = ++retry;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*')
        p++;
    return p == pattern.n;
}

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Does the pattern match s from `at` up to some word boundary? A
 * pattern without wildcards, the usual case, does not come here. */
static bool match_from(hs_str pattern, hs_str s, size_t at)
{
    for (size_t end = at; end <= s.n; end++) {
        bool boundary = end == s.n || end == 0 || !is_word_char(s.p[end]) || !is_word_char(s.p[end - 1]);
        if (boundary && hs_glob_match(pattern, hs_str_make(s.p + at, end - at), true))
            return true;
    }
    return false;
}

bool hs_glob_match_words(hs_str pattern, hs_str s)
{
    bool plain = hs_str_find(pattern, '*', 0) == pattern.n && hs_str_find(pattern, '?', 0) == pattern.n;

    for (size_t at = 0; at < s.n; at++) {
        if (at && is_word_char(s.p[at]) && is_word_char(s.p[at - 1]))
            continue;
        if (!plain) {
            if (match_from(pattern, hs_str_first(s, at + 1024 < s.n ? at + 1024 : s.n), at))
                return true;
            continue;
        }
        size_t end = at + pattern.n;
        if (end <= s.n && hs_str_eq_nocase(hs_str_make(s.p + at, pattern.n), pattern) &&
            (end == s.n || !pattern.n || !is_word_char(s.p[end]) || !is_word_char(s.p[end - 1])))
            return true;
    }
    return false;
}
