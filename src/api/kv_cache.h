/* What a cache holds. */
#ifndef PFL_API_KV_CACHE_H
#define PFL_API_KV_CACHE_H

#include "api/context.h"
#include "cache/host_pages.h"

struct pfl_cache {
  pfl_context *context; /* its mutex guards all below */
  cache_shape shape;
  cache_ledger ledger;
  host_pages pages;
  int32_t *lengths, *table; /* of a call's sequences, in its order */
};

#endif
