#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *pfl_status_name(pfl_status status) {
  switch (status) {
#define NAME_CASE(name, number) \
  case PFL_STATUS_##name: return #name;
    PFL_STATUS_LIST(NAME_CASE)
#undef NAME_CASE
  }
  return "UNKNOWN";
}

/* Takes off what may be the first bytes of a character, after a cut. */
static void trim_character(char *text) {
  size_t end = strlen(text);
  while (end && (text[end - 1] & 0xc0) == 0x80) end--;
  if (end && (text[end - 1] & 0xc0) == 0xc0) end--;
  text[end] = 0;
}

pfl_status base_error_set(pfl_error *error, pfl_status status,
                          const char *format, ...) {
  if (!error) return status;
  va_list arguments;
  va_start(arguments, format);
  int length =
      vsnprintf(error->message, sizeof error->message, format, arguments);
  va_end(arguments);
  error->status = status;
  if (length < 0) error->message[0] = 0;
  if (length >= (int)sizeof error->message) trim_character(error->message);
  return status;
}
