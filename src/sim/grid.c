/* The grid: the instructions around a kernel's body. */
#include <string.h>

#include "sim/build.h"
#include "sim/window.h"

/* ---- Instructions -------------------------------------------------------- */

static const sim_inst *begin_step(sim_chip *chip, const sim_inst *inst,
                                  const sim_inst *body) {
  if (!sim_windows_move(chip, inst)) return NULL;
  chip->statistics.steps++;
  return body;
}

static const sim_inst *run_grid_begin(sim_chip *chip, const sim_inst *inst) {
  chip->step = 0;
  return chip->steps ? begin_step(chip, inst, inst + 1) : inst + inst->to;
}

static const sim_inst *run_grid_next(sim_chip *chip, const sim_inst *inst) {
  sim_time_step(chip, inst->site);
  if (++chip->step < chip->steps)
    return begin_step(chip, inst, inst + inst->to);
  return sim_windows_finish(chip, inst) ? inst + 1 : NULL;
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

/* ---- Binding ------------------------------------------------------------- */

/* A map counts, and reads scalars; it waits for nothing and changes nothing. */
static pfl_status check_map(sim_build *b, const mo_region *region) {
  for (const mo_op *op = region->first; op; op = op->next) {
    bool counts = !strncmp(op->info->name, "arith.", 6) ||
                  !strncmp(op->info->name, "scf.", 4);
    switch (op->info->id) {
      case MO_MEMREF_LOAD:
      case MO_FUNC_RETURN:
      case MO_TPU_ASSUME_MULTIPLE:
      case MO_TPU_ITERATION_BOUND:
      case MO_TPU_DEVICE_ID: break;
      default:
        if (!counts) return sim_unknown(b, op, "it in the map of a window");
    }
    for (int i = 0; i < op->region_count; i++)
      PFL_TRY(check_map(b, op->regions[i]));
  }
  return PFL_STATUS_OK;
}

/* A map works on the kernel's own grid indices and prefetched references. */
static pfl_status bind_map(sim_build *b, sim_window *w, const mo_attr *attr) {
  const mo_attr *symbol = mo_attr_get(attr, "transform_indices");
  const mo_op *map = mo_module_find(b->module, symbol->text);
  const mo_region *body = map->regions[0];
  PFL_TRY(check_map(b, body));
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
  int32_t begin = sim_emit_bare(b, b->kernel, run_grid_begin);
  p->body = b->count;
  PFL_TRY(sim_bind_region(b, body));
  int32_t next = sim_emit_bare(b, b->kernel, run_grid_next);
  sim_jump(b, next, p->body);
  sim_jump(b, begin, b->count);
  sim_emit_bare(b, NULL, run_end);
  for (int i = 0; i < p->window_count; i++)
    PFL_TRY(bind_map(b, &p->windows[i], b->window_attrs[i]));
  return PFL_STATUS_OK;
}
