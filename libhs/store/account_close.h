/* What goes with an account that is closed: of every table that names its user. */
#ifndef HS_STORE_ACCOUNT_CLOSE_H
#define HS_STORE_ACCOUNT_CLOSE_H

#include "store/write.h"

/* The account itself: no password, no day on which it ends, flags as given. */
HS_NODISCARD hs_error *hs_store_account_close(hs_write *w, hs_nid user, unsigned set, unsigned clear);
/* Of an account that is opened again: the user can be found again. */
HS_NODISCARD hs_error *hs_store_account_listed(hs_write *w, hs_nid user);
/* All that is the user's own, and the place in the user directory, so after what is written of the profile. What others
 * have seen of the user stays, and what a closed account is remembered by. */
HS_NODISCARD hs_error *hs_store_account_sweep(hs_write *w, hs_nid user);
/* The tables of hs_store_account_sweep; a test compares them with the schema. */
size_t hs_store_sweep_tables(void);
const char *hs_store_sweep_table(size_t i);

#endif
