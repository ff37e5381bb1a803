/* hs/version.h: what was built. */
#ifndef HS_VERSION_H
#define HS_VERSION_H

#define HS_VERSION_MAJOR 0
#define HS_VERSION_MINOR 1
#define HS_VERSION_PATCH 0
#define HS_VERSION       "0.1.0"

#endif
