/* The builder: mistakes, constants, scalars and elementwise ops. */
#include "mosaic/builder.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct mo_constant {
  const mo_type *type;
  uint64_t bits;
  mo_value *value;
  mo_constant *next;
};

void mo_begin(mo_builder *b, const pfl_allocator *allocator) {
  *b = (mo_builder){.file = "", .module = mo_module_create(allocator)};
  if (!b->module) b->error.status = PFL_STATUS_RESOURCE_EXHAUSTED;
}

void mo_fail(mo_builder *b, const char *format, ...) {
  if (b->error.status) return;
  const char *slash = strrchr(b->file, '/');
  int used = snprintf(b->error.message, sizeof b->error.message,
                      "%s:%d: ", slash ? slash + 1 : b->file, b->line);
  va_list arguments;
  va_start(arguments, format);
  if (used > 0 && used < (int)sizeof b->error.message)
    vsnprintf(b->error.message + used, sizeof b->error.message - (size_t)used,
              format, arguments);
  va_end(arguments);
  b->error.status = PFL_STATUS_INVALID_ARGUMENT;
}

/* Whether there was a mistake, memory that ran out being one. */
static bool failed(mo_builder *b) {
  if (!b->error.status && b->module->arena.failed)
    b->error.status = PFL_STATUS_RESOURCE_EXHAUSTED;
  return b->error.status != PFL_STATUS_OK;
}

void mo_hold(mo_builder *b, mo_value *x) {
  if (b->held_count < MO_HELD_MAX)
    b->held[b->held_count] = x;
  else
    mo_fail(b, "more than %d values held", MO_HELD_MAX);
  b->held_count++;
}

mo_value *mo_held(mo_builder *b) {
  assert(b->held_count > 0);
  b->held_count--;
  return b->held_count < MO_HELD_MAX ? b->held[b->held_count] : NULL;
}

void mo_hold_again(mo_builder *b) {
  mo_value *x = mo_held(b);
  mo_hold(b, x);
  mo_hold(b, x);
}

pfl_status mo_finish(mo_builder *b, mo_module **out_module, pfl_error *error) {
  mo_module *module = b->module;
  *out_module = NULL;
  b->module = NULL;
  pfl_status status = b->error.status;
  if (!status && module->arena.failed) status = PFL_STATUS_RESOURCE_EXHAUSTED;
  if (status == PFL_STATUS_RESOURCE_EXHAUSTED)
    base_error_set(error, status, "no memory for a kernel");
  else if (status)
    base_error_set(error, status, "%s", b->error.message);
  else if (b->function)
    status = base_error_set(error, PFL_STATUS_INVALID_ARGUMENT,
                            "the kernel has no mo_kernel_end");
  else
    status = mo_verify(module, error);
  if (status)
    mo_module_destroy(module);
  else
    *out_module = module;
  return status;
}

/* ---- Ops ---------------------------------------------------------------- */

mo_op *mo_emit(mo_builder *b, mo_op_id id, mo_values operands, int result_count,
               const mo_type *const *result_types, int region_count) {
  if (failed(b)) return NULL;
  const mo_op_info *info = mo_op_info_of(id);
  if (!b->region) {
    mo_fail(b, "%s stands outside a kernel", info->name);
    return NULL;
  }
  for (int i = 0; i < operands.count; i++)
    if (!operands.values[i]) {
      mo_fail(b, "%s: operand %d is NULL", info->name, i);
      return NULL;
    }
  mo_op *op = mo_op_add(b->module, b->region, info, NULL, operands.count,
                        result_count, result_types, region_count);
  if (!op) return NULL;
  for (int i = 0; i < operands.count; i++) op->operands[i] = operands.values[i];
  op->file = b->file;
  op->line = b->line;
  return op;
}

void mo_put(mo_builder *b, mo_op *op, const char *name, const mo_attr *attr) {
  if (op && attr) mo_op_set(b->module, op, name, attr);
}

void mo_put_integer(mo_builder *b, mo_op *op, const char *name,
                    mo_element element, int64_t integer) {
  if (op) mo_put(b, op, name, mo_attr_integer(b->module, element, integer));
}

void mo_put_numbers(mo_builder *b, mo_op *op, const char *name,
                    mo_element element, int count, const int64_t *numbers) {
  if (op)
    mo_put(b, op, name, mo_attr_numbers(b->module, element, count, numbers));
}

void mo_put_text(mo_builder *b, mo_op *op, mo_attr_kind kind, const char *name,
                 const char *text) {
  if (kind == MO_ATTR_STRING && text[strcspn(text, "\"\\\n")])
    mo_fail(b, "a quote, a backslash or a line's end in %s", name);
  if (op)
    mo_put(b, op, name, mo_attr_text(b->module, kind, text, strlen(text)));
}

