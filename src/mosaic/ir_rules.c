/* The verifier's rules of values: elementwise ops, and ops on vectors. */
#include <string.h>

#include "mosaic/ir_rules.h"

/* Sizes of an attribute of numbers, [1, 2] or array<i32: 1, 2>. */
static int64_t number_at(const mo_attr *attr, int i) {
  return attr->kind == MO_ATTR_NUMBERS ? attr->numbers[i]
                                       : attr->items[i]->integer;
}

static pfl_status check_same(const mo_check *c) {
  const mo_op *op = c->op;
  const mo_type *type = op->results[0]->type;
  for (int i = 0; i < op->operand_count; i++)
    if (op->operands[i]->type != type)
      return mo_broken(c, MO_RULE_SAME_TYPES, "%s and %s",
                       mo_type_text(op->operands[i]), type->text);
  return PFL_STATUS_OK;
}

static pfl_status check_compare(const mo_check *c) {
  const mo_value *x = c->op->operands[0], *result = c->op->results[0];
  int64_t predicate = mo_op_get(c->op, "predicate")->integer;
  int64_t most = c->op->info->id == MO_ARITH_CMPF ? 15 : 9;
  if (x->type != c->op->operands[1]->type)
    return mo_broken(c, MO_RULE_SAME_TYPES, "%s and %s", mo_type_text(x),
                     mo_type_text(c->op->operands[1]));
  if (!mo_type_same_shape(x->type, result->type))
    return mo_broken(c, MO_RULE_COMPARE_SHAPE, "%s from %s",
                     mo_type_text(result), mo_type_text(x));
  if (predicate < 0 || predicate > most)
    return mo_broken(c, MO_RULE_PREDICATE, "%lld", (long long)predicate);
  return PFL_STATUS_OK;
}

static pfl_status check_cast(const mo_check *c) {
  const mo_type *from = c->op->operands[0]->type, *to = c->op->results[0]->type;
  int narrow = mo_element_bits(from->element);
  int wide = mo_element_bits(to->element);
  bool fine = mo_type_same_shape(from, to);
  switch (c->op->info->id) {
    case MO_ARITH_TRUNCF:
    case MO_ARITH_TRUNCI:
    case MO_TPU_TRUNCF: fine = fine && wide < narrow; break;
    case MO_ARITH_EXTF:
    case MO_ARITH_EXTSI:
    case MO_ARITH_EXTUI:
    case MO_TPU_EXTF: fine = fine && wide > narrow; break;
    case MO_ARITH_BITCAST: fine = fine && wide == narrow; break;
    case MO_ARITH_INDEX_CAST:
      fine = fine && (from->element == MO_INDEX) != (to->element == MO_INDEX);
      break;
    default: break;
  }
  if (fine) return PFL_STATUS_OK;
  return mo_broken(c, MO_RULE_CAST, "%s to %s", from->text, to->text);
}

static pfl_status check_select(const mo_check *c) {
  const mo_value *condition = c->op->operands[0], *x = c->op->operands[1];
  bool fits = condition->type->kind == MO_TYPE_SCALAR ||
              mo_type_same_shape(condition->type, x->type);
  if (!fits || x->type != c->op->operands[2]->type ||
      x->type != c->op->results[0]->type)
    return mo_broken(c, MO_RULE_SELECT, "%s ? %s : %s", mo_type_text(condition),
                     mo_type_text(x), mo_type_text(c->op->operands[2]));
  return PFL_STATUS_OK;
}

static pfl_status check_constant(const mo_check *c) {
  const mo_type *type = c->op->results[0]->type;
  const mo_attr *value = mo_op_get(c->op, "value");
  bool fits = value->kind == MO_ATTR_BOOL
                  ? type->kind == MO_TYPE_SCALAR && type->element == MO_I1
                  : value->kind == MO_ATTR_TEXT || value->type == type;
  if (fits) return PFL_STATUS_OK;
  return mo_broken(c, MO_RULE_CONSTANT, "%s for %s",
                   value->type ? value->type->text : "i1", type->text);
}

static pfl_status check_broadcast(const mo_check *c) {
  const mo_type *from = c->op->operands[0]->type, *to = c->op->results[0]->type;
  int lead = to->rank - from->rank;
  bool fits = from->element == to->element && lead >= 0 &&
              (from->kind == MO_TYPE_VECTOR || from->kind == MO_TYPE_SCALAR);
  for (int i = 0; fits && i < from->rank; i++)
    fits = from->shape[i] == 1 || from->shape[i] == to->shape[lead + i];
  if (fits) return PFL_STATUS_OK;
  return mo_broken(c, MO_RULE_BROADCAST, "%s to %s", from->text, to->text);
}

