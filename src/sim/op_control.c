/* Loops, branches, scopes, and what asks the chip about itself. */
#include <string.h>

#include "base/memory.h"
#include "sim/build.h"
#include "sim/chip.h"
#include "sim/dma.h"
#include "sim/taint.h"

/* ---- Moves --------------------------------------------------------------- */

/* What a region yields becomes results, or what the next turn begins with. */

enum { MOVES_MAX = 64 };

typedef struct moves {
  int32_t count;
  sim_slot to[MOVES_MAX], from[MOVES_MAX];
} moves;

/* Registers and views, all at once. */
static const sim_inst *run_moves(sim_chip *chip, const sim_inst *inst) {
  const moves *x = inst->data;
  sim_scalar scalars[MOVES_MAX];
  for (int i = 0; i < x->count; i++)
    scalars[i] = chip->scalars[x->from[i].index];
  for (int i = 0; i < x->count; i++) chip->scalars[x->to[i].index] = scalars[i];
  return inst + 1;
}

static const sim_inst *run_view_move(sim_chip *chip, const sim_inst *inst) {
  const sim_slot *x = inst->data;
  chip->views[x[0].index] = chip->views[x[1].index];
  return inst + 1;
}

static const sim_inst *run_vector_move(sim_chip *chip, const sim_inst *inst) {
  const sim_slot *x = inst->data;
  memcpy(sim_data(chip, x[0]), sim_data(chip, x[1]),
         (size_t)(x[0].count * sim_element_bytes((mo_element)x[0].element)));
  sim_taint_elements(chip, x[0], 1, &x[1]);
  return inst + 1;
}

static void move_vector(sim_build *b, const mo_op *op, sim_slot to,
                        sim_slot from) {
  sim_slot pair[2] = {to, from};
  sim_touch(b, to);
  sim_touch(b, from);
  if (from.kind == SIM_SPLAT)
    sim_bind_fill(b, op, to, from);
  else
    sim_emit_(b, op, run_vector_move, pair, sizeof pair);
}

/* Whether a later vector comes from where one is put before. */
static bool is_target(sim_slot from, int count, const sim_slot *to) {
  for (int i = 0; i < count; i++)
    if (to[i].kind == SIM_VECTOR && to[i].index == from.index) return true;
  return false;
}

static pfl_status bind_moves(sim_build *b, const mo_op *op, int count,
                             mo_value *const *values, const sim_slot *to) {
  moves scalars = {.count = 0};
  sim_slot from[MOVES_MAX];
  if (count > MOVES_MAX)
    return sim_unknown(b, op, "more than %d values", MOVES_MAX);
  for (int i = 0; i < count; i++) {
    from[i] = sim_use(b, values[i]);
    if (from[i].kind != SIM_VECTOR || from[i].index == to[i].index ||
        !is_target(from[i], count, to))
      continue;
    sim_slot kept =
        sim_new_vector(b, (mo_element)from[i].element, from[i].count);
    move_vector(b, op, kept, from[i]);
    from[i] = kept;
  }
  for (int i = 0; i < count; i++) {
    for (int j = i; j < count; j++) sim_touch(b, from[j]);
    if (to[i].kind == SIM_SCALAR) {
      scalars.to[scalars.count] = to[i];
      scalars.from[scalars.count++] = from[i];
    } else if (to[i].kind == SIM_VIEW) {
      sim_slot pair[2] = {to[i], from[i]};
      if (to[i].index != from[i].index)
        sim_emit_(b, op, run_view_move, pair, sizeof pair);
    } else if (from[i].kind != SIM_VECTOR || from[i].index != to[i].index) {
      move_vector(b, op, to[i], from[i]);
    } else {
      sim_touch(b, to[i]);
    }
  }
  if (scalars.count) sim_emit(b, op, run_moves, &scalars);
  return PFL_STATUS_OK;
}

/* Places for the arguments of a region, which its op's results share. */
static void define_all(sim_build *b, int count, mo_value *const *values,
                       sim_slot *out) {
  for (int i = 0; i < count; i++) out[i] = sim_define(b, values[i]);
}

/* ---- Jumps --------------------------------------------------------------- */

static const sim_inst *run_jump(sim_chip *chip, const sim_inst *inst) {
  (void)chip;
  return inst + inst->to;
}

static const sim_inst *run_branch(sim_chip *chip, const sim_inst *inst) {
  const sim_slot *condition = inst->data;
  sim_decides(chip, inst, *condition);
  return chip->scalars[condition->index].i ? inst + 1 : inst + inst->to;
}

/* ---- scf.for ------------------------------------------------------------- */

typedef struct loop {
  sim_slot index, lower, upper, step;
  bool is_unsigned;
} loop;