bool mo_is(mo_builder *b, mo_type_kind kind, const mo_value *x,
           const char *what) {
  static const char *const names[] = {"a scalar", "a vector", "a reference",
                                      "a function", "anything else"};
  if (failed(b)) return false;
  if (!x)
    mo_fail(b, "%s is NULL", what);
  else if (x->type->kind != kind)
    mo_fail(b, "%s is %s, not %s", what, x->type->text, names[kind]);
  return !b->error.status;
}

static mo_value *result_of(const mo_op *op) {
  return op && op->result_count ? op->results[0] : NULL;
}

mo_value *mo_build_(mo_builder *b, mo_op_id id, mo_values operands,
                    const mo_type *result, int attr_count,
                    const mo_named_attr *attrs) {
  mo_op *op = mo_emit(b, id, operands, result != NULL, &result, 0);
  for (int i = 0; i < attr_count; i++)
    mo_put(b, op, attrs[i].name, attrs[i].attr);
  return result_of(op);
}

static mo_value *build(mo_builder *b, mo_op_id id, mo_values operands,
                       const mo_type *result) {
  return mo_build_(b, id, operands, result, 0, NULL);
}

const mo_type *mo_scalar_type(mo_builder *b, mo_element element) {
  return failed(b) ? NULL : mo_type_scalar(b->module, element);
}

const mo_type *mo_vector_type(mo_builder *b, mo_element element,
                              mo_shape shape) {
  if (failed(b)) return NULL;
  if (shape.rank > MO_RANK_MAX) {
    mo_fail(b, "a vector of %d dimensions: at most %d", shape.rank,
            MO_RANK_MAX);
    return NULL;
  }
  for (int i = 0; i < shape.rank; i++)
    if (shape.sizes[i] < 1) {
      mo_fail(b, "dimension %d of a vector is %lld", i,
              (long long)shape.sizes[i]);
      return NULL;
    }
  return mo_type_vector(b->module, element, shape.rank, shape.sizes);
}

/* ---- Constants ----------------------------------------------------------- */

/* Moves what was added last to behind the constants, at the function's head. */
static void move_to_head(mo_builder *b, mo_op *op) {
  mo_region *body = op->region;
  mo_op *before = b->last_constant;
  b->last_constant = op;
  if (op->previous == before) return;
  op->previous->next = NULL;
  body->last = op->previous;
  op->previous = before;
  op->next = before ? before->next : body->first;
  if (op->next) op->next->previous = op;
  *(before ? &before->next : &body->first) = op;
}

static const mo_attr *constant_attr(mo_builder *b, const mo_type *type,
                                    uint64_t bits) {
  mo_module *module = b->module;
  const mo_type *scalar = mo_type_scalar(module, type->element);
  mo_attr_kind kind = mo_element_family(type->element) == MO_FAMILY_FLOAT
                          ? MO_ATTR_FLOAT
                      : type->element == MO_I1 ? MO_ATTR_BOOL
                                               : MO_ATTR_INTEGER;
  const mo_attr *item = mo_attr_simple(module, kind, (int64_t)bits, scalar);
  if (type->kind == MO_TYPE_SCALAR || !item) return item;
  return mo_attr_items(module, MO_ATTR_SPLAT, 1, &item, type);
}

mo_value *mo_constant_(mo_builder *b, const mo_type *type, double number) {
  if (failed(b) || !type) return NULL;
  mo_family family = mo_element_family(type->element);
  if (family == MO_FAMILY_INTEGER &&
      !(fabs(number) <= 0x1p53 && floor(number) == number)) {
    mo_fail(b, "the constant %g is no %s", number,
            mo_element_name(type->element));
    return NULL;
  }
  uint64_t bits = family == MO_FAMILY_FLOAT
                      ? mo_float_bits(type->element, number)
                      : (uint64_t)(int64_t)number;
  mo_constant **bucket =
      &b->constants[((uintptr_t)type / 16 + bits * 31) % MO_BUCKETS];
  for (mo_constant *c = *bucket; c; c = c->next)
    if (c->type == type && c->bits == bits) return c->value;
  mo_region *here = b->region;
  if (b->function) b->region = b->function->regions[0];
  mo_op *op = mo_emit(b, MO_ARITH_CONSTANT, MO_NONE, 1, &type, 0);
  b->region = here;
  mo_constant *made = mo_arena_take(&b->module->arena, sizeof *made);
  if (!op || !made) return NULL;
  mo_put(b, op, "value", constant_attr(b, type, bits));
  move_to_head(b, op);
  *made = (mo_constant){type, bits, op->results[0], *bucket};
  *bucket = made;
  return made->value;
}

/* ---- Elementwise --------------------------------------------------------- */

