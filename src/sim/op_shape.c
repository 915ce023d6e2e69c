/* Ops that move elements: broadcasts, slices, transposes, and what is iota. */
#include <string.h>

#include "base/memory.h"
#include "sim/build.h"
#include "sim/share.h"
#include "sim/taint.h"

/* A box of `in` into a box of `out`. */
typedef struct move {
  sim_slot out, in;
  sim_copy copy;
  int64_t to, from; /* first elements */
  int32_t bytes;
  bool fresh; /* the first of those that make up `out` */
  bool mixes; /* elements of one width into those of another */
} move;

static void taint_move(sim_chip *chip, const move *x) {
  uint32_t taint = sim_taint(chip, x->in);
  uint32_t before = x->fresh ? 0 : sim_taint(chip, x->out);
  if (!taint && !before) {
    sim_set_taint(chip, x->out, 0);
    return;
  }
  if (x->mixes) {
    sim_taint_all(chip, x->out, taint);
    return;
  }
  if (x->fresh) chip->taints[x->out.index] = 0;
  uint8_t *to = sim_taint_bytes(chip, x->out);
  uint8_t clean = 0;
  sim_copy copy = x->copy;
  if (!taint) memset(copy.from, 0, sizeof copy.from);
  sim_copy_run(&copy, to + x->to,
               taint ? chip->shadows[x->in.index] + x->from : &clean, 1);
  chip->taints[x->out.index] = taint ? taint : before;
}

typedef struct job {
  const move *op;
  char *to;
  const char *from;
} job;

/* Of the outermost dimension, if there are two. */
static void move_range(const void *argument, int64_t first, int64_t end) {
  const job *j = argument;
  sim_copy copy = j->op->copy;
  if (copy.rank > 1) copy.sizes[0] = end - first;
  sim_copy_run(&copy, j->to + first * copy.to[0] * j->op->bytes,
               j->from + first * copy.from[0] * j->op->bytes, j->op->bytes);
}

static const sim_inst *run_move(sim_chip *chip, const sim_inst *inst) {
  const move *x = inst->data;
  job j = {x, (char *)sim_data(chip, x->out) + x->to * x->bytes,
           (const char *)sim_data(chip, x->in) + x->from * x->bytes};
  int64_t rows = x->copy.rank > 1 ? x->copy.sizes[0] : 1;
  int64_t grain = base_ceil_div((1 << 16) * rows, x->out.count);
  sim_share(chip, rows, base_max(grain, 1), move_range, &j);
  taint_move(chip, x);
  return inst + 1;
}

static void emit_move(sim_build *b, const mo_op *op, move *x) {
  sim_copy_merge(&x->copy);
  x->bytes = sim_element_bytes(x->out.element);
  sim_cost(b, SIM_UNIT_VECTOR, (double)x->out.count, 3 * 1024); /* XLUs */
  sim_emit(b, op, run_move, x);
}

/* Too many dimensions for a copy: such vectors are not known. */
static pfl_status check_rank(sim_build *b, const mo_op *op,
                             const mo_type *type) {
  if (type->rank <= SIM_RANK_MAX) return PFL_STATUS_OK;
  return sim_unknown(b, op, "vectors of more than %d dimensions", SIM_RANK_MAX);
}

/* The whole of `type`, dense on both sides. */
static sim_copy dense(const mo_type *type) {
  sim_copy copy = {.rank = type->rank};
  for (int i = 0; i < type->rank; i++) copy.sizes[i] = type->shape[i];
  sim_dense(type->rank, copy.sizes, copy.to);
  sim_dense(type->rank, copy.sizes, copy.from);
  return copy;
}

/* A splat, whatever is done to its shape. */
static bool bind_splat(sim_build *b, const mo_op *op) {
  sim_slot in = b->slots[op->operands[0]->id];
  const mo_type *type = op->results[0]->type;
  if (in.kind == SIM_VECTOR) return false;
  if (in.kind == SIM_SPLAT || type->kind == MO_TYPE_VECTOR) {
    in.kind = SIM_SPLAT;
    in.count = mo_type_count(type);
  }
  sim_define_as(b, op->results[0], in);
  return true;
}

