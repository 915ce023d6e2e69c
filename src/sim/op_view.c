/* References: parts and other looks of memory, and memory of a scope. */
#include "base/memory.h"
#include "sim/build.h"
#include "sim/contents.h"
#include "sim/taint.h"

typedef struct slice {
  sim_slot out, in;
  int32_t rank;
  sim_slot at[SIM_RANK_MAX];
  sim_slot sizes[SIM_RANK_MAX]; /* kind NOTHING: fixed */
  int64_t fixed[SIM_RANK_MAX];
} slice;

/* DMAs move whole tiles: what is cut out begins and ends between two. */
static void check_tiles(sim_chip *chip, const sim_inst *inst,
                        const sim_view *from, const int64_t *at,
                        const int64_t *sizes) {
  for (int i = 0; i < from->rank; i++) {
    int32_t tile = from->tiles[i];
    int64_t end = at[i] + sizes[i];
    if (tile <= 1 ||
        (at[i] % tile == 0 && (end % tile == 0 || end == from->sizes[i])))
      continue;
    sim_hazard_add(chip, SIM_HAZARD_ALIGNMENT, inst->site,
                   "%lld .. %lld of %lld in dimension %d of %s cuts tiles of "
                   "%d",
                   (long long)at[i], (long long)end - 1,
                   (long long)from->sizes[i], i, from->memory->plan->name,
                   tile);
  }
}

static const sim_inst *run_slice(sim_chip *chip, const sim_inst *inst) {
  const slice *x = inst->data;
  const sim_view *from = &chip->views[x->in.index];
  int64_t at[SIM_RANK_MAX], sizes[SIM_RANK_MAX];
  for (int i = 0; i < x->rank; i++) {
    sim_decides(chip, inst, x->at[i]);
    at[i] = chip->scalars[x->at[i].index].i;
    sizes[i] = x->fixed[i];
    if (!x->sizes[i].kind) continue;
    sim_decides(chip, inst, x->sizes[i]);
    sizes[i] = chip->scalars[x->sizes[i].index].i;
  }
  sim_view out;
  int dim = -1;
  for (int i = 0; i < x->rank; i++)
    if (sizes[i] < 0) dim = i;
  if (dim < 0) dim = sim_view_part(from, at, sizes, NULL, &out);
  if (dim >= 0)
    return sim_hazard_stop(
        chip, SIM_HAZARD_BOUNDS, inst,
        "%lld elements at %lld of %lld in dimension %d of %s",
        (long long)sizes[dim], (long long)at[dim], (long long)from->sizes[dim],
        dim, from->memory->plan->name);
  check_tiles(chip, inst, from, at, sizes);
  chip->views[x->out.index] = out;
  return inst + 1;
}

static pfl_status bind_slice(sim_build *b, const mo_op *op) {
  const mo_type *type = op->results[0]->type;
  mo_group at = mo_op_group(op, "base_idx");
  mo_group sizes = mo_op_group(op, "dynamic_sizes");
  slice x = {.rank = type->rank};
  if (type->rank > SIM_RANK_MAX)
    return sim_unknown(b, op, "more than %d dimensions", SIM_RANK_MAX);
  x.in = sim_use(b, op->operands[0]);
  for (int i = 0, d = 0; i < type->rank; i++) {
    x.at[i] = sim_use(b, at.values[i]);
    if (type->shape[i] == MO_DYNAMIC)
      x.sizes[i] = sim_use(b, sizes.values[d++]);
    else
      x.fixed[i] = type->shape[i];
  }
  x.out = sim_define(b, op->results[0]);
  sim_emit(b, op, run_slice, &x);
  return PFL_STATUS_OK;
}

/* ---- Other looks --------------------------------------------------------- */

typedef struct look {
  sim_slot out, in;
  int32_t rank;
  int64_t shape[SIM_RANK_MAX]; /* MO_DYNAMIC: what the input has */
  bool kept[SIM_RANK_MAX];     /* of the input's dimensions, by a squeeze */
  mo_element element;
} look;

static const sim_inst *run_squeeze(sim_chip *chip, const sim_inst *inst) {
  const look *x = inst->data;
  const sim_view *from = &chip->views[x->in.index];
  sim_view out = *from;
  out.rank = 0;
  for (int i = 0; i < from->rank; i++) {
    if (!x->kept[i]) continue;
    out.sizes[out.rank] = from->sizes[i];
    out.strides[out.rank] = from->strides[i];
    out.tiles[out.rank++] = from->tiles[i];
  }
  chip->views[x->out.index] = out;
  return inst + 1;
}

static pfl_status bind_squeeze(sim_build *b, const mo_op *op) {
  const mo_type *from = op->operands[0]->type, *to = op->results[0]->type;
  look x = {.in = sim_use(b, op->operands[0])};
  if (from->rank > SIM_RANK_MAX)
    return sim_unknown(b, op, "more than %d dimensions", SIM_RANK_MAX);
  for (int i = 0, next = 0; i < from->rank; i++) {
    /* a 1 goes unless it is needed to reach the end */
    x.kept[i] = next < to->rank && to->shape[next] == from->shape[i];
    if (x.kept[i]) next++;
  }
  x.out = sim_define(b, op->results[0]);
  sim_emit(b, op, run_squeeze, &x);
  return PFL_STATUS_OK;
}

/* Whether the rows lie end to end. */
static bool is_dense(const sim_view *view) {
  int64_t stride = sim_view_unit(view);
  for (int i = view->rank - 1; i >= 0; i--) {
    if (view->sizes[i] != 1 && view->strides[i] != stride) return false;
    stride *= view->sizes[i];
  }
  return view->pack == 1;
}

