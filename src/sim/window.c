#include "sim/window.h"

#include <string.h>

#include "sim/contents.h"
#include "sim/race.h"

enum { MAP_STEPS_MAX = 1 << 20 };

/* ---- Steps --------------------------------------------------------------- */

/* Puts the indices of a step into the registers. Along parallel axes a hostile
 * chip may go backwards. */
static void set_step(sim_chip *chip, int64_t step) {
  const sim_program *p = chip->program;
  for (int i = p->grid_rank - 1; i >= 0; i--) {
    int64_t index = step % p->grid[i];
    step /= p->grid[i];
    sim_scalar *s = &chip->scalars[p->grid_registers[i]];
    s->i = chip->backwards[i] ? p->grid[i] - 1 - index : index;
    s->taint = 0;
  }
}

/* The block of the step whose indices are set. False after a hazard. */
static bool map_window(sim_chip *chip, const sim_window *w,
                       int64_t out_block[SIM_RANK_MAX]) {
  const sim_inst *inst = chip->program->code + w->map;
  for (int left = MAP_STEPS_MAX; inst && left; left--)
    inst = inst->run(chip, inst);
  if (inst)
    sim_hazard_stop(chip, SIM_HAZARD_ENDLESS, inst,
                    "%d instructions of a window's map", MAP_STEPS_MAX);
  if (chip->state == SIM_FAILED) return false;
  for (int i = 0; i < w->rank; i++)
    out_block[i] =
        chip->scalars[w->blocks[i]].i * (w->element ? 1 : w->block[i]);
  return true;
}

static bool map_all(sim_chip *chip, int64_t step) {
  set_step(chip, step);
  for (int i = 0; i < chip->program->window_count; i++)
    if (!map_window(chip, &chip->program->windows[i], chip->windows[i].next))
      return false;
  return true;
}

/* ---- Blocks -------------------------------------------------------------- */

static bool same_block(const sim_window *w, const int64_t *a,
                       const int64_t *b) {
  for (int i = 0; i < w->rank; i++)
    if (a[i] != b[i]) return false;
  return true;
}

/* A block of the tensor, and its place in a buffer: less than a whole one at
 * the edge. False after a hazard. */
static bool cut(sim_chip *chip, const sim_inst *inst, const sim_window *w,
                int buffer, const int64_t *block, sim_view *hbm,
                sim_view *own) {
  sim_memory *from = &chip->memories[w->memory];
  sim_memory *to = &chip->memories[w->buffers[buffer]];
  int64_t sizes[SIM_RANK_MAX], zero[SIM_RANK_MAX] = {0};
  for (int i = 0; i < w->rank; i++) {
    int64_t left = from->plan->shape[i] - block[i];
    sizes[i] = left < w->block[i] ? left : w->block[i];
    if (block[i] >= 0 && left > 0) continue;
    sim_hazard_stop(chip, SIM_HAZARD_BOUNDS, inst,
                    "%s begins at %lld of %lld in dimension %d", to->plan->name,
                    (long long)block[i], (long long)from->plan->shape[i], i);
    return false;
  }
  sim_view whole = sim_memory_view(from), room = sim_memory_view(to);
  sim_view_part(&whole, block, sizes, NULL, hbm);
  sim_view_part(&room, zero, sizes, NULL, own);
  return true;
}

static bool fetch(sim_chip *chip, const sim_inst *inst, const sim_window *w,
                  int buffer, const int64_t *block) {
  sim_view hbm, own;
  if (!cut(chip, inst, w, buffer, block, &hbm, &own)) return false;
  sim_access(chip, inst, &own, true);
  sim_access(chip, inst, &hbm, false);
  sim_memory_forget(chip, own.memory);
  sim_view_transfer(&own, &hbm);
  chip->statistics.window_bytes += sim_view_count(&own) * sim_view_unit(&own);
  return true;
}

static bool write_back(sim_chip *chip, const sim_inst *inst,
                       const sim_window *w, int buffer, const int64_t *block) {
  sim_view hbm, own;
  if (!cut(chip, inst, w, buffer, block, &hbm, &own)) return false;
  sim_access(chip, inst, &own, false);
  sim_access(chip, inst, &hbm, true);
  sim_view_transfer(&hbm, &own);
  chip->statistics.window_bytes += sim_view_count(&own) * sim_view_unit(&own);
  return true;
}

static bool flush(sim_chip *chip, const sim_inst *inst, const sim_window *w,
                  sim_window_state *state) {
  if (!state->is_late) return true;
  state->is_late = false;
  return write_back(chip, inst, w, 1 - state->buffer, state->late);
}

/* ---- One tensor, two windows ------------------------------------------------
 * Where a result takes an operand's place, a block must not be fetched for step
 * i + 1 that step i, or i - 1, leaves: it is not yet written back. */

