/* What a compiler makes of a module: an executable, and what it says of it.
 *
 * Packed, it is one run of bytes that the compiler's process sends and the
 * cache keeps, with a digest, so that one look tells whether it is whole:
 *
 *   "PFLASH1\n" | u64 payload size | SHA-256 of the payload | payload
 *   payload: u32 status | text message, if the status is not OK; otherwise
 *            text version | 12 x i64 memory | u32 costs |
 *            costs x (text name | f64) | text executable
 *   text: u64 size | bytes          all little endian */
#ifndef PFL_PJRT_ARTIFACT_H
#define PFL_PJRT_ARTIFACT_H

#include <stdint.h>

#include "base/text.h"

/* Bytes, on each device; what the plugin did not say is 0. */
#define PJRT_MEMORY_LIST(X) \
  X(generated_code)         \
  X(argument)               \
  X(output)                 \
  X(alias)                  \
  X(temp)                   \
  X(host_generated_code)    \
  X(host_argument)          \
  X(host_output)            \
  X(host_alias)             \
  X(host_temp)

typedef struct pjrt_compiled_memory {
#define PJRT_MEMORY_FIELD(name) int64_t name##_bytes;
  PJRT_MEMORY_LIST(PJRT_MEMORY_FIELD)
#undef PJRT_MEMORY_FIELD
  int64_t peak_bytes;
  int64_t total_bytes;
} pjrt_compiled_memory;

typedef struct pjrt_cost {
  const char *name; /* "flops", "bytes accessed", ...; the compiler's words */
  double value;
} pjrt_cost;

typedef struct pjrt_artifact {
  pfl_allocator allocator;
  pjrt_compiled_memory memory;
  pjrt_cost *costs;
  int64_t cost_count;
  const char *version; /* of the compiler */
  const void *executable;
  size_t executable_size;
  char *storage; /* what all of these point into */
} pjrt_artifact;

void pjrt_artifact_release(pjrt_artifact *artifact);

/* Packs an artifact, or (with `failure` set) how it failed. */
PFL_NODISCARD pfl_status pjrt_artifact_pack(const pjrt_artifact *artifact,
                                            const pfl_error *failure,
                                            base_text *out, pfl_error *error);

/* Takes bytes apart, which are copied. DATA_LOSS if they are not whole or not
 * of this form, with no trust in them; the packed failure if they are one;
 * RESOURCE_EXHAUSTED. On failure *out_artifact is empty. */
PFL_NODISCARD pfl_status pjrt_artifact_unpack(const void *bytes, size_t size,
                                              const pfl_allocator *allocator,
                                              pjrt_artifact *out_artifact,
                                              pfl_error *error);

/* Whether the bytes are a whole packed artifact, success or failure. */
bool pjrt_artifact_is_whole(const void *bytes, size_t size);

/* The cost called `name`; -1 if the compiler gave none. */
double pjrt_artifact_cost(const pjrt_artifact *artifact, const char *name);

#endif
