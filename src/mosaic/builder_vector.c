/* The builder's ops on whole vectors. */
#include <math.h>

#include "mosaic/builder.h"

static mo_value *result_of(const mo_op *op) {
  return op && op->result_count ? op->results[0] : NULL;
}

static bool is_dimension(mo_builder *b, const mo_value *x, int dimension) {
  if (!mo_is(b, MO_TYPE_VECTOR, x, "the operand")) return false;
  if (dimension < 0 || dimension >= x->type->rank)
    mo_fail(b, "%s has no dimension %d", x->type->text, dimension);
  return !b->error.status;
}

/* The vector type of x with another size of one dimension. */
static const mo_type *resized(mo_builder *b, const mo_value *x, int dimension,
                              int64_t size) {
  int64_t shape[MO_RANK_MAX];
  for (int i = 0; i < x->type->rank; i++) shape[i] = x->type->shape[i];
  shape[dimension] = size;
  return mo_type_vector(b->module, x->type->element, x->type->rank, shape);
}

/* One operand, one result of that shape. */
static mo_value *reshaped(mo_builder *b, mo_op_id id, mo_value *x,
                          mo_shape shape) {
  const mo_type *type = x ? mo_vector_type(b, x->type->element, shape) : NULL;
  return mo_build_(b, id, MO_VALUES(x), type, 0, NULL);
}

mo_value *mo_broadcast_(mo_builder *b, mo_value *x, mo_shape shape) {
  return reshaped(b, MO_VECTOR_BROADCAST, x, shape);
}

mo_value *mo_reshape_(mo_builder *b, mo_value *x, mo_shape shape) {
  if (!mo_is(b, MO_TYPE_VECTOR, x, "what is reshaped")) return NULL;
  if (mo_vector_type(b, x->type->element, shape) == x->type) return x;
  return reshaped(b, MO_VECTOR_SHAPE_CAST, x, shape);
}

mo_value *mo_iota_(mo_builder *b, mo_shape shape, int dimension) {
  const mo_type *type = mo_vector_type(b, MO_I32, shape);
  mo_op *op = mo_emit(b, MO_TPU_IOTA, MO_NONE, 1, &type, 0);
  mo_put_numbers(b, op, "dimensions", MO_I32, 1, (int64_t[]){dimension});
  return result_of(op);
}

/* The MXU's forms: what is contracted is dimension 1 of a matrix as it is on
 * the left, dimension 0 on the right. */
mo_value *mo_matmul_(mo_builder *b, mo_form form) {
  mo_value *acc = mo_held(b);
  mo_value *rhs = mo_held(b);
  mo_value *lhs = mo_held(b);
  static const char *const numbers[] = {
      [MO_NN] =
          "#tpu.dot_dimension_numbers<[1], [0], [0], [1], [0, 0, 1, 1], "
          "[], []>",
      [MO_NT] =
          "#tpu.dot_dimension_numbers<[1], [1], [0], [0], [0, 0, 1, 0], "
          "[], []>",
      [MO_TN] =
          "#tpu.dot_dimension_numbers<[0], [0], [1], [1], [0, 1, 1, 1], "
          "[], []>",
      [MO_TT] =
          "#tpu.dot_dimension_numbers<[0], [1], [1], [0], [0, 1, 1, 0], "
          "[], []>"};
  const mo_type *type = acc ? acc->type : NULL;
  mo_op *op = mo_emit(b, MO_TPU_MATMUL, MO_VALUES(lhs, rhs, acc), 1, &type, 0);
  if (!op) return NULL;
  const mo_attr *no = mo_attr_simple(b->module, MO_ATTR_BOOL, 0, NULL);
  mo_put_text(b, op, MO_ATTR_TEXT, "dimension_numbers", numbers[form]);
  if (lhs->type->element == MO_F32)
    mo_put_text(b, op, MO_ATTR_TEXT, "precision",
                "#tpu.contract_precision<fp32>");
  mo_put(b, op, "transpose_lhs", no);
  mo_put(b, op, "transpose_lhs_hint", no);
  mo_put(b, op, "transpose_rhs", no);
  return result_of(op);
}

