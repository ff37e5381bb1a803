/* Matrix globs: '*' and '?', ASCII case-insensitive when asked. Time is linear in the text: a pattern that would need
 * more than 64 steps a byte does not match. */
#ifndef HS_CORE_GLOB_H
#define HS_CORE_GLOB_H

#include <hs/str.h>

bool hs_glob_match(hs_str pattern, hs_str s, bool nocase);
/* Anchored at word boundaries anywhere in s, whatever the case: the content.body rule of event_match. */
bool hs_glob_match_words(hs_str pattern, hs_str s);
/* The same for a text without wildcards, such as a display name. */
bool hs_words_match(hs_str words, hs_str s);
/* The first two, caseless, for whoever matches many patterns: each takes its steps from *steps, and nothing matches
 * when there are none left. */
bool hs_glob_match_within(hs_str pattern, hs_str s, size_t *steps);
bool hs_glob_match_words_within(hs_str pattern, hs_str s, size_t *steps);

#endif
