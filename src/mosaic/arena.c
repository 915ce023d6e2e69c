#include "mosaic/arena.h"

#include <stdint.h>
#include <string.h>

#include "base/memory.h"

enum { CHUNK_BYTES = 1 << 16, ALIGNMENT = 16 };

struct mo_chunk {
  mo_chunk *next;
  max_align_t bytes[];
};

void *mo_arena_take(mo_arena *arena, size_t bytes) {
  if (arena->failed || bytes > PTRDIFF_MAX / 2) {
    arena->failed = true;
    return NULL;
  }
  bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  if (bytes > arena->left) {
    size_t size = bytes > CHUNK_BYTES / 4 ? bytes : CHUNK_BYTES;
    mo_chunk *chunk = base_allocate(&arena->allocator, sizeof(mo_chunk) + size);
    if (!chunk) {
      arena->failed = true;
      return NULL;
    }
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    /* what is large has a chunk of its own, and the open one stays open */
    if (size == bytes && bytes) return memset(chunk->bytes, 0, bytes);
    arena->free = (char *)chunk->bytes;
    arena->left = size;
  }
  void *taken = arena->free;
  arena->free += bytes;
  arena->left -= bytes;
  return bytes ? memset(taken, 0, bytes) : taken;
}

void *mo_arena_array(mo_arena *arena, size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) bytes = SIZE_MAX;
  return mo_arena_take(arena, bytes);
}

char *mo_arena_copy(mo_arena *arena, const char *bytes, size_t length) {
  char *copy = mo_arena_take(arena, length + 1);
  if (copy && length) memcpy(copy, bytes, length);
  return copy;
}

void mo_arena_release(mo_arena *arena) {
  while (arena->chunks) {
    mo_chunk *chunk = arena->chunks;
    arena->chunks = chunk->next;
    base_release(&arena->allocator, chunk);
  }
  *arena = (mo_arena){.allocator = arena->allocator};
}
