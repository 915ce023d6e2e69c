/* The verifier's rules of memory: accesses, views, DMAs, semaphores; and of
 * kernels and their windows. */
#include <string.h>

#include "mosaic/ir_rules.h"

/* ---- Accesses --------------------------------------------------------------
 */

/* Vectors of the tensor core lie in VMEM alone, or where it is yet to be said.
 */
static bool holds_vectors(const mo_type *ref) {
  return ref->space == MO_VMEM || ref->space == MO_NO_SPACE;
}

static pfl_status check_strides(const mo_check *c, const mo_type *ref,
                                const mo_attr *strides) {
  bool fits = strides->count == ref->rank;
  for (int i = 0; fits && i < strides->count; i++)
    fits = strides->numbers[i] >= 1;
  if (fits) return PFL_STATUS_OK;
  return mo_broken(c, MO_RULE_STRIDES, "%d of them for %s", strides->count,
                   ref->text);
}

/* `vector` is moved to or from `ref`. */
static pfl_status check_vector_access(const mo_check *c, const mo_type *vector,
                                      const mo_type *ref) {
  const mo_op *op = c->op;
  const mo_attr *strides = mo_op_get(op, "strides");
  const mo_value *mask = mo_op_operand(op, "mask");
  if (mo_op_group(op, "indices").count != ref->rank)
    return mo_broken(c, MO_RULE_INDICES, "%d into %s",
                     mo_op_group(op, "indices").count, ref->text);
  if (!holds_vectors(ref))
    return mo_broken(c, MO_RULE_ACCESS_SPACE, "%s", ref->text);
  bool strided = strides && strides->count;
  if (strides && (strided || op->info->id == MO_TPU_STRIDED_LOAD ||
                  op->info->id == MO_TPU_STRIDED_STORE))
    PFL_TRY(check_strides(c, ref, strides));
  bool fits = vector->element == ref->element && vector->rank == ref->rank;
  for (int i = 0; fits && i < ref->rank; i++)
    fits = ref->shape[i] == MO_DYNAMIC || vector->shape[i] <= ref->shape[i];
  if (!fits)
    return mo_broken(c, MO_RULE_ACCESS_SHAPE, "%s of %s", vector->text,
                     ref->text);
  if (mask && !mo_type_same_shape(mask->type, vector))
    return mo_broken(c, MO_RULE_MASK, "%s of %s", mo_type_text(mask),
                     vector->text);
  return PFL_STATUS_OK;
}

static pfl_status check_scalar_access(const mo_check *c,
                                      const mo_type *scalar) {
  const mo_type *ref = mo_op_operand(c->op, "memref")->type;
  if (mo_op_group(c->op, "indices").count != ref->rank)
    return mo_broken(c, MO_RULE_INDICES, "%d into %s",
                     mo_op_group(c->op, "indices").count, ref->text);
  if (ref->space != MO_SMEM && ref->space != MO_NO_SPACE)
    return mo_broken(c, MO_RULE_ACCESS_SPACE, "%s", ref->text);
  if (scalar->kind != MO_TYPE_SCALAR || scalar->element != ref->element)
    return mo_broken(c, MO_RULE_ACCESS_SHAPE, "%s of %s", scalar->text,
                     ref->text);
  return PFL_STATUS_OK;
}

/* ---- Views -----------------------------------------------------------------
 */

static bool slice_fits(const mo_check *c, const mo_type *from,
                       const mo_type *to) {
  bool fits = from->rank == to->rank &&
              mo_op_group(c->op, "base_idx").count == from->rank;
  int dynamic = 0;
  for (int i = 0; fits && i < to->rank; i++) {
    dynamic += to->shape[i] == MO_DYNAMIC;
    fits = to->shape[i] == MO_DYNAMIC || from->shape[i] == MO_DYNAMIC ||
           to->shape[i] <= from->shape[i];
  }
  return fits && mo_op_group(c->op, "dynamic_sizes").count == dynamic;
}

/* `to` is `from` without some dimensions of size 1. */
static bool squeeze_fits(const mo_type *from, const mo_type *to) {
  int next = 0;
  for (int i = 0; i < from->rank; i++) {
    if (next < to->rank && to->shape[next] == from->shape[i])
      next++;
    else if (from->shape[i] != 1)
      return false;
  }
  return next == to->rank;
}

