/* The grid: which step comes when, and the windows that go with it. */
#include "sim/build.h"
#include "sim/contents.h"
#include "sim/dma.h"
#include "sim/taint.h"

/* ---- Steps
 * -------------------------------------------------------------------- */

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

/* ---- Windows
 * ------------------------------------------------------------------- */

/* The block of the step whose indices are set. False after a hazard. */
static bool map_window(sim_chip *chip, const sim_window *w,
                       int64_t out_block[SIM_RANK_MAX]) {
  const sim_inst *inst = chip->program->code + w->map;
  while (inst) inst = inst->run(chip, inst);
  if (chip->state == SIM_FAILED) return false;
  for (int i = 0; i < w->rank; i++)
    out_block[i] =
        chip->scalars[w->blocks[i]].i * (w->element ? 1 : w->block[i]);
  return true;
}

/* The block of the tensor and its place in the buffer: less than a whole one at
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
  sim_memory_forget(chip, own.memory);
  sim_view_transfer(&own, &hbm);
  chip->statistics.window_bytes += sim_view_count(&own) * sim_view_unit(&own);
  return true;
}

static bool write_back(sim_chip *chip, const sim_inst *inst,
                       const sim_window *w, int buffer, const int64_t *block) {
  sim_view hbm, own;
  if (!cut(chip, inst, w, buffer, block, &hbm, &own)) return false;
  sim_view_transfer(&hbm, &own);
  chip->statistics.window_bytes += sim_view_count(&own) * sim_view_unit(&own);
  return true;
}

static bool same_block(const sim_window *w, const int64_t *a,
                       const int64_t *b) {
  for (int i = 0; i < w->rank; i++)
    if (a[i] != b[i]) return false;
  return true;
}

/* Takes window i to its block of this step. */
static bool move_window(sim_chip *chip, const sim_inst *inst, int i) {
  const sim_window *w = &chip->program->windows[i];
  sim_window_state *state = &chip->windows[i];
  int64_t block[SIM_RANK_MAX];
  if (!map_window(chip, w, block)) return false;
  if (state->filled && same_block(w, block, state->block)) return true;
  if (state->filled && w->result &&
      !write_back(chip, inst, w, state->buffer, state->block))
    return false;
  state->buffer = state->filled && !w->once ? 1 - state->buffer : state->buffer;
  if (!w->result && !fetch(chip, inst, w, state->buffer, block)) return false;
  sim_memory *buffer = &chip->memories[w->buffers[state->buffer]];
  if (w->result) sim_memory_forget(chip, buffer);
  chip->views[w->view] = sim_memory_view(buffer);
  state->filled = true;
  for (int d = 0; d < w->rank; d++) state->block[d] = block[d];
  return true;
}

/* ---- Instructions
 * --------------------------------------------------------------- */

/* Begins a step, or goes where a grid without steps left goes. */
static const sim_inst *begin_step(sim_chip *chip, const sim_inst *inst,
                                  const sim_inst *body) {
  set_step(chip, chip->step);
  for (int i = 0; i < chip->program->window_count; i++)
    if (!move_window(chip, inst, i)) return NULL;
  chip->statistics.steps++;
  return body;
}

static const sim_inst *run_grid_begin(sim_chip *chip, const sim_inst *inst) {
  chip->step = 0;
  return chip->steps ? begin_step(chip, inst, inst + 1) : inst + inst->to;
}

static const sim_inst *run_grid_next(sim_chip *chip, const sim_inst *inst) {
  if (++chip->step < chip->steps)
    return begin_step(chip, inst, inst + inst->to);
  for (int i = 0; i < chip->program->window_count; i++) {
    const sim_window *w = &chip->program->windows[i];
    if (w->result && !write_back(chip, inst, w, chip->windows[i].buffer,
                                 chip->windows[i].block))
      return NULL;
  }
  return inst + 1;
}

static const sim_inst *run_end(sim_chip *chip, const sim_inst *inst) {
  chip->state = SIM_ENDED;
  chip->pc = inst;
  return NULL;
}

static const sim_inst *run_map_end(sim_chip *chip, const sim_inst *inst) {
  (void)chip;
  (void)inst;
  return NULL;
}

/* ---- Binding
 * --------------------------------------------------------------------- */

/* A map works on the kernel's own grid indices and prefetched references. */
static pfl_status bind_map(sim_build *b, sim_window *w, const mo_attr *attr) {
  const mo_attr *symbol = mo_attr_get(attr, "transform_indices");
  const mo_op *map = mo_module_find(b->module, symbol->text);
  const mo_region *body = map->regions[0];
  for (int i = 0; i < body->argument_count; i++)
    sim_define_as(b, body->arguments[i],
                  b->slots[b->kernel->regions[0]->arguments[i]->id]);
  w->map = b->count;
  PFL_TRY(sim_bind_region(b, body));
  for (int i = 0; i < w->rank; i++)
    w->blocks[i] = b->slots[body->last->operands[i]->id].index;
  sim_emit_bare(b, NULL, run_map_end);
  return PFL_STATUS_OK;
}

pfl_status sim_bind_grid(sim_build *b) {
  sim_program *p = b->program;
  const mo_region *body = b->kernel->regions[0];
  int32_t begin = sim_emit_bare(b, NULL, run_grid_begin);
  p->body = b->count;
  PFL_TRY(sim_bind_region(b, body));
  int32_t next = sim_emit_bare(b, NULL, run_grid_next);
  sim_jump(b, next, p->body);
  sim_jump(b, begin, b->count);
  sim_emit_bare(b, NULL, run_end);
  for (int i = 0; i < p->window_count; i++)
    PFL_TRY(bind_map(b, &p->windows[i], b->window_attrs[i]));
  return PFL_STATUS_OK;
}
