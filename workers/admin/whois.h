/* Served under two paths. */
#ifndef HS_WORKERS_ADMIN_WHOIS_H
#define HS_WORKERS_ADMIN_WHOIS_H

#include "runtime/http.h"

hs_error *hs_admin_get_whois(hs_req *q, hs_res *r);

#endif