static pfl_status check_reshape(const mo_check *c) {
  const mo_type *from = c->op->operands[0]->type, *to = c->op->results[0]->type;
  int64_t count = mo_type_count(from);
  if (from->element == to->element && count >= 0 && count == mo_type_count(to))
    return PFL_STATUS_OK;
  return mo_broken(c, MO_RULE_RESHAPE, "%s to %s", from->text, to->text);
}

static pfl_status check_reduction(const mo_check *c) {
  const mo_type *from = c->op->operands[0]->type,
                *acc = c->op->operands[1]->type;
  const mo_attr *dims = mo_op_get(c->op, "reduction_dims");
  bool gone[MO_RANK_MAX] = {false};
  bool fits = from->rank >= 2 && dims->count > 0;
  for (int i = 0; fits && i < dims->count; i++) {
    int64_t dim = dims->numbers[i];
    fits = dim >= 0 && dim < from->rank && !gone[dim];
    if (fits) gone[dim] = true;
  }
  int left = 0;
  for (int i = 0; fits && i < from->rank; i++) {
    if (gone[i]) continue;
    fits = left < acc->rank && acc->shape[left] == from->shape[i];
    left++;
  }
  if (!fits || left != acc->rank || acc->element != from->element)
    return mo_broken(c, MO_RULE_REDUCTION, "%s to %s", from->text, acc->text);
  if (acc != c->op->results[0]->type)
    return mo_broken(c, MO_RULE_REDUCTION_ACC, "%s and %s", acc->text,
                     mo_type_text(c->op->results[0]));
  return PFL_STATUS_OK;
}

/* `part` in `whole` at static offsets. */
static pfl_status check_slice(const mo_check *c, const mo_type *part,
                              const mo_type *whole) {
  const mo_attr *offsets = mo_op_get(c->op, "offsets");
  const mo_attr *strides = mo_op_get(c->op, "strides");
  const mo_attr *sizes = mo_op_get(c->op, "sizes");
  bool fits = part->element == whole->element && part->rank == whole->rank &&
              offsets->count == whole->rank && strides->count == whole->rank &&
              (!sizes || sizes->count == whole->rank);
  for (int i = 0; fits && i < whole->rank; i++) {
    int64_t offset = number_at(offsets, i), stride = number_at(strides, i);
    fits = (!sizes || number_at(sizes, i) == part->shape[i]) && stride == 1 &&
           offset >= 0 && part->shape[i] <= whole->shape[i] &&
           offset <= whole->shape[i] - part->shape[i];
  }
  if (fits) return PFL_STATUS_OK;
  return mo_broken(c, MO_RULE_SLICE, "%s of %s", part->text, whole->text);
}

/* Pairs of dimensions, of lhs and rhs, of one size, each taken once. */
static bool take_pairs(const mo_type *lhs, const mo_type *rhs,
                       const int *lhs_dims, const int *rhs_dims, int count,
                       bool *lhs_taken, bool *rhs_taken) {
  for (int i = 0; i < count; i++) {
    int l = lhs_dims[i], r = rhs_dims[i];
    if (l >= lhs->rank || r >= rhs->rank || lhs_taken[l] || rhs_taken[r] ||
        lhs->shape[l] != rhs->shape[r])
      return false;
    lhs_taken[l] = rhs_taken[r] = true;
  }
  return true;
}

static bool take_kept(const mo_type *type, const int *dims, int count,
                      bool *taken) {
  for (int i = 0; i < count; i++) {
    if (dims[i] >= type->rank || taken[dims[i]]) return false;
    taken[dims[i]] = true;
  }
  for (int i = 0; i < type->rank; i++)
    if (!taken[i]) return false;
  return true;
}

static bool matmul_fits(const mo_type *lhs, const mo_type *rhs,
                        const mo_type *acc, const mo_dot *dot) {
  bool l[MO_RANK_MAX] = {false}, r[MO_RANK_MAX] = {false};
  const int *n = dot->counts;
  if (n[0] != 1 || n[1] != 1 || n[5] != n[6] || n[4] != 2 * acc->rank)
    return false;
  if (!take_pairs(lhs, rhs, dot->lhs_contract, dot->rhs_contract, 1, l, r) ||
      !take_pairs(lhs, rhs, dot->lhs_batch, dot->rhs_batch, n[5], l, r) ||
      !take_kept(lhs, dot->lhs_keep, n[2], l) ||
      !take_kept(rhs, dot->rhs_keep, n[3], r) ||
      acc->rank != n[5] + n[2] + n[3])
    return false;
  for (int i = 0; i < acc->rank; i++) {
    const mo_type *side = dot->output[2 * i] ? rhs : lhs;
    int dim = dot->output[2 * i + 1];
    if (dim >= side->rank || side->shape[dim] != acc->shape[i]) return false;
  }
  return true;
}

