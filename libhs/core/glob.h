/* Matrix globs: '*' and '?', ASCII case-insensitive when asked, linear time. */
#ifndef HS_CORE_GLOB_H
#define HS_CORE_GLOB_H

#include <hs/str.h>

bool hs_glob_match(hs_str pattern, hs_str s, bool nocase);
/* Anchored at word boundaries anywhere in s: the content.body rule of event_match. */
bool hs_glob_match_words(hs_str pattern, hs_str s);

#endif