static bool blocks_meet(const sim_window *a, const int64_t *x,
                        const sim_window *b, const int64_t *y) {
  for (int i = 0; i < a->rank; i++)
    if (x[i] >= y[i] + b->block[i] || y[i] >= x[i] + a->block[i]) return false;
  return true;
}

static void check_ahead(sim_chip *chip, const sim_inst *inst,
                        const sim_window *w, const sim_window_state *state) {
  const sim_program *p = chip->program;
  for (int i = 0; i < p->window_count; i++) {
    const sim_window *r = &p->windows[i];
    const sim_window_state *left = &chip->windows[i];
    if (!r->result || r->memory != w->memory) continue;
    bool leaves = !same_block(r, left->block, left->next) &&
                  blocks_meet(w, state->next, r, left->block);
    bool late =
        left->left_before && blocks_meet(w, state->next, r, left->before);
    if (leaves || late)
      sim_hazard_add(chip, SIM_HAZARD_RACE, inst->site,
                     "%s may be fetched for step %lld before %s has been "
                     "written back after step %lld",
                     chip->memories[w->buffers[0]].plan->name,
                     (long long)chip->step + 1,
                     chip->memories[r->buffers[0]].plan->name,
                     (long long)chip->step - late);
  }
}

static int64_t block_bytes(const sim_chip *chip, const sim_window *w) {
  return chip->memories[w->buffers[0]].plan->bytes;
}

/* ---- Moving -------------------------------------------------------------- */

static bool chance(sim_chip *chip) {
  return chip->options->hostile && sim_random(chip) % 2;
}

/* Takes a window to its next block. */
static bool move_window(sim_chip *chip, const sim_inst *inst,
                        const sim_window *w, sim_window_state *state) {
  if (!flush(chip, inst, w, state)) return false;
  state->left_before = false;
  if (state->filled && same_block(w, state->next, state->block)) return true;
  int old = state->buffer, fresh = state->filled && !w->once ? 1 - old : old;
  if (state->filled && w->result) {
    state->left_before = true;
    sim_time_transfer(chip, inst->site, block_bytes(chip, w));
    memcpy(state->before, state->block, sizeof state->before);
    memcpy(state->late, state->block, sizeof state->late);
    state->is_late = !w->once && chance(chip);
    if (!state->is_late && !write_back(chip, inst, w, old, state->block))
      return false;
  }
  if (!w->result && !state->ahead && !fetch(chip, inst, w, fresh, state->next))
    return false;
  if (!w->result) {
    if (!state->is_coming)
      state->ready_us =
          sim_time_transfer(chip, inst->site, block_bytes(chip, w));
    sim_time_wait(chip, inst->site, state->ready_us);
    state->is_coming = false;
  }
  sim_memory *buffer = &chip->memories[w->buffers[fresh]];
  if (w->result) sim_memory_forget(chip, buffer);
  chip->views[w->view] = sim_memory_view(buffer);
  memcpy(state->block, state->next, sizeof state->block);
  state->buffer = fresh;
  state->filled = true;
  state->ahead = false;
  return true;
}

/* What the step to come reads may be fetched already. */
static bool look_ahead(sim_chip *chip, const sim_inst *inst) {
  const sim_program *p = chip->program;
  if (chip->step + 1 >= chip->steps) return true;
  if (!map_all(chip, chip->step + 1)) return false;
  for (int i = 0; i < p->window_count; i++) {
    const sim_window *w = &p->windows[i];
    sim_window_state *state = &chip->windows[i];
    if (w->result || w->once || same_block(w, state->block, state->next))
      continue;
    check_ahead(chip, inst, w, state);
    state->is_coming = true;
    state->ready_us = sim_time_transfer(chip, inst->site, block_bytes(chip, w));
    if (!chance(chip)) continue;
    if (!fetch(chip, inst, w, 1 - state->buffer, state->next)) return false;
    state->ahead = true;
  }
  return true;
}

bool sim_windows_move(sim_chip *chip, const sim_inst *inst) {
  const sim_program *p = chip->program;
  if (chip->step == 0 && !map_all(chip, 0)) return false;
  for (int i = 0; i < p->window_count; i++)
    if (!move_window(chip, inst, &p->windows[i], &chip->windows[i]))
      return false;
  if (!look_ahead(chip, inst)) return false;
  set_step(chip, chip->step);
  return true;
}

bool sim_windows_finish(sim_chip *chip, const sim_inst *inst) {
  const sim_program *p = chip->program;
  for (int i = 0; i < p->window_count; i++) {
    const sim_window *w = &p->windows[i];
    sim_window_state *state = &chip->windows[i];
    if (!flush(chip, inst, w, state)) return false;
    if (w->result && !write_back(chip, inst, w, state->buffer, state->block))
      return false;
  }
  return true;
}