static bool packs(const mo_type *from, const mo_type *to) {
  int64_t a = mo_element_bits(from->element), b = mo_element_bits(to->element);
  bool fits = from->rank == to->rank && to->rank >= 2 && a && b;
  for (int i = 0; fits && i < to->rank; i++) {
    int64_t x = from->shape[i], y = to->shape[i];
    fits = i != to->rank - 2 || x == MO_DYNAMIC || y == MO_DYNAMIC
               ? x == y
               : x < INT64_MAX / 64 && y < INT64_MAX / 64 && x * a == y * b;
  }
  return fits;
}

static pfl_status check_view(const mo_check *c) {
  const mo_type *from = c->op->operands[0]->type, *to = c->op->results[0]->type;
  mo_op_id id = c->op->info->id;
  if (from->space != to->space ||
      (from->element != to->element && id != MO_TPU_MEMREF_BITCAST))
    return mo_broken(c, MO_RULE_REFERENCE, "%s to %s", from->text, to->text);
  bool fits = id == MO_TPU_MEMREF_SLICE     ? slice_fits(c, from, to)
              : id == MO_TPU_MEMREF_SQUEEZE ? squeeze_fits(from, to)
              : id == MO_TPU_MEMREF_BITCAST
                  ? packs(from, to)
                  : mo_type_count(from) == mo_type_count(to);
  if (fits) return PFL_STATUS_OK;
  return mo_broken(c, MO_RULE_REFERENCE_SHAPE, "%s to %s", from->text,
                   to->text);
}

/* ---- DMA, semaphores --------------------------------------------------------
 */

static pfl_status check_semaphore(const mo_check *c, const char *name) {
  const mo_value *semaphore = mo_op_operand(c->op, name);
  if (!semaphore || !semaphore->type->rank) return PFL_STATUS_OK;
  return mo_broken(c, MO_RULE_SEMAPHORE_RANK, "%s", mo_type_text(semaphore));
}

static pfl_status check_dma(const mo_check *c) {
  const mo_type *from = mo_op_operand(c->op, "source")->type;
  const mo_type *to = mo_op_operand(c->op, "target")->type;
  bool remote = mo_op_operand(c->op, "device_id") != NULL;
  bool sent = mo_op_operand(c->op, "source_semaphore") != NULL;
  if (from->element != to->element || !mo_type_same_shape(from, to))
    return mo_broken(c, MO_RULE_DMA, "%s to %s", from->text, to->text);
  if (!mo_op_operand(c->op, "target_semaphore") || remote != sent)
    return mo_broken(c, MO_RULE_DMA_SEMAPHORES, "a %s one, %s source semaphore",
                     remote ? "remote" : "local", sent ? "with" : "without");
  PFL_TRY(check_semaphore(c, "source_semaphore"));
  return check_semaphore(c, "target_semaphore");
}

pfl_status mo_check_memory(const mo_check *c) {
  const mo_op *op = c->op;
  switch (op->info->id) {
    case MO_VECTOR_LOAD:
    case MO_TPU_VECTOR_LOAD:
    case MO_TPU_STRIDED_LOAD:
      return check_vector_access(c, op->results[0]->type,
                                 op->operands[0]->type);
    case MO_VECTOR_STORE:
    case MO_TPU_VECTOR_STORE:
    case MO_TPU_STRIDED_STORE:
      return check_vector_access(c, op->operands[0]->type,
                                 op->operands[1]->type);
    case MO_MEMREF_LOAD: return check_scalar_access(c, op->results[0]->type);
    case MO_MEMREF_STORE: return check_scalar_access(c, op->operands[0]->type);
    case MO_TPU_MEMREF_SLICE:
    case MO_TPU_MEMREF_SQUEEZE:
    case MO_TPU_MEMREF_RESHAPE:
    case MO_TPU_MEMREF_BITCAST: return check_view(c);
    case MO_TPU_ENQUEUE_DMA: return check_dma(c);
    case MO_TPU_SEM_BARRIER:
      if (!op->results[0]->type->rank) break;
      return mo_broken(c, MO_RULE_SEMAPHORE_RANK, "%s",
                       mo_type_text(op->results[0]));
    case MO_TPU_WAIT_DMA2:
    case MO_TPU_SEM_SIGNAL:
    case MO_TPU_SEM_WAIT: return check_semaphore(c, "semaphore");
    default: break;
  }
  return PFL_STATUS_OK;
}

/* ---- Functions
 * ---------------------------------------------------------------- */

static int64_t integer_of(const mo_op *op, const char *name) {
  const mo_attr *attr = mo_op_get(op, name);
  return attr ? attr->integer : 0;
}