static pfl_status bind_broadcast(sim_build *b, const mo_op *op) {
  const mo_type *from = op->operands[0]->type, *to = op->results[0]->type;
  if (bind_splat(b, op)) return PFL_STATUS_OK;
  PFL_TRY(check_rank(b, op, to));
  sim_slot in = sim_use(b, op->operands[0]);
  if (mo_type_count(from) == mo_type_count(to)) {
    sim_define_as(b, op->results[0], in);
    return PFL_STATUS_OK;
  }
  move x = {.in = in, .fresh = true, .copy = dense(to)};
  x.out = sim_define(b, op->results[0]);
  int64_t strides[SIM_RANK_MAX];
  sim_dense(from->rank, from->shape, strides);
  int lead = to->rank - from->rank;
  for (int i = 0; i < to->rank; i++)
    x.copy.from[i] =
        i < lead || from->shape[i - lead] == 1 ? 0 : strides[i - lead];
  emit_move(b, op, &x);
  return PFL_STATUS_OK;
}

static int64_t number_at(const mo_attr *attr, int i) {
  return attr->kind == MO_ATTR_NUMBERS ? attr->numbers[i]
                                       : attr->items[i]->integer;
}

static pfl_status bind_slice(sim_build *b, const mo_op *op) {
  const mo_type *from = op->operands[0]->type, *to = op->results[0]->type;
  const mo_attr *offsets = mo_op_get(op, "offsets");
  if (bind_splat(b, op)) return PFL_STATUS_OK;
  PFL_TRY(check_rank(b, op, to));
  move x = {
      .in = sim_use(b, op->operands[0]), .fresh = true, .copy = dense(to)};
  x.out = sim_define(b, op->results[0]);
  sim_dense(from->rank, from->shape, x.copy.from);
  for (int i = 0; i < to->rank; i++)
    x.from += number_at(offsets, i) * x.copy.from[i];
  emit_move(b, op, &x);
  return PFL_STATUS_OK;
}

static pfl_status bind_insert(sim_build *b, const mo_op *op) {
  const mo_type *part = op->operands[0]->type, *whole = op->results[0]->type;
  const mo_attr *offsets = mo_op_get(op, "offsets");
  PFL_TRY(check_rank(b, op, whole));
  sim_slot in = sim_use_vector(b, op->operands[0]);
  sim_slot before = sim_use_vector(b, op->operands[1]);
  sim_slot out = sim_define(b, op->results[0]);
  move all = {.in = before, .out = out, .fresh = true, .copy = dense(whole)};
  emit_move(b, op, &all);
  move x = {.in = in, .out = out, .copy = dense(part)};
  sim_dense(whole->rank, whole->shape, x.copy.to);
  for (int i = 0; i < part->rank; i++)
    x.to += number_at(offsets, i) * x.copy.to[i];
  sim_touch(b, in);
  sim_touch(b, out);
  emit_move(b, op, &x);
  return PFL_STATUS_OK;
}

static pfl_status bind_transpose(sim_build *b, const mo_op *op) {
  const mo_type *from = op->operands[0]->type, *to = op->results[0]->type;
  const mo_attr *order = mo_op_get(op, "permutation");
  if (bind_splat(b, op)) return PFL_STATUS_OK;
  PFL_TRY(check_rank(b, op, to));
  move x = {
      .in = sim_use(b, op->operands[0]), .fresh = true, .copy = dense(to)};
  x.out = sim_define(b, op->results[0]);
  int64_t strides[SIM_RANK_MAX];
  sim_dense(from->rank, from->shape, strides);
  for (int i = 0; i < to->rank; i++)
    x.copy.from[i] = strides[order->numbers[i]];
  emit_move(b, op, &x);
  return PFL_STATUS_OK;
}

/* Parts side by side along a dimension: concatenation, repetition. */
static pfl_status bind_parts(sim_build *b, const mo_op *op, int count,
                             mo_value *const *parts) {
  const mo_type *to = op->results[0]->type;
  int64_t dim = mo_op_get(op, "dimension")->integer, at = 0;
  PFL_TRY(check_rank(b, op, to));
  sim_slot in[64];
  if (count > 64) return sim_unknown(b, op, "more than 64 parts");
  for (int i = 0; i < count; i++) in[i] = sim_use_vector(b, parts[i]);
  sim_slot out = sim_define(b, op->results[0]);
  for (int i = 0; i < count; i++) {
    const mo_type *from = parts[i]->type;
    move x = {.in = in[i], .out = out, .fresh = i == 0, .copy = dense(from)};
    sim_dense(to->rank, to->shape, x.copy.to);
    x.to = at * x.copy.to[dim];
    at += from->shape[dim];
    for (int j = i; j < count; j++) sim_touch(b, in[j]);
    sim_touch(b, out);
    emit_move(b, op, &x);
  }
  return PFL_STATUS_OK;
}

