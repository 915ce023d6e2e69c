/* A cache as a safetensors file: docs/cache.md has the tensors. */
#ifndef PFL_CACHE_SNAPSHOT_H
#define PFL_CACHE_SNAPSHOT_H

#include "base/safetensors.h"
#include "cache/host_pages.h"

/* Writes the sequences and their pages. What safetensors_write says. */
PFL_NODISCARD pfl_status cache_snapshot_write(const char *path,
                                              const cache_ledger *ledger,
                                              const host_pages *pages,
                                              pfl_error *error);

/* Fills an empty ledger and its pages from a file's tensors; `name` is for
 * messages. DATA_LOSS, FAILED_PRECONDITION, RESOURCE_EXHAUSTED: both are then
 * good for release only. */
PFL_NODISCARD pfl_status cache_snapshot_apply(const char *name,
                                              const safetensors_file *file,
                                              cache_ledger *ledger,
                                              host_pages *pages,
                                              pfl_error *error);

#endif