static const sim_inst *run_loop_begin(sim_chip *chip, const sim_inst *inst) {
  const loop *x = inst->data;
  sim_decides(chip, inst, x->lower);
  sim_decides(chip, inst, x->upper);
  sim_decides(chip, inst, x->step);
  chip->scalars[x->index.index] = chip->scalars[x->lower.index];
  if (chip->scalars[x->step.index].i > 0) return inst + 1;
  return sim_hazard_stop(chip, SIM_HAZARD_ENDLESS, inst, "a step of %lld",
                         (long long)chip->scalars[x->step.index].i);
}

static const sim_inst *run_loop_test(sim_chip *chip, const sim_inst *inst) {
  const loop *x = inst->data;
  int64_t index = chip->scalars[x->index.index].i;
  int64_t upper = chip->scalars[x->upper.index].i;
  bool more =
      x->is_unsigned ? (uint64_t)index < (uint64_t)upper : index < upper;
  return more ? inst + 1 : inst + inst->to;
}

static const sim_inst *run_loop_next(sim_chip *chip, const sim_inst *inst) {
  const loop *x = inst->data;
  chip->scalars[x->index.index].i += chip->scalars[x->step.index].i;
  return inst + inst->to;
}

static pfl_status bind_for(sim_build *b, const mo_op *op) {
  const mo_region *body = op->regions[0];
  int carried = body->argument_count - 1;
  sim_slot carry[MOVES_MAX];
  if (carried > MOVES_MAX)
    return sim_unknown(b, op, "more than %d carried values", MOVES_MAX);
  loop x = {.index = sim_define(b, body->arguments[0]),
            .lower = sim_use(b, op->operands[0]),
            .upper = sim_use(b, op->operands[1]),
            .step = sim_use(b, op->operands[2]),
            .is_unsigned = mo_op_get(op, "unsignedCmp") != NULL};
  define_all(b, carried, body->arguments + 1, carry);
  PFL_TRY(bind_moves(b, op, carried, op->operands + 3, carry));
  sim_emit(b, op, run_loop_begin, &x);
  sim_loop_begin(b);
  int32_t head = sim_emit(b, op, run_loop_test, &x);
  PFL_TRY(sim_bind_region(b, body));
  PFL_TRY(bind_moves(b, body->last, carried, body->last->operands, carry));
  int32_t next = sim_emit(b, op, run_loop_next, &x);
  sim_jump(b, next, head);
  sim_jump(b, head, b->count);
  sim_loop_end(b);
  for (int i = 0; i < carried; i++) sim_define_as(b, op->results[i], carry[i]);
  return PFL_STATUS_OK;
}

/* ---- scf.if, scf.while --------------------------------------------------- */

static pfl_status bind_branch(sim_build *b, const mo_op *op, int region,
                              const sim_slot *results) {
  const mo_region *body = op->regions[region];
  if (!body->last) return PFL_STATUS_OK;
  PFL_TRY(sim_bind_region(b, body));
  return bind_moves(b, body->last, op->result_count, body->last->operands,
                    results);
}

static pfl_status bind_if(sim_build *b, const mo_op *op) {
  sim_slot results[MOVES_MAX], condition = sim_use(b, op->operands[0]);
  if (op->result_count > MOVES_MAX)
    return sim_unknown(b, op, "more than %d results", MOVES_MAX);
  define_all(b, op->result_count, op->results, results);
  int32_t test = sim_emit(b, op, run_branch, &condition);
  PFL_TRY(bind_branch(b, op, 0, results));
  if (!op->regions[1]->first || !op->regions[1]->first->next) {
    if (!op->result_count) {
      sim_jump(b, test, b->count);
      return PFL_STATUS_OK;
    }
  }
  int32_t end = sim_emit_bare(b, op, run_jump);
  sim_jump(b, test, b->count);
  PFL_TRY(bind_branch(b, op, 1, results));
  sim_jump(b, end, b->count);
  return PFL_STATUS_OK;
}

static pfl_status bind_while(sim_build *b, const mo_op *op) {
  const mo_region *before = op->regions[0], *after = op->regions[1];
  sim_slot in[MOVES_MAX], passed[MOVES_MAX];
  if (before->argument_count > MOVES_MAX || after->argument_count > MOVES_MAX)
    return sim_unknown(b, op, "more than %d carried values", MOVES_MAX);
  define_all(b, before->argument_count, before->arguments, in);
  define_all(b, after->argument_count, after->arguments, passed);
  PFL_TRY(bind_moves(b, op, before->argument_count, op->operands, in));
  sim_loop_begin(b);
  int32_t head = b->count;
  PFL_TRY(sim_bind_region(b, before));
  const mo_op *condition = before->last;
  sim_slot test = sim_use(b, condition->operands[0]);
  PFL_TRY(bind_moves(b, condition, after->argument_count,
                     condition->operands + 1, passed));
  int32_t out = sim_emit(b, condition, run_branch, &test);
  PFL_TRY(sim_bind_region(b, after));
  PFL_TRY(bind_moves(b, after->last, before->argument_count,
                     after->last->operands, in));
  int32_t again = sim_emit_bare(b, op, run_jump);
  sim_jump(b, again, head);
  sim_jump(b, out, b->count);
  sim_loop_end(b);
  for (int i = 0; i < op->result_count; i++)
    sim_define_as(b, op->results[i], passed[i]);
  return PFL_STATUS_OK;
}

