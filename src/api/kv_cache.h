/* What a cache holds. */
#ifndef PFL_API_KV_CACHE_H
#define PFL_API_KV_CACHE_H

#include "api/context.h"
#include "cache/host_pages.h"
#include "device/chip_cache.h"

struct pfl_cache {
  pfl_context *context; /* its mutex guards all below */
  cache_shape shape;
  cache_ledger ledger;
  host_pages pages;    /* on the CPU */
  device_cache *chips; /* else NULL */
  /* of a call's sequences, in its order */
  int32_t *lengths, *sources, *table;
};

/* ---- On chips (kv_cache_chips.c) ----------------------------------------- */

/* Makes cache->chips, and says in its limits how pages are spread. INVALID_
 * ARGUMENT, UNIMPLEMENTED: there is no kernel. What device_cache_create says.
 */
PFL_NODISCARD pfl_status kv_chips_create(pfl_cache *cache, pfl_error *error);

/* Writes the tokens of the step that was begun, at least one. */
PFL_NODISCARD pfl_status kv_chips_append(pfl_cache *cache, const void *k,
                                         const void *v, pfl_error *error);

/* Attention of the step's sequences, of which lengths and table are gathered.
 */
PFL_NODISCARD pfl_status kv_chips_decode(pfl_cache *cache,
                                         const pfl_cache_decode_args *args,
                                         pfl_error *error);

/* All pages, in pages of the host's that are made for them; and back. */
PFL_NODISCARD pfl_status kv_chips_fetch(const pfl_cache *cache,
                                        host_pages *out_pages,
                                        pfl_error *error);
PFL_NODISCARD pfl_status kv_chips_store(pfl_cache *cache,
                                        const host_pages *pages,
                                        pfl_error *error);

/* Lengths, plus `tokens`, and pages of the step's sequences. */
void kv_cache_gather(pfl_cache *cache, int64_t tokens);

#endif
