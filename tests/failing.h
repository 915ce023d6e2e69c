/* A hostile allocator: it counts, poisons what it gives, and fails one request
 * of a number. A fault loop fails the first, then the second, ... until all is
 * well:
 *
 *   for (failing_state state = {0}; failing_next(&state);)
 *     state.done = failing_check(&state, thing(failing_allocator(&state)));
 */
#ifndef PFL_TESTS_FAILING_H
#define PFL_TESTS_FAILING_H

#include <stdbool.h>

#include "check.h"
#include "pallas_flash/context.h"
#include "pallas_flash/status.h"

typedef struct failing_state {
  long requests; /* so far in this round */
  long fail_at;  /* the request, from 1, that fails; 0: none */
  long live;     /* blocks not given back */
  bool done;
} failing_state;

static inline void *failing_allocate(void *user, size_t bytes) {
  failing_state *state = user;
  if (++state->requests == state->fail_at) return NULL;
  void *memory = malloc(bytes);
  if (!memory) return NULL;
  state->live++;
  return memset(memory, 0xa5, bytes);
}

static inline void failing_release(void *user, void *memory) {
  ((failing_state *)user)->live--;
  free(memory);
}

static inline pfl_allocator failing_allocator(failing_state *state) {
  return (pfl_allocator){failing_allocate, failing_release, state};
}

static inline bool failing_next(failing_state *state) {
  state->requests = 0;
  state->fail_at++;
  return !state->done;
}

/* Whether a round that ended in `status` was the last: nothing was refused and
 * nothing failed. Everything must have been released by now. */
static inline bool failing_check(const failing_state *state,
                                 pfl_status status) {
  bool refused = state->requests >= state->fail_at;
  CHECK(status == (refused ? PFL_STATUS_RESOURCE_EXHAUSTED : PFL_STATUS_OK),
        "request %ld of %ld: %s", state->fail_at, state->requests,
        pfl_status_name(status));
  CHECK(state->live == 0, "request %ld: %ld blocks leak", state->fail_at,
        state->live);
  return !refused;
}

#endif
