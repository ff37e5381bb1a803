/* What a bus says of its health, as text: '+' for each word that it is well, '-' for each that it is not. */
#ifndef HS_TESTS_SUPPORT_WATCHER_H
#define HS_TESTS_SUPPORT_WATCHER_H

#include "bus/bus.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

typedef struct {
    hs_bus_watch watch;
    char told[16];
    size_t n;
} watcher;

static inline void note_health(hs_bus_watch *w, bool healthy)
{
    watcher *x = w->ud;

    assert_true(x->n + 1 < sizeof x->told);
    x->told[x->n++] = healthy ? '+' : '-';
}

#endif
