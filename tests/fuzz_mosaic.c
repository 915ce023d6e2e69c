/* Any bytes either are refused with a line and column or are a module that the
 * rules can look at and that, printed, reads and prints the same. */
#include <string.h>

#include "fuzz.h"
#include "mosaic/ir.h"

bool fuzz_accepted;
static const pfl_allocator heap;

static void need_refusal(const mo_module *module, const pfl_error *error,
                         size_t size) {
  unsigned long line, column;
  FUZZ_NEED(!module && error->status == PFL_STATUS_INVALID_ARGUMENT);
  const char *place = strstr(error->message, "line ");
  if (!place && strstr(error->message, "version")) return; /* of the whole */
  FUZZ_NEED(place &&
            sscanf(place, "line %lu, column %lu:", &line, &column) == 2);
  FUZZ_NEED(line >= 1 && line <= size + 1 && column >= 1 && column <= size + 1);
}

/* A version that cannot carry an op is a reason not to print. */
static void need_round_trip(mo_module *module, const mo_print_options *options,
                            pfl_error *error) {
  mo_module *again;
  base_text one = {0}, other = {0};
  if (mo_print(module, options, &one, error)) {
    FUZZ_NEED(error->status == PFL_STATUS_FAILED_PRECONDITION);
  } else {
    FUZZ_NEED(!mo_parse(one.bytes, one.length, &heap, &again, error));
    FUZZ_NEED(!mo_print(again, options, &other, error));
    FUZZ_NEED(one.length == other.length && !strcmp(one.bytes, other.bytes));
    mo_module_destroy(again);
  }
  base_text_release(&one);
  base_text_release(&other);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  mo_module *module;
  pfl_error error = {PFL_STATUS_OK, ""};
  fuzz_accepted = !mo_parse((const char *)bytes, size, &heap, &module, &error);
  if (!fuzz_accepted) {
    need_refusal(module, &error, size);
    return 0;
  }
  if (mo_verify(module, &error))
    FUZZ_NEED(error.status == PFL_STATUS_INVALID_ARGUMENT && error.message[0]);
  need_round_trip(module, &(mo_print_options){.plain = module->plain}, &error);
  need_round_trip(
      module, &(mo_print_options){.plain = module->plain, .locations = true},
      &error);
  mo_module_destroy(module);
  return 0;
}
