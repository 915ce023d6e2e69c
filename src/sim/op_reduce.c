/* Reductions over dimensions of a vector. */
#include <string.h>

#include "base/memory.h"
#include "sim/build.h"
#include "sim/share.h"
#include "sim/taint.h"

/* One dimension, or several side by side: out[outer][inner] is all of
 * in[outer][size][inner] combined. */
typedef struct reduction {
  sim_slot out, in, acc; /* acc.kind NOTHING: none */
  int64_t outer, size, inner;
  sim_binary_fn *loop;
  void (*rows_f32)(float *, const float *, int64_t, int64_t);
  void (*rows_i32)(int32_t *, const int32_t *, int64_t, int64_t);
} reduction;

static void taint_reduction(sim_chip *chip, const reduction *x) {
  uint32_t taint = sim_taint(chip, x->in);
  uint32_t before = x->acc.kind ? sim_taint(chip, x->acc) : 0;
  if (before || (taint && x->out.kind != SIM_VECTOR)) {
    sim_taint_all(chip, x->out, before ? before : taint);
    return;
  }
  sim_set_taint(chip, x->out, taint);
  if (!taint) return;
  uint8_t *to = chip->shadows[x->out.index];
  const uint8_t *from = chip->shadows[x->in.index];
  memset(to, 0, (size_t)(x->outer * x->inner));
  for (int64_t i = 0; i < x->outer * x->size; i++)
    for (int64_t j = 0; j < x->inner; j++)
      to[i / x->size * x->inner + j] |= from[i * x->inner + j];
}

typedef struct job {
  const reduction *op;
  char *out;
  const char *in;
} job;

/* Of the outer elements. */
static void reduce_range(const void *argument, int64_t first, int64_t end) {
  const job *j = argument;
  const reduction *x = j->op;
  int64_t row = x->size * x->inner * 4;
  char *out = j->out + first * x->inner * 4;
  const char *in = j->in + first * row;
  if (x->inner == 1 && x->rows_f32)
    x->rows_f32((float *)out, (const float *)in, end - first, x->size);
  else if (x->inner == 1)
    x->rows_i32((int32_t *)out, (const int32_t *)in, end - first, x->size);
  for (int64_t o = 0; x->inner > 1 && o < end - first; o++) {
    char *to = out + o * x->inner * 4;
    const char *from = in + o * row;
    memcpy(to, from, (size_t)x->inner * 4);
    for (int64_t i = 1; i < x->size; i++)
      x->loop(to, to, from + i * x->inner * 4, x->inner,
              SIM_STEP_A | SIM_STEP_B);
  }
}

static const sim_inst *run_reduction(sim_chip *chip, const sim_inst *inst) {
  const reduction *x = inst->data;
  char *out = sim_data(chip, x->out);
  job j = {x, out, sim_data(chip, x->in)};
  int64_t grain = base_ceil_div(1 << 16, x->size * x->inner);
  sim_share(chip, x->outer, grain, reduce_range, &j);
  if (x->acc.kind)
    x->loop(out, sim_data(chip, x->acc), out, x->outer * x->inner,
            (sim_step(x->acc) ? SIM_STEP_A : 0) | SIM_STEP_B);
  if (x->out.kind == SIM_SCALAR && x->rows_i32)
    chip->scalars[x->out.index].i = *(int32_t *)out;
  taint_reduction(chip, x);
  return inst + 1;
}