static pfl_status bind_repeat(sim_build *b, const mo_op *op) {
  const mo_value *parts[64];
  int64_t times = mo_op_get(op, "times")->integer;
  if (times > 64) return sim_unknown(b, op, "more than 64 parts");
  for (int i = 0; i < times; i++) parts[i] = op->operands[0];
  return bind_parts(b, op, (int)times, (mo_value *const *)parts);
}

/* ---- Rotation ------------------------------------------------------------ */

typedef struct rotation {
  sim_slot out, in, amount;
  int64_t outer, size, inner;         /* elements around the dimension */
  int64_t stride, along, along_inner; /* more by rows of another dimension */
  int32_t bytes;
} rotation;

/* Row `o` of the outer elements: its part of size * inner, turned by `by`. */
static void rotate_row(const rotation *x, char *to, const char *from,
                       int64_t by, int bytes) {
  by = ((by % x->size) + x->size) % x->size;
  size_t head = (size_t)((x->size - by) * x->inner * bytes);
  size_t tail = (size_t)(by * x->inner * bytes);
  memcpy(to + tail, from, head);
  memcpy(to, from + head, tail);
}

static void rotate(const rotation *x, char *to, const char *from, int64_t by,
                   int bytes) {
  int64_t row = x->size * x->inner * bytes;
  for (int64_t o = 0; o < x->outer; o++)
    rotate_row(x, to + o * row, from + o * row,
               by + x->stride * (o / x->along_inner % x->along), bytes);
}

static const sim_inst *run_rotation(sim_chip *chip, const sim_inst *inst) {
  const rotation *x = inst->data;
  sim_decides(chip, inst, x->amount);
  int64_t by = chip->scalars[x->amount.index].i;
  rotate(x, sim_data(chip, x->out), sim_data(chip, x->in), by, x->bytes);
  uint32_t taint = sim_taint(chip, x->in);
  sim_set_taint(chip, x->out, taint);
  if (taint)
    rotate(x, (char *)chip->shadows[x->out.index],
           (const char *)chip->shadows[x->in.index], by, 1);
  return inst + 1;
}

static pfl_status bind_rotation(sim_build *b, const mo_op *op) {
  const mo_type *type = op->results[0]->type;
  const mo_attr *stride = mo_op_get(op, "stride");
  const mo_attr *along = mo_op_get(op, "stride_dimension");
  int64_t dim = mo_op_get(op, "dimension")->integer;
  rotation x = {.outer = 1, .inner = 1, .along = 1, .along_inner = 1};
  x.amount = sim_use(b, op->operands[1]);
  x.in = sim_use_vector(b, op->operands[0]);
  x.out = sim_define(b, op->results[0]);
  x.bytes = sim_element_bytes(x.out.element);
  x.size = type->shape[dim];
  for (int i = 0; i < dim; i++) x.outer *= type->shape[i];
  for (int i = (int)dim + 1; i < type->rank; i++) x.inner *= type->shape[i];
  if (stride && stride->integer && along) {
    if (along->integer > dim)
      return sim_unknown(b, op, "a stride along a dimension further in");
    x.stride = stride->integer;
    x.along = type->shape[along->integer];
    for (int64_t i = along->integer + 1; i < dim; i++)
      x.along_inner *= type->shape[i];
  }
  sim_emit(b, op, run_rotation, &x);
  return PFL_STATUS_OK;
}

/* ---- Iota ---------------------------------------------------------------- */

typedef struct iota {
  sim_slot out;
  int32_t rank;
  int64_t sizes[SIM_RANK_MAX], steps[SIM_RANK_MAX];
} iota;

static void count_up(const iota *x, int dim, int32_t from, int32_t **to) {
  int64_t size = x->sizes[dim];
  int32_t step = (int32_t)x->steps[dim];
  for (int64_t i = 0; dim == x->rank - 1 && i < size; i++)
    (*to)[i] = from + (int32_t)i * step;
  if (dim == x->rank - 1) *to += size;
  for (int64_t i = 0; dim < x->rank - 1 && i < size; i++)
    count_up(x, dim + 1, from + (int32_t)i * step, to);
}

static const sim_inst *run_iota(sim_chip *chip, const sim_inst *inst) {
  const iota *x = inst->data;
  int32_t *to = sim_data(chip, x->out);
  count_up(x, 0, 0, &to);
  sim_set_taint(chip, x->out, 0);
  return inst + 1;
}