static bool same_types(mo_builder *b, mo_op_id id, const mo_value *x,
                       const mo_value *y) {
  if (failed(b)) return false;
  if (!x || !y)
    mo_fail(b, "%s: an operand is NULL", mo_op_info_of(id)->name);
  else if (x->type != y->type)
    mo_fail(b, "%s: the operands are %s and %s", mo_op_info_of(id)->name,
            x->type->text, y->type->text);
  return !b->error.status;
}

mo_value *mo_either_(mo_builder *b, mo_op_id for_float, mo_op_id for_int) {
  mo_value *y = mo_held(b);
  mo_value *x = mo_held(b);
  bool integers = x && mo_element_family(x->type->element) == MO_FAMILY_INTEGER;
  mo_op_id id = integers ? for_int : for_float;
  if (!same_types(b, id, x, y)) return NULL;
  return build(b, id, MO_VALUES(x, y), x->type);
}

mo_value *mo_unary_(mo_builder *b, mo_op_id id, mo_value *x) {
  return build(b, id, MO_VALUES(x), x ? x->type : NULL);
}

mo_value *mo_reciprocal_(mo_builder *b, mo_value *x, bool approximate) {
  const mo_type *type = x ? x->type : NULL;
  mo_op *op = mo_emit(b, MO_TPU_RECIPROCAL, MO_VALUES(x), 1, &type, 0);
  if (op)
    mo_put(b, op, "approx",
           mo_attr_simple(b->module, MO_ATTR_BOOL, approximate, NULL));
  return result_of(op);
}

/* x's type with another element. */
static const mo_type *with_element(mo_builder *b, const mo_type *type,
                                   mo_element element) {
  if (type->kind == MO_TYPE_VECTOR)
    return mo_type_vector(b->module, element, type->rank, type->shape);
  return mo_type_scalar(b->module, element);
}

mo_value *mo_compare_(mo_builder *b, mo_predicate predicate) {
  mo_value *y = mo_held(b);
  mo_value *x = mo_held(b);
  static const int for_float[] = {1, 13, 4, 5, 2, 3};
  bool integers = x && mo_element_family(x->type->element) == MO_FAMILY_INTEGER;
  mo_op_id id = integers ? MO_ARITH_CMPI : MO_ARITH_CMPF;
  if (!same_types(b, id, x, y)) return NULL;
  const mo_type *type = with_element(b, x->type, MO_I1);
  mo_op *op = mo_emit(b, id, MO_VALUES(x, y), 1, &type, 0);
  mo_put_integer(b, op, "predicate", MO_I64,
                 integers ? (int)predicate : for_float[predicate]);
  return result_of(op);
}

mo_value *mo_select_(mo_builder *b) {
  mo_value *y = mo_held(b);
  mo_value *x = mo_held(b);
  mo_value *condition = mo_held(b);
  if (!same_types(b, MO_ARITH_SELECT, x, y)) return NULL;
  return build(b, MO_ARITH_SELECT, MO_VALUES(condition, x, y), x->type);
}

static mo_op_id cast_op(mo_element from, mo_element to) {
  bool narrower = mo_element_bits(to) < mo_element_bits(from);
  bool from_float = mo_element_family(from) == MO_FAMILY_FLOAT;
  bool to_float = mo_element_family(to) == MO_FAMILY_FLOAT;
  if (from_float && to_float) return narrower ? MO_ARITH_TRUNCF : MO_ARITH_EXTF;
  if (from_float) return MO_ARITH_FPTOSI;
  if (to_float) return from == MO_I1 ? MO_ARITH_UITOFP : MO_ARITH_SITOFP;
  if (from == MO_INDEX || to == MO_INDEX) return MO_ARITH_INDEX_CAST;
  return narrower        ? MO_ARITH_TRUNCI
         : from == MO_I1 ? MO_ARITH_EXTUI
                         : MO_ARITH_EXTSI;
}

mo_value *mo_cast_(mo_builder *b, mo_value *x, mo_element element) {
  if (failed(b)) return NULL;
  if (!x) {
    mo_fail(b, "what is cast is NULL");
    return NULL;
  }
  if (x->type->element == element) return x;
  return build(b, cast_op(x->type->element, element), MO_VALUES(x),
               with_element(b, x->type, element));
}

mo_value *mo_as(mo_builder *b, mo_value *x, mo_element element) {
  if (!mo_is(b, MO_TYPE_SCALAR, x, "an index")) return NULL;
  const mo_attr *value = x->op && x->op->info->id == MO_ARITH_CONSTANT
                             ? mo_op_get(x->op, "value")
                             : NULL;
  if (x->type->element == element || !value) return mo_cast_(b, x, element);
  return mo_constant_(b, mo_type_scalar(b->module, element),
                      (double)value->integer);
}
