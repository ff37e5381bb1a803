/* What hs_rows is. Inside the store only. */
#ifndef HS_STORE_ROWS_H
#define HS_STORE_ROWS_H

#include "store/db.h"

#include <libpq-fe.h>

struct hs_rows {
    PGresult *res; /* cleared when the arena is reset */
};

#endif