static pfl_status bind_iota(sim_build *b, const mo_op *op) {
  const mo_type *type = op->results[0]->type;
  const mo_attr *dims = mo_op_get(op, "dimensions");
  PFL_TRY(check_rank(b, op, type));
  iota x = {.rank = type->rank, .out = sim_define(b, op->results[0])};
  for (int i = 0; i < type->rank; i++) x.sizes[i] = type->shape[i];
  int64_t step = 1;
  for (int i = dims->count - 1; i >= 0; i--) {
    x.steps[dims->numbers[i]] = step;
    step *= type->shape[dims->numbers[i]];
  }
  sim_emit(b, op, run_iota, &x);
  return PFL_STATUS_OK;
}

/* ---- Bits of another width --------------------------------------------------
 * The narrow rows r * pack .. r * pack + pack - 1 are row r of the wide ones,
 * the first in the lowest bits. */

static pfl_status bind_bitcast(sim_build *b, const mo_op *op) {
  const mo_type *from = op->operands[0]->type, *to = op->results[0]->type;
  int wide = sim_element_bytes(to->element);
  int narrow = sim_element_bytes(from->element);
  sim_slot in = sim_use_vector(b, op->operands[0]);
  if (!wide || !narrow || from->rank >= SIM_RANK_MAX)
    return sim_unknown(b, op, "these types");
  if (wide == narrow) {
    in.element = (uint8_t)to->element;
    sim_define_as(b, op->results[0], in);
    return PFL_STATUS_OK;
  }
  bool packs = wide > narrow;
  const mo_type *rows = packs ? to : from; /* the wide ones */
  int pack = packs ? wide / narrow : narrow / wide, rank = rows->rank;
  move x = {.in = in, .fresh = true, .mixes = true};
  x.out = sim_define(b, op->results[0]);
  x.bytes = packs ? narrow : wide;
  sim_copy *copy = &x.copy;
  /* dimensions of the wide vector, and then the parts of an element */
  copy->rank = rank + 1;
  for (int i = 0; i < rank; i++) copy->sizes[i] = rows->shape[i];
  copy->sizes[rank] = pack;
  int64_t *wide_side = packs ? copy->to : copy->from;
  int64_t *narrow_side = packs ? copy->from : copy->to;
  sim_dense(rank + 1, copy->sizes, wide_side);
  sim_dense(rank, (packs ? from : to)->shape, narrow_side);
  narrow_side[rank] = narrow_side[rank - 2];
  narrow_side[rank - 2] *= pack;
  sim_copy_merge(copy);
  sim_emit(b, op, run_move, &x);
  return PFL_STATUS_OK;
}

/* ---- Gather, extraction -------------------------------------------------- */

typedef struct gather {
  sim_slot out, in, indices;
  int64_t outer, size, inner, source;
  int32_t bytes;
} gather;

static const sim_inst *run_gather(sim_chip *chip, const sim_inst *inst) {
  const gather *x = inst->data;
  char *to = sim_data(chip, x->out);
  const char *from = sim_data(chip, x->in);
  const int32_t *indices = sim_data(chip, x->indices);
  uint32_t taint = sim_taint(chip, x->indices);
  if (!taint) taint = sim_taint(chip, x->in);
  int64_t row = x->size * x->inner;
  for (int64_t i = 0; i < x->outer * row; i++) {
    int64_t at = indices[i];
    if (at < 0 || at >= x->source)
      return sim_hazard_stop(chip, SIM_HAZARD_BOUNDS, inst,
                             "index %lld of %lld", (long long)at,
                             (long long)x->source);
    int64_t element =
        i / row * x->source * x->inner + at * x->inner + i % x->inner;
    memcpy(to + i * x->bytes, from + element * x->bytes, (size_t)x->bytes);
  }
  sim_set_taint(chip, x->out, 0);
  if (taint) sim_taint_all(chip, x->out, taint);
  return inst + 1;
}

static pfl_status bind_gather(sim_build *b, const mo_op *op) {
  const mo_type *from = op->operands[0]->type, *to = op->results[0]->type;
  const mo_attr *dims = mo_op_get(op, "dimensions");
  const mo_type *indices = op->operands[1]->type;
  bool fits = dims->count == 1 && indices->element == MO_I32 &&
              mo_type_same_shape(indices, to) && from->rank == to->rank;
  int64_t dim = fits ? dims->numbers[0] : 0;
  for (int i = 0; fits && i < to->rank; i++)
    fits = i == dim || from->shape[i] == to->shape[i];
  if (!fits || dim < 0 || dim >= to->rank)
    return sim_unknown(b, op, "a gather like this");
  gather x = {.outer = 1, .inner = 1};
  x.in = sim_use_vector(b, op->operands[0]);
  x.indices = sim_use_vector(b, op->operands[1]);
  x.out = sim_define(b, op->results[0]);
  x.bytes = sim_element_bytes(x.out.element);
  x.size = to->shape[dim];
  x.source = from->shape[dim];
  for (int i = 0; i < dim; i++) x.outer *= to->shape[i];
  for (int i = (int)dim + 1; i < to->rank; i++) x.inner *= to->shape[i];
  sim_emit(b, op, run_gather, &x);
  return PFL_STATUS_OK;
}

