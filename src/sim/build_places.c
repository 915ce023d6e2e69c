/* Sharing out the arena of vectors: two that are never alive at once may have
 * one place. */
#include "base/memory.h"
#include "sim/build.h"

/* What is alive, in the order of places. */
typedef struct alive {
  int64_t place, end;
  int32_t storage;
} alive;

/* A vector used in a loop that it was made outside of lives to its end. */
static void extend(sim_build *b) {
  for (int i = 0; i < b->storage_count; i++) {
    sim_storage *s = &b->storages[i];
    if (s->loop >= 0 && b->loop_ends[s->loop] > s->last)
      s->last = b->loop_ends[s->loop];
  }
}

/* The place of an operand that ends where this begins. */
static bool take_over(sim_build *b, sim_storage *s, alive *list, int count,
                      int32_t number) {
  if (s->over < 0) return false;
  sim_storage *before = &b->storages[s->over];
  if (before->last != s->made || before->taken_over ||
      before->bytes != s->bytes)
    return false;
  for (int i = 0; i < count; i++)
    if (list[i].storage == s->over) {
      list[i].storage = number;
      before->taken_over = true;
      s->place = before->place;
      return true;
    }
  return false;
}

static int drop_dead(sim_build *b, alive *list, int count, int32_t now) {
  int kept = 0;
  for (int i = 0; i < count; i++)
    if (b->storages[list[i].storage].last >= now) list[kept++] = list[i];
  return kept;
}

/* The first gap that is large enough. */
static int64_t find(const alive *list, int count, int64_t bytes, int *out_at) {
  int64_t place = 0;
  int at = 0;
  while (at < count && list[at].place - place < bytes) {
    place = list[at].end;
    at++;
  }
  *out_at = at;
  return place;
}

void sim_place_vectors(sim_build *b) {
  sim_program *p = b->program;
  alive *list =
      mo_arena_array(&p->arena, (size_t)b->storage_count, sizeof *list);
  int64_t *places =
      mo_arena_array(&p->arena, (size_t)b->storage_count, sizeof *places);
  if (p->arena.failed) return;
  extend(b);
  int count = 0;
  for (int i = 0; i < b->storage_count; i++) {
    sim_storage *s = &b->storages[i];
    count = drop_dead(b, list, count, s->made);
    if (!take_over(b, s, list, count, i)) {
      int at;
      int64_t bytes = base_round_up(base_max(s->bytes, 1), BASE_ALIGNMENT);
      s->place = find(list, count, bytes, &at);
      for (int j = count++; j > at; j--) list[j] = list[j - 1];
      list[at] = (alive){s->place, s->place + bytes, i};
      p->arena_bytes = base_max(p->arena_bytes, s->place + bytes);
    }
    places[i] = s->place;
  }
  p->vectors = places;
  p->vector_count = b->storage_count;
}