static const sim_inst *run_reshape(sim_chip *chip, const sim_inst *inst) {
  const look *x = inst->data;
  sim_view out = chip->views[x->in.index];
  if (!is_dense(&out))
    return sim_hazard_stop(chip, SIM_HAZARD_ALIGNMENT, inst,
                           "another shape of %s, which does not lie together",
                           out.memory->plan->name);
  int64_t count = sim_view_count(&out);
  sim_view_dense(&out, x->rank, x->shape);
  if (sim_view_count(&out) != count)
    return sim_hazard_stop(chip, SIM_HAZARD_BOUNDS, inst,
                           "%lld elements of %s in another shape of %lld",
                           (long long)count, out.memory->plan->name,
                           (long long)sim_view_count(&out));
  chip->views[x->out.index] = out;
  return inst + 1;
}

/* To wider elements: rows r * pack and on become row r. */
static const sim_inst *run_pack(sim_chip *chip, const sim_inst *inst) {
  const look *x = inst->data;
  sim_view out = chip->views[x->in.index];
  int pack = sim_element_bytes(x->element) / sim_element_bytes(out.element);
  int row = out.rank - 2;
  if (out.pack != 1 || out.sizes[row] % pack)
    return sim_hazard_stop(
        chip, SIM_HAZARD_ALIGNMENT, inst, "%lld rows of %s packed by %d",
        (long long)out.sizes[row], out.memory->plan->name, pack);
  out.element = x->element;
  out.pack = pack;
  out.pack_stride = out.strides[row];
  out.strides[row] *= pack;
  out.sizes[row] /= pack;
  out.tiles[row] = (int32_t)base_max(1, out.tiles[row] / pack);
  chip->views[x->out.index] = out;
  return inst + 1;
}

static const sim_inst *run_same(sim_chip *chip, const sim_inst *inst) {
  const look *x = inst->data;
  sim_view out = chip->views[x->in.index];
  out.element = x->element;
  chip->views[x->out.index] = out;
  return inst + 1;
}

static pfl_status bind_look(sim_build *b, const mo_op *op) {
  const mo_type *from = op->operands[0]->type, *to = op->results[0]->type;
  mo_op_id id = op->info->id;
  look x = {.rank = to->rank, .element = to->element};
  bool fixed = to->rank <= SIM_RANK_MAX && mo_type_count(to) >= 0;
  for (int i = 0; fixed && i < to->rank; i++) x.shape[i] = to->shape[i];
  bool same = from->element == to->element && mo_type_same_shape(from, to);
  bool reshapes = id == MO_TPU_MEMREF_RESHAPE ||
                  (id == MO_TPU_REINTERPRET_CAST && op->operand_count == 1 &&
                   mo_type_count(from) == mo_type_count(to));
  sim_run_fn *run =
      same       ? run_same
      : reshapes ? (fixed && from->element == to->element ? run_reshape : NULL)
                 : NULL;
  if (id == MO_TPU_MEMREF_BITCAST) {
    int wide = sim_element_bytes(to->element);
    int narrow = sim_element_bytes(from->element);
    run = wide == narrow ? run_same : wide > narrow ? run_pack : NULL;
    if (from->rank < 2 && wide != narrow) run = NULL;
  }
  if (!run || (op->operand_count > 1))
    return sim_unknown(b, op, "%s as %s", from->text, to->text);
  x.in = sim_use(b, op->operands[0]);
  x.out = sim_define(b, op->results[0]);
  sim_emit(b, op, run, &x);
  return PFL_STATUS_OK;
}

/* ---- Memory of a scope --------------------------------------------------- */

typedef struct allocation {
  sim_slot out;
  int32_t memory;
} allocation;

static const sim_inst *run_allocation(sim_chip *chip, const sim_inst *inst) {
  const allocation *x = inst->data;
  sim_memory *memory = &chip->memories[x->memory];
  sim_memory_forget(chip, memory);
  chip->views[x->out.index] = sim_memory_view(memory);
  return inst + 1;
}

static pfl_status bind_allocation(sim_build *b, const mo_op *op) {
  allocation x;
  if (op->operand_count) return sim_unknown(b, op, "sizes that are not fixed");
  const char *name = op->info->id == MO_TPU_SEM_ALLOC ? "semaphores of a scope"
                                                      : "memory of a scope";
  PFL_TRY(sim_add_memory(b, op->results[0]->type, name, &x.memory));
  x.out = sim_define(b, op->results[0]);
  b->memory_of[op->results[0]->id] = x.memory;
  sim_emit(b, op, run_allocation, &x);
  return PFL_STATUS_OK;
}

static pfl_status bind_barrier(sim_build *b, const mo_op *op) {
  if (b->program->barrier < 0)
    return sim_unknown(b, op,
                       "a barrier semaphore without a collective_id and "
                       "has_communication");
  allocation x = {.memory = b->program->barrier};
  x.out = sim_define(b, op->results[0]);
  sim_emit(b, op, run_allocation, &x);
  return PFL_STATUS_OK;
}

pfl_status sim_bind_view(sim_build *b, const mo_op *op) {
  switch (op->info->id) {
    case MO_TPU_MEMREF_SLICE: return bind_slice(b, op);
    case MO_TPU_MEMREF_SQUEEZE: return bind_squeeze(b, op);
    case MO_MEMREF_ALLOCA:
    case MO_TPU_SEM_ALLOC: return bind_allocation(b, op);
    case MO_TPU_SEM_BARRIER: return bind_barrier(b, op);
    default: return bind_look(b, op);
  }
}
