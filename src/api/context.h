/* What a context holds. */
#ifndef PFL_API_CONTEXT_H
#define PFL_API_CONTEXT_H

#include <pthread.h>

#include "base/memory.h"
#include "base/status.h"
#include "cpu/cpu.h"
#include "pallas_flash/context.h"

struct pfl_context {
  pfl_allocator allocator;
  cpu_engine engine;
  pfl_device device;
  struct api_chips *chips; /* NULL on the CPU */
  pthread_mutex_t mutex;   /* held through a call */
  void *workspace;         /* kept for the next call */
  size_t workspace_bytes;
};

/* Makes the workspace at least `bytes`; its content is lost if it grows. On
 * failure the old one stays. The mutex is held. */
PFL_NODISCARD pfl_status api_context_reserve(pfl_context *context, size_t bytes,
                                             pfl_error *error);

#endif
