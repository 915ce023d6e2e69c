/* A directory that comes into being whole or not at all: a temporary one beside
 * its path, which takes the place when all is in it.
 *
 *   base_folder folder;
 *   PFL_TRY(base_folder_begin(path, "pflash.json", &folder, error));
 *   pfl_status status = fill(base_text_get(&folder.temporary), error);
 *   return base_folder_end(&folder, status, error);
 *
 * What is at the path already must be an empty directory, or one that holds a
 * file called `marker`, as what was made here before does: that is replaced,
 * with whatever else is in it.
 *
 * A temporary one is locked for as long as its process lives. Those of
 * processes that were killed lie there unlocked: the next one removes them. */
#ifndef PFL_BASE_FOLDER_H
#define PFL_BASE_FOLDER_H

#include "base/text.h"

typedef struct base_folder {
  const char *path;    /* the caller's */
  const char *marker;  /* the caller's */
  base_text target;    /* path, with its links resolved */
  base_text temporary; /* where its files are to be put */
  int lock;            /* the temporary one, open and locked */
} base_folder;

/* INVALID_ARGUMENT: what is there is not to be replaced. NOT_FOUND (no such
 * directory around it), PERMISSION_DENIED, RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status base_folder_begin(const char *path, const char *marker,
                                           base_folder *out_folder,
                                           pfl_error *error);

/* Puts the directory in its place if `status`, that of the filling, is OK, and
 * removes it with all that is in it otherwise. Returns `status`, or what went
 * wrong here. */
PFL_NODISCARD pfl_status base_folder_end(base_folder *folder, pfl_status status,
                                         pfl_error *error);

#endif
