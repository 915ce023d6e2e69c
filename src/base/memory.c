#include "base/memory.h"

#include <stdlib.h>

/* The caller's block, with room to align in it and to remember where it began:
 *
 *   raw ... | void *raw | aligned block ...
 */
void *base_allocate(const pfl_allocator *allocator, size_t bytes) {
  size_t extra = BASE_ALIGNMENT + sizeof(void *);
  if (bytes > PTRDIFF_MAX - extra) return NULL;
  void *raw = allocator->allocate
                  ? allocator->allocate(allocator->user, bytes + extra)
                  : malloc(bytes + extra);
  if (!raw) return NULL;
  uintptr_t start = (uintptr_t)raw + sizeof(void *);
  uintptr_t aligned =
      (start + BASE_ALIGNMENT - 1) & ~(uintptr_t)(BASE_ALIGNMENT - 1);
  ((void **)aligned)[-1] = raw;
  return (void *)aligned;
}

void base_release(const pfl_allocator *allocator, void *memory) {
  if (!memory) return;
  void *raw = ((void **)memory)[-1];
  if (allocator->release)
    allocator->release(allocator->user, raw);
  else
    free(raw);
}

bool base_multiply(int64_t a, int64_t b, int64_t *out_product) {
  return a >= 0 && b >= 0 && !__builtin_mul_overflow(a, b, out_product);
}

bool base_product(const int64_t *sizes, int count, int64_t *out_product) {
  *out_product = 1;
  for (int i = 0; i < count; i++)
    if (sizes[i] < 0) return false;
  /* a zero anywhere makes the product zero, whatever the others are */
  for (int i = 0; i < count; i++)
    if (sizes[i] == 0) {
      *out_product = 0;
      return true;
    }
  for (int i = 0; i < count; i++)
    if (!base_multiply(*out_product, sizes[i], out_product)) return false;
  return true;
}
