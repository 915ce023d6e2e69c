#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>

const char *pfl_status_name(pfl_status status) {
  switch (status) {
#define NAME_CASE(name, number)                                                \
  case PFL_STATUS_##name:                                                      \
    return #name;
    PFL_STATUS_LIST(NAME_CASE)
#undef NAME_CASE
  }
  return "UNKNOWN";
}

pfl_status base_error_set(pfl_error *error, pfl_status status,
                          const char *format, ...) {
  if (!error) return status;
  va_list arguments;
  va_start(arguments, format);
  error->status = status;
  if (vsnprintf(error->message, sizeof error->message, format, arguments) < 0)
    error->message[0] = 0;
  va_end(arguments);
  return status;
}