typedef struct extraction {
  sim_slot out, in;
  int64_t from;
  int32_t bytes;
} extraction;

static const sim_inst *run_extraction(sim_chip *chip, const sim_inst *inst) {
  const extraction *x = inst->data;
  sim_scalar *s = &chip->scalars[x->out.index];
  const char *from = sim_data(chip, x->in);
  s->i = 0;
  memcpy(s->bytes, from + x->from * x->bytes, (size_t)x->bytes);
  if (x->out.element == MO_I32) s->i = (int32_t)s->i;
  uint32_t taint = sim_taint(chip, x->in);
  s->taint = taint && chip->shadows[x->in.index][x->from] ? taint : 0;
  return inst + 1;
}

static pfl_status bind_extraction(sim_build *b, const mo_op *op) {
  const mo_type *from = op->operands[0]->type, *to = op->results[0]->type;
  const mo_attr *at = mo_op_get(op, "static_position");
  if (mo_op_group(op, "dynamic_position").count)
    return sim_unknown(b, op, "a position that is not fixed");
  bool fits = at->count <= from->rank &&
              (to->kind == MO_TYPE_VECTOR || at->count == from->rank);
  int64_t strides[MO_RANK_MAX], first = 0;
  sim_dense(from->rank, from->shape, strides);
  for (int i = 0; fits && i < at->count; i++) {
    fits = at->numbers[i] >= 0 && at->numbers[i] < from->shape[i];
    first += at->numbers[i] * strides[i];
  }
  if (!fits || (to->kind == MO_TYPE_VECTOR &&
                mo_type_count(to) !=
                    (at->count ? strides[at->count - 1] : mo_type_count(from))))
    return sim_unknown(b, op, "a position like this");
  if (b->slots[op->operands[0]->id].kind == SIM_SPLAT) {
    sim_slot in = b->slots[op->operands[0]->id];
    in.kind = to->kind == MO_TYPE_VECTOR ? SIM_SPLAT : SIM_SCALAR;
    in.count = to->kind == MO_TYPE_VECTOR ? mo_type_count(to) : 1;
    sim_define_as(b, op->results[0], in);
    return PFL_STATUS_OK;
  }
  sim_slot in = sim_use(b, op->operands[0]);
  sim_slot out = sim_define(b, op->results[0]);
  if (to->kind == MO_TYPE_VECTOR) {
    move x = {.in = in, .out = out, .from = first, .fresh = true};
    x.copy = (sim_copy){1, {out.count}, {1}, {1}};
    emit_move(b, op, &x);
    return PFL_STATUS_OK;
  }
  extraction x = {out, in, first, sim_element_bytes(out.element)};
  sim_emit(b, op, run_extraction, &x);
  return PFL_STATUS_OK;
}

pfl_status sim_bind_shape(sim_build *b, const mo_op *op) {
  switch (op->info->id) {
    case MO_VECTOR_BROADCAST: return bind_broadcast(b, op);
    case MO_VECTOR_EXTRACT_STRIDED_SLICE: return bind_slice(b, op);
    case MO_VECTOR_INSERT_STRIDED_SLICE: return bind_insert(b, op);
    case MO_VECTOR_EXTRACT: return bind_extraction(b, op);
    case MO_TPU_IOTA: return bind_iota(b, op);
    case MO_TPU_CONCATENATE:
      return bind_parts(b, op, op->operand_count, op->operands);
    case MO_TPU_TRANSPOSE: return bind_transpose(b, op);
    case MO_TPU_DYNAMIC_ROTATE: return bind_rotation(b, op);
    case MO_TPU_BITCAST: return bind_bitcast(b, op);
    case MO_TPU_REPEAT: return bind_repeat(b, op);
    case MO_TPU_DYNAMIC_GATHER: return bind_gather(b, op);
    default: break; /* the same elements in another shape */
  }
  if (!bind_splat(b, op))
    sim_define_as(b, op->results[0], sim_use(b, op->operands[0]));
  return PFL_STATUS_OK;
}
