/* Memory of an arena that somebody still needs when its owner is done with it: a unit of writing whose outcome is not
 * known yet, after its request has been answered. */
#ifndef HS_BASE_KEEP_H
#define HS_BASE_KEEP_H

#include <hs/arena.h>

typedef struct hs_kept hs_kept;

/* What is in the arena until its next reset or close stays until hs_kept_drop, and its reset hooks run only then. The
 * arena itself is empty after that reset, and its owner's as before. NULL without memory. */
hs_kept *hs_arena_keep(hs_arena *a);
void hs_kept_drop(hs_kept *k);

#endif