static pfl_status check_signature(const mo_check *c) {
  const mo_type *type = mo_op_get(c->op, "function_type")->type;
  const mo_region *body = c->op->regions[0];
  const mo_op *end = body->last; /* func.return: the walk has seen to that */
  bool fits = type->kind == MO_TYPE_FUNCTION &&
              type->input_count == body->argument_count &&
              type->result_count == end->operand_count;
  for (int i = 0; fits && i < type->input_count; i++)
    fits = type->parts[i] == body->arguments[i]->type;
  for (int i = 0; fits && i < type->result_count; i++)
    fits = type->parts[type->input_count + i] == end->operands[i]->type;
  return fits ? PFL_STATUS_OK
              : mo_broken(c, MO_RULE_FUNCTION_TYPE, "%s", type->text);
}

/* A window of `argument`: bounds, and a map from what the kernel's leading
 * arguments are to an i32 a dimension. */
static pfl_status check_window(const mo_check *c, const mo_attr *window,
                               const mo_type *argument, int leading) {
  const mo_attr *bounds = mo_attr_get(window, "window_bounds");
  const mo_attr *symbol = mo_attr_get(window, "transform_indices");
  if (window->kind == MO_ATTR_DICT && !window->count) return PFL_STATUS_OK;
  bool fits = bounds && bounds->kind == MO_ATTR_NUMBERS && symbol &&
              symbol->kind == MO_ATTR_SYMBOL && bounds->count == argument->rank;
  for (int i = 0; fits && i < bounds->count; i++)
    fits = bounds->numbers[i] == argument->shape[i];
  if (!fits) return mo_broken(c, MO_RULE_WINDOW, "%s", argument->text);
  const mo_op *map = mo_module_find(c->module, symbol->text);
  const mo_attr *attr = map ? mo_op_get(map, "function_type") : NULL;
  const mo_type *type = attr ? attr->type : NULL;
  const mo_region *body = c->op->regions[0];
  fits = type && type->kind == MO_TYPE_FUNCTION &&
         type->input_count == leading && type->result_count == argument->rank;
  for (int i = 0; fits && i < leading; i++)
    fits = type->parts[i] == body->arguments[i]->type;
  for (int i = 0; fits && i < type->result_count; i++)
    fits = type->parts[leading + i]->element == MO_I32;
  return fits ? PFL_STATUS_OK
              : mo_broken(c, MO_RULE_WINDOW, "its map @%s is %s", symbol->text,
                          type ? type->text : "not there");
}

static pfl_status check_grid(const mo_check *c) {
  const mo_op *op = c->op;
  const mo_region *body = op->regions[0];
  const mo_attr *bounds = mo_op_get(op, "iteration_bounds");
  const mo_attr *windows = mo_op_get(op, "window_params");
  const mo_attr *semantics = mo_op_get(op, "dimension_semantics");
  int64_t axes = bounds ? bounds->count : 0;
  int64_t prefetch = integer_of(op, "scalar_prefetch");
  int64_t scratch = integer_of(op, "scratch_operands");
  int64_t count = body->argument_count;
  bool fits = prefetch >= 0 && scratch >= 0 && prefetch <= count &&
              scratch <= count && axes + prefetch + scratch <= count;
  for (int i = 0; fits && i < axes; i++)
    fits = body->arguments[i]->type->element == MO_I32 &&
           body->arguments[i]->type->kind == MO_TYPE_SCALAR &&
           bounds->numbers[i] != 0;
  for (int i = 0; fits && i < prefetch; i++)
    fits = body->arguments[axes + i]->type->space == MO_SMEM;
  if (bounds && (!semantics || semantics->count != axes)) fits = false;
  if (windows && axes + prefetch + windows->count + scratch != count)
    fits = false;
  if (!fits)
    return mo_broken(c, MO_RULE_GRID,
                     "%lld arguments, %lld axes, %lld prefetched, %lld scratch",
                     (long long)count, (long long)axes, (long long)prefetch,
                     (long long)scratch);
  int leading = (int)(axes + prefetch);
  for (int i = 0; windows && i < windows->count; i++)
    PFL_TRY(check_window(c, windows->items[i],
                         body->arguments[leading + i]->type, leading));
  return PFL_STATUS_OK;
}

pfl_status mo_check_function(const mo_check *c) {
  const mo_attr *name = mo_op_get(c->op, "sym_name");
  if (mo_module_find(c->module, name->text) != c->op)
    return mo_broken(c, MO_RULE_SYMBOL, "@%s", name->text);
  PFL_TRY(check_signature(c));
  return check_grid(c);
}