/* ---- Scopes -------------------------------------------------------------- */

typedef struct scope {
  int32_t first, end; /* memories */
} scope;

static const sim_inst *run_scope_end(sim_chip *chip, const sim_inst *inst) {
  const scope *x = inst->data;
  for (int i = x->first; i < x->end; i++)
    sim_check_left(chip, inst->site, &chip->memories[i]);
  return inst + 1;
}

static pfl_status bind_scope(sim_build *b, const mo_op *op) {
  const mo_region *body = op->regions[0];
  int64_t vmem = b->vmem, smem = b->smem;
  scope x = {.first = b->program->memory_count};
  PFL_TRY(sim_bind_region(b, body));
  for (int i = 0; i < op->result_count; i++)
    sim_define_as(b, op->results[i], sim_use(b, body->last->operands[i]));
  x.end = b->program->memory_count;
  if (x.end > x.first) sim_emit(b, op, run_scope_end, &x);
  b->vmem = vmem;
  b->smem = smem;
  return PFL_STATUS_OK;
}

typedef struct label {
  const char *name;
} label;

static const sim_inst *run_trace_start(sim_chip *chip, const sim_inst *inst) {
  const label *x = inst->data;
  sim_time_scope_begin(chip, inst->site, x->name);
  return inst + 1;
}

static const sim_inst *run_trace_stop(sim_chip *chip, const sim_inst *inst) {
  sim_time_scope_end(chip);
  return inst + 1;
}

static void bind_trace_start(sim_build *b, const mo_op *op) {
  const char *message = mo_op_get(op, "message")->text;
  label x = {mo_arena_copy(&b->program->arena, message, strlen(message))};
  sim_emit(b, op, run_trace_start, &x);
}

static pfl_status bind_trace(sim_build *b, const mo_op *op) {
  bind_trace_start(b, op);
  PFL_TRY(bind_scope(b, op));
  sim_emit_bare(b, op, run_trace_stop);
  return PFL_STATUS_OK;
}

/* ---- Questions ----------------------------------------------------------- */

static const sim_inst *run_device(sim_chip *chip, const sim_inst *inst) {
  const sim_slot *out = inst->data;
  chip->scalars[out->index].i = chip->number;
  return inst + 1;
}

static pfl_status bind_bound(sim_build *b, const mo_op *op) {
  int64_t dim = mo_op_get(op, "dim")->integer;
  if (dim < 0 || dim >= b->program->grid_rank)
    return sim_unknown(b, op, "dimension %lld of the grid", (long long)dim);
  sim_slot slot = sim_define_splat(b, op->results[0]);
  if (!b->program->arena.failed)
    b->scalars[slot.index].i = b->program->grid[dim];
  return PFL_STATUS_OK;
}

typedef struct promise {
  sim_slot value;
  int64_t multiple;
} promise;

static const sim_inst *run_promise(sim_chip *chip, const sim_inst *inst) {
  const promise *x = inst->data;
  int64_t value = chip->scalars[x->value.index].i;
  if (value % x->multiple)
    sim_hazard_add(chip, SIM_HAZARD_ALIGNMENT, inst->site,
                   "%lld is no multiple of %lld", (long long)value,
                   (long long)x->multiple);
  return inst + 1;
}

static pfl_status bind_promise(sim_build *b, const mo_op *op) {
  promise x = {sim_use(b, op->operands[0]), mo_op_get(op, "multiple")->integer};
  sim_define_as(b, op->results[0], x.value);
  if (x.value.kind != SIM_VECTOR) sim_emit(b, op, run_promise, &x);
  return PFL_STATUS_OK;
}

pfl_status sim_bind_control(sim_build *b, const mo_op *op) {
  switch (op->info->id) {
    case MO_SCF_FOR: return bind_for(b, op);
    case MO_SCF_IF: return bind_if(b, op);
    case MO_SCF_WHILE: return bind_while(b, op);
    case MO_TPU_REGION: return bind_scope(b, op);
    case MO_TPU_TRACE: return bind_trace(b, op);
    case MO_TPU_TRACE_START: bind_trace_start(b, op); return PFL_STATUS_OK;
    case MO_TPU_TRACE_STOP:
      sim_emit_bare(b, op, run_trace_stop);
      return PFL_STATUS_OK;
    case MO_TPU_ITERATION_BOUND: return bind_bound(b, op);
    case MO_TPU_ASSUME_MULTIPLE: return bind_promise(b, op);
    case MO_TPU_DEVICE_ID: {
      sim_slot out = sim_define(b, op->results[0]);
      sim_emit(b, op, run_device, &out);
      return PFL_STATUS_OK;
    }
    default: return PFL_STATUS_OK; /* delays, and what profiles are told */
  }
}
