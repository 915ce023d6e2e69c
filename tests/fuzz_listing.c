/* Any bytes either are refused with the path and what is wrong, or are a
 * program whose cycles all have a cause; it ends within its limit. */
#include <string.h>

#include "fuzz.h"
#include "schedule/schedule_run.h"

bool fuzz_accepted;
static const pfl_allocator heap;

static void run(const schedule_program *program) {
  schedule_request request = {.programs = &program,
                              .program_count = 1,
                              .chips = 4,
                              .cycle_limit = 20000,
                              .span_limit = 100,
                              .model = schedule_model_default()};
  schedule_result result;
  pfl_error error = {PFL_STATUS_OK, ""};
  if (schedule_run(&request, &heap, &result, &error)) {
    FUZZ_NEED(error.message[0] && !result.profiles);
    return;
  }
  for (int64_t i = 0; i < result.profile_count; i++) {
    int64_t sum = 0;
    for (int cause = 0; cause < SCHEDULE_CAUSES; cause++)
      sum += result.profiles[i].causes[cause];
    FUZZ_NEED(sum == result.profiles[i].cycles);
  }
  schedule_result_release(&result, &heap);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  schedule_texts texts = {
      .path = "fuzz", .listing = (const char *)bytes, .listing_length = size};
  schedule_program *program;
  pfl_error error = {PFL_STATUS_OK, ""};
  pfl_status status = schedule_program_parse(&texts, &heap, &program, &error);
  fuzz_accepted = !status;
  if (status) {
    FUZZ_NEED(!program && status == PFL_STATUS_INVALID_ARGUMENT);
    FUZZ_NEED(!strncmp(error.message, "fuzz", 4));
    return 0;
  }
  run(program);
  schedule_program_destroy(program);
  return 0;
}
