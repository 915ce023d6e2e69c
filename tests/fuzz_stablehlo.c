/* Any bytes either are refused with a line and column or are a program that,
 * written again, reads and writes the same. */
#include <string.h>

#include "fuzz.h"
#include "xla/program.h"

bool fuzz_accepted;
static const pfl_allocator heap;

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  xla_document first, second;
  base_text one = {0}, other = {0};
  pfl_error error = {PFL_STATUS_OK, ""};
  fuzz_accepted =
      !xla_program_read((const char *)bytes, size, &heap, &first, &error);
  if (!fuzz_accepted) {
    unsigned long line, column;
    FUZZ_NEED(!first.program.arguments && !first.arena.chunks);
    FUZZ_NEED(error.status == PFL_STATUS_INVALID_ARGUMENT);
    FUZZ_NEED(sscanf(error.message, "StableHLO: line %lu, column %lu:", &line,
                     &column) == 2);
    FUZZ_NEED(line >= 1 && line <= size + 1 && column >= 1 &&
              column <= size + 1);
    return 0;
  }
  FUZZ_NEED(!xla_program_write(&first.program, &one, NULL));
  FUZZ_NEED(!xla_program_read(one.bytes, one.length, &heap, &second, NULL));
  FUZZ_NEED(!xla_program_write(&second.program, &other, NULL));
  FUZZ_NEED(!strcmp(one.bytes, other.bytes));
  base_text_release(&one);
  base_text_release(&other);
  xla_document_release(&first);
  xla_document_release(&second);
  return 0;
}