mo_value *mo_reduce_(mo_builder *b, mo_combine combine, mo_value *x,
                     int dimension) {
  static const char *const float_kinds[] = {
      "#vector.kind<add>", "#vector.kind<maximumf>", "#vector.kind<minimumf>"};
  static const char *const int_kinds[] = {
      "#vector.kind<add>", "#vector.kind<maxsi>", "#vector.kind<minsi>"};
  if (!is_dimension(b, x, dimension)) return NULL;
  const mo_type *from = x->type;
  bool integers = mo_element_family(from->element) == MO_FAMILY_INTEGER;
  int64_t shape[MO_RANK_MAX];
  for (int i = 0, j = 0; i < from->rank; i++)
    if (i != dimension) shape[j++] = from->shape[i];
  const mo_type *type =
      mo_type_vector(b->module, from->element, from->rank - 1, shape);
  double most = integers ? 2147483647. : INFINITY;
  double neutral[] = {0, integers ? -most - 1 : -most, most};
  mo_value *acc = mo_constant_(b, type, neutral[combine]);
  mo_op *op =
      mo_emit(b, MO_VECTOR_MULTI_REDUCTION, MO_VALUES(x, acc), 1, &type, 0);
  mo_put_text(b, op, MO_ATTR_TEXT, "kind",
              integers ? int_kinds[combine] : float_kinds[combine]);
  mo_put_numbers(b, op, "reduction_dims", MO_I64, 1, (int64_t[]){dimension});
  if (!op) return NULL;
  const mo_type *kept = resized(b, x, dimension, 1);
  return mo_build_(b, MO_VECTOR_SHAPE_CAST, MO_VALUES(result_of(op)), kept, 0,
                   NULL);
}

mo_value *mo_element_of_(mo_builder *b, mo_value *x) {
  if (!mo_is(b, MO_TYPE_VECTOR, x, "what is one element")) return NULL;
  const mo_type *type = mo_scalar_type(b, x->type->element);
  mo_op *op = mo_emit(b, MO_VECTOR_EXTRACT, MO_VALUES(x), 1, &type, 0);
  int64_t zeros[MO_RANK_MAX] = {0};
  mo_put_numbers(b, op, "static_position", MO_I64, x->type->rank, zeros);
  return result_of(op);
}

mo_value *mo_concatenate_(mo_builder *b, mo_values parts, int dimension) {
  int64_t size = 0;
  for (int i = 0; i < parts.count; i++) {
    if (!is_dimension(b, parts.values[i], dimension)) return NULL;
    size += parts.values[i]->type->shape[dimension];
  }
  if (!parts.count) mo_fail(b, "nothing to concatenate");
  if (b->error.status) return NULL;
  const mo_type *type = resized(b, parts.values[0], dimension, size);
  mo_op *op = mo_emit(b, MO_TPU_CONCATENATE, parts, 1, &type, 0);
  mo_put_integer(b, op, "dimension", MO_I32, dimension);
  return result_of(op);
}

/* [1, 2], as the static offsets of slices are written. */
static void put_ints(mo_builder *b, mo_op *op, const char *name, int count,
                     const int64_t *numbers) {
  const mo_attr *items[MO_RANK_MAX];
  if (!op) return;
  for (int i = 0; i < count; i++) {
    items[i] = mo_attr_integer(b->module, MO_I64, numbers ? numbers[i] : 1);
    if (!items[i]) return;
  }
  mo_put(b, op, name,
         mo_attr_items(b->module, MO_ATTR_ARRAY, count, items, NULL));
}

mo_value *mo_part_(mo_builder *b, mo_value *x, mo_shape offsets,
                   mo_shape sizes) {
  const mo_type *type = x ? mo_vector_type(b, x->type->element, sizes) : NULL;
  mo_op *op =
      mo_emit(b, MO_VECTOR_EXTRACT_STRIDED_SLICE, MO_VALUES(x), 1, &type, 0);
  put_ints(b, op, "offsets", offsets.rank, offsets.sizes);
  put_ints(b, op, "sizes", sizes.rank, sizes.sizes);
  put_ints(b, op, "strides", sizes.rank, NULL);
  return result_of(op);
}

