/* Any bytes either are refused with a message or are tensors that can be
 * written and read again. */
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/safetensors.h"
#include "fuzz.h"

bool fuzz_accepted;
static const pfl_allocator heap;

static void need_same(const safetensors_tensor *a,
                      const safetensors_tensor *b) {
  FUZZ_NEED(!strcmp(a->name, b->name));
  FUZZ_NEED(!strcmp(a->dtype_name, b->dtype_name) && a->dtype == b->dtype);
  FUZZ_NEED(a->rank == b->rank && !memcmp(a->shape, b->shape, sizeof a->shape));
  FUZZ_NEED(a->bytes == b->bytes &&
            !memcmp(a->data, b->data, (size_t)a->bytes));
  FUZZ_NEED((uintptr_t)a->data % BASE_ALIGNMENT == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  static char path[64];
  if (!path[0])
    snprintf(path, sizeof path, "/tmp/pflash-fuzz-%ld", (long)getpid());
  safetensors_file first, second;
  pfl_error error = {PFL_STATUS_OK, ""};
  fuzz_accepted = !safetensors_parse(bytes, size, &heap, &first, &error);
  if (!fuzz_accepted) {
    FUZZ_NEED(!first.tensors && !first.count);
    FUZZ_NEED(error.status == PFL_STATUS_DATA_LOSS && error.message[0]);
    return 0;
  }
  FUZZ_NEED(!safetensors_write(path, first.tensors, first.count, NULL, &error));
  FUZZ_NEED(!safetensors_read(path, &heap, &second, &error));
  FUZZ_NEED(first.count == second.count);
  for (int64_t i = 0; i < first.count; i++)
    need_same(&first.tensors[i], &second.tensors[i]);
  safetensors_release(&first);
  safetensors_release(&second);
  unlink(path);
  return 0;
}
