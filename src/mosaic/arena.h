/* Memory that is taken in small pieces and given back all at once. */
#ifndef PFL_MOSAIC_ARENA_H
#define PFL_MOSAIC_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "pallas_flash/context.h"

typedef struct mo_chunk mo_chunk;

/* Set `allocator`, the rest zero. A refused allocation is remembered in
 * `failed`, so that it may be looked at once, at the end. */
typedef struct mo_arena {
  pfl_allocator allocator;
  mo_chunk *chunks;
  char *free;
  size_t left;
  bool failed;
} mo_arena;

/* `bytes` zeroed bytes, aligned for any type; NULL if there are none. */
void *mo_arena_take(mo_arena *arena, size_t bytes);

/* The same for count * size bytes. */
void *mo_arena_array(mo_arena *arena, size_t count, size_t size);

/* A copy of `length` bytes and a NUL. */
char *mo_arena_copy(mo_arena *arena, const char *bytes, size_t length);

void mo_arena_release(mo_arena *arena);

#endif