static pfl_status check_matmul(const mo_check *c) {
  const mo_type *lhs = c->op->operands[0]->type,
                *rhs = c->op->operands[1]->type;
  const mo_type *acc = c->op->operands[2]->type;
  static const mo_dot plain = {.rhs_contract = {0},
                               .lhs_contract = {1},
                               .lhs_keep = {0},
                               .rhs_keep = {1},
                               .output = {0, 0, 1, 1},
                               .counts = {1, 1, 1, 1, 4, 0, 0}};
  mo_dot dot = plain;
  const mo_attr *numbers = mo_op_get(c->op, "dimension_numbers");
  if ((numbers && !mo_attr_dot(numbers, &dot)) ||
      !matmul_fits(lhs, rhs, acc, &dot))
    return mo_broken(c, MO_RULE_MATMUL, "%s by %s to %s", lhs->text, rhs->text,
                     acc->text);
  if (mo_element_bits(acc->element) != 32 || acc != c->op->results[0]->type)
    return mo_broken(c, MO_RULE_MATMUL_ACC, "%s", acc->text);
  return PFL_STATUS_OK;
}

static pfl_status check_iota(const mo_check *c) {
  const mo_type *type = c->op->results[0]->type;
  const mo_attr *dims = mo_op_get(c->op, "dimensions");
  bool fits = type->rank >= 2 && type->element == MO_I32 && dims->count > 0;
  bool taken[MO_RANK_MAX] = {false};
  for (int i = 0; fits && i < dims->count; i++) {
    int64_t dim = dims->numbers[i];
    fits = dim >= 0 && dim < type->rank && !taken[dim];
    if (fits) taken[dim] = true;
  }
  return fits ? PFL_STATUS_OK : mo_broken(c, MO_RULE_IOTA, "%s", type->text);
}

static pfl_status check_concatenate(const mo_check *c) {
  const mo_type *to = c->op->results[0]->type;
  int64_t dim = mo_op_get(c->op, "dimension")->integer, size = 0;
  bool fits = c->op->operand_count > 0 && dim >= 0 && dim < to->rank;
  for (int i = 0; fits && i < c->op->operand_count; i++) {
    const mo_type *from = c->op->operands[i]->type;
    fits = from->element == to->element && from->rank == to->rank;
    for (int j = 0; fits && j < to->rank; j++)
      fits = j == dim || from->shape[j] == to->shape[j];
    if (fits && __builtin_add_overflow(size, from->shape[dim], &size))
      fits = false;
  }
  if (fits && size == to->shape[dim]) return PFL_STATUS_OK;
  return mo_broken(c, MO_RULE_CONCATENATE, "%d vectors to %s",
                   c->op->operand_count, to->text);
}

static pfl_status check_transpose(const mo_check *c) {
  const mo_type *from = c->op->operands[0]->type, *to = c->op->results[0]->type;
  const mo_attr *order = mo_op_get(c->op, "permutation");
  bool fits = from->element == to->element && from->rank == to->rank &&
              order->count == to->rank;
  bool taken[MO_RANK_MAX] = {false};
  for (int i = 0; fits && i < to->rank; i++) {
    int64_t dim = order->numbers[i];
    fits = dim >= 0 && dim < to->rank && !taken[dim] &&
           from->shape[dim] == to->shape[i];
    if (fits) taken[dim] = true;
  }
  if (fits) return PFL_STATUS_OK;
  return mo_broken(c, MO_RULE_TRANSPOSE, "%s to %s", from->text, to->text);
}

static pfl_status check_rotate(const mo_check *c) {
  const mo_type *type = c->op->operands[0]->type;
  int64_t dim = mo_op_get(c->op, "dimension")->integer;
  const mo_attr *along = mo_op_get(c->op, "stride_dimension");
  bool fits = dim >= 0 && dim < type->rank && type == c->op->results[0]->type &&
              (!along || (along->integer >= 0 && along->integer < type->rank &&
                          along->integer != dim));
  return fits ? PFL_STATUS_OK : mo_broken(c, MO_RULE_ROTATE, "%s", type->text);
}

