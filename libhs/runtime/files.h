/* Files below one folder that are complete under their name or not there: written without a name, made durable, then
 * named. All work is done on the thread pool. Paths are relative, of our own making, at least one folder deep; nothing
 * on the way below the first folder may be a symbolic link. */
#ifndef HS_RUNTIME_FILES_H
#define HS_RUNTIME_FILES_H

#include "runtime/loop.h"

typedef struct hs_folder hs_folder;
typedef struct hs_new_file hs_new_file;

enum { HS_SHA256_BYTES = 32 };

/* Makes the folder when it is missing. Blocks: for the start. The error's message is the operator's line. `a` must live
 * as long as the folder. */
HS_NODISCARD hs_error *hs_folder_open(hs_loop *loop, hs_arena *a, const char *path, hs_folder **ret);
void hs_folder_close(hs_folder *f);
/* Removes what writers that were killed have left, where the file system wants names for unfinished files; what is
 * younger than a day may still be written. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_folder_sweep(hs_folder *f, hs_arena *a);

/* A file without a name; it goes with the arena unless it is kept. 507 when the disk is full. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_new_file_open(hs_folder *f, hs_arena *a, hs_new_file **ret);
/* `bytes` must stay as they are meanwhile. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_new_file_write(hs_new_file *n, hs_arena *a, hs_str bytes);
/* Makes the content durable and finishes its hash. After an error the file is lost: a second fsync would lie. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_new_file_sync(hs_new_file *n, hs_arena *a);
/* Gives a synced file its name, durably, and makes the folders on the way. Replaces what has that name. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_new_file_keep(hs_new_file *n, hs_arena *a, hs_str path);
int64_t hs_new_file_size(const hs_new_file *n);
/* After the sync. */
const uint8_t *hs_new_file_sha256(const hs_new_file *n);
/* For reading what was written; the file's own. */
int hs_new_file_fd(const hs_new_file *n);

/* An open descriptor for reading, the caller's; -1 when there is no such file. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_folder_read(hs_folder *f, hs_arena *a, hs_str path, int *ret_fd,
                                                  int64_t *ret_size);
/* A whole small file by its name, whoever wrote it. *ret p NULL: there is none, or it is larger than `max`. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_file_read(hs_loop *loop, hs_arena *a, hs_str path, size_t max, hs_str *ret);
/* What is not there is fine. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_folder_remove(hs_folder *f, hs_arena *a, hs_str path);

#endif