/* False if there is no such kind. */
static bool set_loops(reduction *x, const mo_attr *kind, mo_element element) {
  const sim_lanes *l = sim_lanes_best();
  int length;
  const char *word = mo_attr_word(kind, "vector.kind", &length);
  if (!word) return false;
#define KIND(name, by)                                                         \
  if ((size_t)length == strlen(#name) && !strncmp(word, #name, strlen(#name))) \
    x->loop = l->by, x->ROWS = l->REDUCE(name);
#define ROWS rows_f32
#define REDUCE(name) reduce_##name##_f32
  if (element == MO_F32) {
    SIM_REDUCE_F32(KIND)
  }
#undef ROWS
#undef REDUCE
#define ROWS rows_i32
#define REDUCE(name) reduce_##name##_i32
  if (element == MO_I32) {
    SIM_REDUCE_I32(KIND)
  }
#undef ROWS
#undef REDUCE
#undef KIND
  return x->loop != NULL;
}

/* Takes the innermost run of dimensions that go out of `shape`, and the sizes
 * around it. False if none goes. */
static bool take_run(reduction *x, int64_t *shape, bool *gone, int *rank) {
  int end = *rank;
  while (end > 0 && !gone[end - 1]) end--;
  if (!end) return false;
  int start = end;
  while (start > 0 && gone[start - 1]) start--;
  x->outer = x->size = x->inner = 1;
  for (int i = 0; i < *rank; i++)
    *(i < start ? &x->outer : i < end ? &x->size : &x->inner) *= shape[i];
  for (int i = end; i < *rank; i++) {
    shape[start + i - end] = shape[i];
    gone[start + i - end] = gone[i];
  }
  *rank -= end - start;
  return true;
}

static pfl_status bind_reduction(sim_build *b, const mo_op *op) {
  const mo_type *from = op->operands[0]->type;
  const mo_attr *dims = mo_op_get(op, "reduction_dims");
  reduction x = {.size = 0};
  if (!set_loops(&x, mo_op_get(op, "kind"), from->element))
    return sim_unknown(b, op, "%s of %s", mo_op_get(op, "kind")->text,
                       mo_element_name(from->element));
  int64_t shape[MO_RANK_MAX];
  bool gone[MO_RANK_MAX] = {false};
  int rank = from->rank;
  for (int i = 0; i < rank; i++) shape[i] = from->shape[i];
  for (int i = 0; i < dims->count; i++) gone[dims->numbers[i]] = true;
  if (mo_type_count(from) <= 0) return sim_unknown(b, op, "no elements");
  x.in = sim_use_vector(b, op->operands[0]);
  sim_slot acc = sim_use(b, op->operands[1]);
  while (take_run(&x, shape, gone, &rank)) {
    bool last = true;
    for (int i = 0; i < rank; i++) last = last && !gone[i];
    if (last) x.acc = acc;
    sim_touch(b, acc);
    x.out = last ? sim_define(b, op->results[0])
                 : sim_new_vector(b, from->element, x.outer * x.inner);
    sim_cost(b, SIM_UNIT_VECTOR, (double)x.in.count, 3 * 1024);
    sim_emit(b, op, run_reduction, &x);
    x.in = x.out;
    sim_touch(b, x.in);
  }
  return PFL_STATUS_OK;
}

/* ---- Where the largest is ------------------------------------------------ */

typedef struct search {
  sim_slot out, in;
  int64_t outer, size, inner;
  bool smallest;
} search;

static const sim_inst *run_search(sim_chip *chip, const sim_inst *inst) {
  const search *x = inst->data;
  int32_t *out = sim_data(chip, x->out);
  const float *in = sim_data(chip, x->in);
  for (int64_t i = 0; i < x->outer * x->inner; i++) {
    const float *from = in + i / x->inner * x->size * x->inner + i % x->inner;
    int64_t best = 0;
    for (int64_t s = 1; s < x->size; s++) {
      float a = from[s * x->inner], b = from[best * x->inner];
      if (x->smallest ? a < b : a > b) best = s;
    }
    out[i] = (int32_t)best;
  }
  uint32_t taint = sim_taint(chip, x->in);
  if (taint)
    sim_taint_all(chip, x->out, taint);
  else
    sim_set_taint(chip, x->out, 0);
  return inst + 1;
}

static pfl_status bind_search(sim_build *b, const mo_op *op) {
  const mo_type *from = op->operands[0]->type, *to = op->results[0]->type;
  int64_t axis = mo_op_get(op, "axis")->integer;
  int length;
  const char *kind =
      mo_attr_word(mo_op_get(op, "kind"), "tpu.reduction_kind", &length);
  search x = {.outer = 1, .inner = 1};
  if (kind && length == 7) x.smallest = !strncmp(kind, "arg_min", 7);
  if (!kind || length != 7 || (!x.smallest && strncmp(kind, "arg_max", 7)) ||
      from->element != MO_F32 || to->element != MO_I32 || axis < 0 ||
      axis >= from->rank)
    return sim_unknown(b, op, "a search like this");
  for (int i = 0; i < from->rank; i++)
    *(i < axis    ? &x.outer
      : i == axis ? &x.size
                  : &x.inner) *= i == axis ? 1 : from->shape[i];
  x.size = from->shape[axis];
  if (x.size < 1 || mo_type_count(to) != x.outer * x.inner)
    return sim_unknown(b, op, "a search like this");
  x.in = sim_use_vector(b, op->operands[0]);
  x.out = sim_define(b, op->results[0]);
  sim_emit(b, op, run_search, &x);
  return PFL_STATUS_OK;
}

pfl_status sim_bind_reduce(sim_build *b, const mo_op *op) {
  return op->info->id == MO_TPU_REDUCE_INDEX ? bind_search(b, op)
                                             : bind_reduction(b, op);
}