static bool bitcast_fits(const mo_type *from, const mo_type *to) {
  int64_t narrow = mo_element_bits(from->element);
  int64_t wide = mo_element_bits(to->element);
  bool fits = from->rank == to->rank && narrow > 0 && wide > 0;
  for (int i = 0; fits && i < to->rank; i++) {
    int64_t x = from->shape[i], y = to->shape[i];
    bool packed = i == to->rank - 2;
    fits = packed ? x >= 0 && y >= 0 && x < INT64_MAX / 64 &&
                        y < INT64_MAX / 64 && x * narrow == y * wide
                  : x == y;
  }
  return fits && (to->rank >= 2 || narrow == wide);
}

static pfl_status check_repeat(const mo_check *c) {
  const mo_type *from = c->op->operands[0]->type, *to = c->op->results[0]->type;
  int64_t dim = mo_op_get(c->op, "dimension")->integer, size;
  int64_t times = mo_op_get(c->op, "times")->integer;
  bool fits = from->element == to->element && from->rank == to->rank &&
              dim >= 0 && dim < to->rank && times >= 1;
  for (int i = 0; fits && i < to->rank; i++)
    fits =
        !__builtin_mul_overflow(from->shape[i], i == dim ? times : 1, &size) &&
        size == to->shape[i];
  if (fits) return PFL_STATUS_OK;
  return mo_broken(c, MO_RULE_REPEAT, "%s to %s", from->text, to->text);
}

static pfl_status check_loop(const mo_check *c) {
  mo_value *const *bounds = c->op->operands;
  const mo_type *type = bounds[0]->type;
  if (type->kind == MO_TYPE_SCALAR && type == bounds[1]->type &&
      type == bounds[2]->type)
    return PFL_STATUS_OK;
  return mo_broken(c, MO_RULE_LOOP, "%s, %s, %s", type->text,
                   mo_type_text(bounds[1]), mo_type_text(bounds[2]));
}

pfl_status mo_check_types(const mo_check *c) {
  const mo_op *op = c->op;
  if (op->info->rule == MO_KIND_SAME) PFL_TRY(check_same(c));
  if (op->info->rule == MO_KIND_COMPARE) return check_compare(c);
  if (op->info->rule == MO_KIND_CAST) return check_cast(c);
  switch (op->info->id) {
    case MO_ARITH_CONSTANT: return check_constant(c);
    case MO_ARITH_SELECT: return check_select(c);
    case MO_VECTOR_BROADCAST: return check_broadcast(c);
    case MO_VECTOR_SHAPE_CAST:
    case MO_TPU_RESHAPE: return check_reshape(c);
    case MO_VECTOR_MULTI_REDUCTION: return check_reduction(c);
    case MO_VECTOR_EXTRACT_STRIDED_SLICE:
      return check_slice(c, op->results[0]->type, op->operands[0]->type);
    case MO_VECTOR_INSERT_STRIDED_SLICE:
      if (op->operands[1]->type != op->results[0]->type)
        return mo_broken(c, MO_RULE_SLICE, "into %s gives %s",
                         mo_type_text(op->operands[1]),
                         mo_type_text(op->results[0]));
      return check_slice(c, op->operands[0]->type, op->results[0]->type);
    case MO_TPU_MATMUL: return check_matmul(c);
    case MO_TPU_IOTA: return check_iota(c);
    case MO_TPU_CONCATENATE: return check_concatenate(c);
    case MO_TPU_TRANSPOSE: return check_transpose(c);
    case MO_TPU_DYNAMIC_ROTATE: return check_rotate(c);
    case MO_TPU_REPEAT: return check_repeat(c);
    case MO_TPU_BITCAST:
      if (bitcast_fits(op->operands[0]->type, op->results[0]->type)) break;
      return mo_broken(c, MO_RULE_BITCAST, "%s to %s",
                       mo_type_text(op->operands[0]),
                       mo_type_text(op->results[0]));
    case MO_TPU_RECIPROCAL:
      PFL_TRY(check_same(c));
      if (op->results[0]->type->element == MO_F32) break;
      return mo_broken(c, MO_RULE_RECIPROCAL, "%s",
                       mo_type_text(op->results[0]));
    case MO_TPU_ASSUME_MULTIPLE:
      if (mo_op_get(op, "multiple")->integer >= 1) break;
      return mo_broken(c, MO_RULE_MULTIPLE, "%lld",
                       (long long)mo_op_get(op, "multiple")->integer);
    case MO_SCF_FOR: return check_loop(c);
    default: break;
  }
  return PFL_STATUS_OK;
}
