/* A feed message of another worker as news. */
#ifndef HS_SERVER_NEWS_DECODE_H
#define HS_SERVER_NEWS_DECODE_H

#include "server/news.h"

/* Everything lives in `a`, events included. What the message does not carry (events of a row of the table) is read from
 * the store. 500 when the bytes are not a feed message. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_news_decode(hs_server *srv, hs_arena *a, hs_str bytes, hs_news *ret);

#endif
