/* Memory for tensors that tells on whoever leaves it. A block ends where a page
 * begins that nothing may touch, so that one element read or written past the
 * end is a crash in every build; the bytes before it are set, and looked at
 * afterwards. What a block holds at first is 0xff too, NaN in every float type,
 * so that whatever is not written, or is read first, shows. Blocks begin at odd
 * multiples of their element's size, as callers' may.
 *
 *   float *o = guarded_allocate(count, sizeof *o);
 *   ...
 *   guarded_release();      all of them, checked */
#ifndef PFL_TESTS_GUARDED_H
#define PFL_TESTS_GUARDED_H

#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

typedef struct guarded_block {
  struct guarded_block *next;
  unsigned char *map, *data;
  size_t map_bytes;
} guarded_block;

static guarded_block *guarded_blocks;

static inline void *guarded_allocate(int64_t count, size_t size) {
  static int zeros = -1;
  if (zeros < 0) CHECK_NEED((zeros = open("/dev/zero", O_RDWR)) >= 0);
  size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = (size_t)count * size;
  size_t room = (bytes + 64 + page - 1) / page * page;
  unsigned char *map =
      mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE, zeros, 0);
  CHECK_NEED(map != MAP_FAILED);
  CHECK_NEED(!mprotect(map + room, page, PROT_NONE));
  memset(map, 0xff, room);
  guarded_block *block = malloc(sizeof *block);
  CHECK_NEED(block);
  *block =
      (guarded_block){guarded_blocks, map, map + room - bytes, room + page};
  guarded_blocks = block;
  return block->data;
}

static inline bool guarded_is_untouched(const void *memory, size_t bytes) {
  const unsigned char *byte = memory;
  for (size_t i = 0; i < bytes; i++)
    if (byte[i] != 0xff) return false;
  return true;
}

static inline void guarded_check(void) {
  for (guarded_block *block = guarded_blocks; block; block = block->next)
    CHECK(guarded_is_untouched(block->map, (size_t)(block->data - block->map)),
          "bytes before a block were written");
}

static inline void guarded_release(void) {
  guarded_check();
  while (guarded_blocks) {
    guarded_block *block = guarded_blocks;
    guarded_blocks = block->next;
    munmap(block->map, block->map_bytes);
    free(block);
  }
}

#endif
