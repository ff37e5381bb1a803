/* News as the bus message (proto/news.proto), for the feed row. */
#ifndef HS_SERVER_NEWS_ENCODE_H
#define HS_SERVER_NEWS_ENCODE_H

#include "server/news.h"

HS_NODISCARD hs_error *hs_news_encode(hs_arena *a, const hs_told *units, size_t n, hs_str *ret_msg);

#endif