mo_value *mo_with_part_(mo_builder *b, mo_shape offsets) {
  mo_value *part = mo_held(b);
  mo_value *x = mo_held(b);
  if (!mo_is(b, MO_TYPE_VECTOR, x, "the whole") ||
      !mo_is(b, MO_TYPE_VECTOR, part, "the part"))
    return NULL;
  mo_op *op = mo_emit(b, MO_VECTOR_INSERT_STRIDED_SLICE, MO_VALUES(part, x), 1,
                      &x->type, 0);
  put_ints(b, op, "offsets", offsets.rank, offsets.sizes);
  put_ints(b, op, "strides", part->type->rank, NULL);
  return result_of(op);
}

mo_value *mo_transpose_(mo_builder *b, mo_value *x, mo_shape permutation) {
  int64_t shape[MO_RANK_MAX];
  for (int i = 0; i < permutation.rank && i < MO_RANK_MAX; i++) {
    int from = (int)permutation.sizes[i];
    if (!is_dimension(b, x, from)) return NULL;
    shape[i] = x->type->shape[from];
  }
  if (!mo_is(b, MO_TYPE_VECTOR, x, "what is transposed")) return NULL;
  const mo_type *type =
      mo_vector_type(b, x->type->element, (mo_shape){permutation.rank, shape});
  mo_op *op = mo_emit(b, MO_TPU_TRANSPOSE, MO_VALUES(x), 1, &type, 0);
  mo_put_numbers(b, op, "permutation", MO_I64, permutation.rank,
                 permutation.sizes);
  return result_of(op);
}

mo_value *mo_rotate_(mo_builder *b, int dimension) {
  mo_value *amount = mo_held(b);
  mo_value *x = mo_held(b);
  if (!is_dimension(b, x, dimension)) return NULL;
  mo_op *op =
      mo_emit(b, MO_TPU_DYNAMIC_ROTATE, MO_VALUES(x, amount), 1, &x->type, 0);
  mo_put_integer(b, op, "dimension", MO_SI32, dimension);
  return result_of(op);
}

mo_value *mo_repeat_(mo_builder *b, mo_value *x, int dimension, int times) {
  if (!is_dimension(b, x, dimension)) return NULL;
  const mo_type *type =
      resized(b, x, dimension, x->type->shape[dimension] * times);
  mo_op *op = mo_emit(b, MO_TPU_REPEAT, MO_VALUES(x), 1, &type, 0);
  mo_put_integer(b, op, "dimension", MO_I32, dimension);
  mo_put_integer(b, op, "times", MO_I32, times);
  return result_of(op);
}

mo_value *mo_bitcast_(mo_builder *b, mo_value *x, mo_element element) {
  if (!mo_is(b, MO_TYPE_VECTOR, x, "what is cast")) return NULL;
  int64_t shape[MO_RANK_MAX];
  int from = mo_element_bits(x->type->element), to = mo_element_bits(element);
  int rank = x->type->rank;
  for (int i = 0; i < rank; i++) shape[i] = x->type->shape[i];
  if (from != to && rank < 2) {
    mo_fail(b, "%s has no second last dimension to pack", x->type->text);
    return NULL;
  }
  if (from != to) shape[rank - 2] = shape[rank - 2] * from / to;
  return mo_build_(b, MO_TPU_BITCAST, MO_VALUES(x),
                   mo_type_vector(b->module, element, rank, shape), 0, NULL);
}

mo_value *mo_multiple_(mo_builder *b, mo_value *x, int multiple) {
  const mo_type *type = x ? x->type : NULL;
  mo_op *op = mo_emit(b, MO_TPU_ASSUME_MULTIPLE, MO_VALUES(x), 1, &type, 0);
  mo_put_integer(b, op, "multiple", MO_I32, multiple);
  return result_of(op);
}
