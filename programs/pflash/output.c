#include "output.h"

#include "base/file.h"

pfl_status output_check(const char *path, pfl_error *error) {
  base_output output;
  PFL_TRY(base_output_begin(path, &output, error));
  (void)!base_output_end(&output, PFL_STATUS_CANCELLED, NULL);
  return PFL_STATUS_OK;
}

pfl_status output_write(const char *path, const void *bytes, size_t size,
                        pfl_error *error) {
  base_output output;
  PFL_TRY(base_output_begin(path, &output, error));
  pfl_status status = base_output_write(&output, bytes, (int64_t)size, error);
  return base_output_end(&output, status, error);
}

pfl_status name_option(const char *option, pfl_status status,
                       pfl_error *error) {
  if (!status) return status;
  pfl_error inner = *error;
  return base_error_set(error, status, "%s: %.480s", option, inner.message);
}
