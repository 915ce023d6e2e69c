/* Raising and forwarding errors. */
#ifndef PFL_BASE_STATUS_H
#define PFL_BASE_STATUS_H

#include "pallas_flash/status.h"

/* Fills *error (which may be NULL) and returns `status`. */
__attribute__((format(printf, 3, 4))) pfl_status
base_error_set(pfl_error *error, pfl_status status, const char *format, ...);

/* Raises: PFL_RAISE(error, INVALID_ARGUMENT, "threads is %d, ...", n). */
#define PFL_RAISE(error, name, ...)                                            \
  return base_error_set((error), PFL_STATUS_##name, __VA_ARGS__)

/* Forwards. */
#define PFL_TRY(call)                                                          \
  do {                                                                         \
    pfl_status pfl_try_status_ = (call);                                       \
    if (pfl_try_status_ != PFL_STATUS_OK) return pfl_try_status_;              \
  } while (0)

#endif
