/* Writing kernels.
 *
 *   mo_builder b;
 *   mo_begin(&b, &allocator);
 *   mo_kernel(&b, "axpy", &(mo_grid){.rank = 1, .bounds = {8}});
 *   mo_value *x = mo_window(&b, MO_F32, MO_SHAPE(64, 128), MO_MAP(0, -1));
 *   mo_value *y = mo_window(&b, MO_F32, MO_SHAPE(64, 128), MO_MAP(0, -1));
 *   mo_value *a = mo_full(&b, MO_F32, MO_SHAPE(64, 128), 2);
 *   mo_store_all(&b, mo_add(&b, mo_mul(&b, a, mo_load_all(&b, x)),
 *                           mo_load_all(&b, y)), y);
 *   mo_kernel_end(&b);
 *   PFL_TRY(mo_finish(&b, &module, error));
 *
 * The first mistake, a refused allocation among them, is kept with the file and
 * line of the kernel that made it; from then on every call does nothing and
 * gives NULL, which every call takes. Nothing need be looked at before
 * mo_finish.
 *
 * Arithmetic takes operands of one type: scalars meet vectors through
 * mo_broadcast alone. Integers are signed. Constants are made once a function,
 * at its head. */
#ifndef PFL_MOSAIC_BUILDER_H
#define PFL_MOSAIC_BUILDER_H

#include "mosaic/ir.h"

enum {
  MO_CARRIED_MAX = 63,
  MO_GRID_MAX = 8,
  MO_ARGUMENTS_MAX = 64,
  MO_HELD_MAX = 64 /* of calls within calls, at once */
};

typedef struct mo_shape {
  int rank;
  const int64_t *sizes;
} mo_shape;
#define MO_SHAPE(...)                                             \
  ((mo_shape){sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), \
              (int64_t[]){__VA_ARGS__}})
#define MO_RANK_0 ((mo_shape){0, NULL})

typedef struct mo_values {
  int count;
  mo_value *const *values;
} mo_values;
#define MO_VALUES(...)                                                   \
  ((mo_values){sizeof((mo_value *[]){__VA_ARGS__}) / sizeof(mo_value *), \
               (mo_value *[]){__VA_ARGS__}})
#define MO_NONE ((mo_values){0, NULL})

typedef struct mo_builder mo_builder;

/* What a window's index map has to go by. */
typedef struct mo_map_arguments {
  mo_value *grid[MO_GRID_MAX];          /* i32, one an axis */
  mo_value *prefetch[MO_ARGUMENTS_MAX]; /* in SMEM */
} mo_map_arguments;

/* Gives the block, an i32 a dimension, that a step of the grid works on. */
typedef void mo_map_fn(mo_builder *b, const mo_map_arguments *arguments,
                       const void *user, mo_value **out_block);

typedef struct mo_map {
  int rank;
  const int *axes;  /* the block is the index of that axis, or 0 for -1 */
  mo_map_fn *fn;    /* instead of axes */
  const void *user; /* must live until mo_kernel_end */
} mo_map;
#define MO_MAP(...)                                             \
  ((mo_map){.rank = sizeof((int[]){__VA_ARGS__}) / sizeof(int), \
            .axes = (int[]){__VA_ARGS__}})
#define MO_MAP_BY(function, data) ((mo_map){.fn = (function), .user = (data)})

/* The grid a kernel runs over, the last axis fastest. */
typedef struct mo_grid {
  int rank;
  int64_t bounds[MO_GRID_MAX];
  bool parallel[MO_GRID_MAX]; /* steps along it may run in any order */
} mo_grid;

typedef enum mo_role {
  MO_GRID_INDEX,
  MO_PREFETCH,
  MO_OPERAND,
  MO_SCRATCH
} mo_role;

typedef struct mo_window_plan {
  mo_map_fn *fn;
  const void *user;
  int axes[MO_RANK_MAX];
  bool windowed;
} mo_window_plan;

typedef struct mo_constant mo_constant;

struct mo_builder {
  mo_module *module;
  pfl_error error;  /* OK, or the first mistake */
  const char *file; /* of the call under way */
  int line;
  mo_region *region; /* where ops go */
  mo_op *function;   /* the one being written */
  mo_op *last_constant;
  mo_constant *constants[MO_BUCKETS];
  mo_grid grid;
  mo_role role; /* of the last argument */
  int prefetches, operands, scratches;
  mo_window_plan plans[MO_ARGUMENTS_MAX];
  mo_value *nothing[MO_CARRIED_MAX + 1]; /* NULLs to give */
  mo_value *held[MO_HELD_MAX];           /* see mo_hold */
  int held_count;
};

/* ---- Beginning and end --------------------------------------------------- */

void mo_begin(mo_builder *b, const pfl_allocator *allocator);

/* Verifies the module and gives it, to be destroyed with mo_module_destroy; or
 * destroys it and gives the first mistake. */
PFL_NODISCARD pfl_status mo_finish(mo_builder *b, mo_module **out_module,
                                   pfl_error *error);

/* Records a mistake, unless there was one. */
__attribute__((format(printf, 2, 3))) void mo_fail(mo_builder *b,
                                                   const char *format, ...);

static inline mo_builder *mo_at(mo_builder *b, const char *file, int line) {
  b->file = file;
  b->line = line;
  return b;
}
/* Every name below that is defined as a macro puts the kernel's file and line
 * on the ops it makes. */
#define MO_HERE(b) mo_at((b), __FILE__, __LINE__)

/* C leaves open in which order a call's arguments are evaluated, and a kernel's
 * ops must not depend on the compiler that built it. So what has several values
 * as operands is a macro that holds them, one after the other, for the function
 * that then takes them, the last one first. Functions of the kernels' own want
 * the same care: at most one argument that makes ops. */
void mo_hold(mo_builder *b, mo_value *x);
void mo_hold_again(mo_builder *b);
mo_value *mo_held(mo_builder *b);

/* ---- Kernels (builder_kernel.c) ------------------------------------------
 * Arguments in this order: prefetched scalars, operands and windows, scratch.
 * `grid` may be NULL: the body runs once, and operands are whole. */
void mo_kernel_(mo_builder *b, const char *name, const mo_grid *grid);
#define mo_kernel(b, name, ...) mo_kernel_(MO_HERE(b), name, __VA_ARGS__)
void mo_kernel_end_(mo_builder *b);
#define mo_kernel_end(b) mo_kernel_end_(MO_HERE(b))

/* This step's index along an axis, i32. */
mo_value *mo_grid_index(mo_builder *b, int axis);

/* An operand that is copied to SMEM before the first step, and given to the
 * maps of the windows. */
mo_value *mo_prefetch_(mo_builder *b, mo_element element, mo_shape shape);
#define mo_prefetch(b, element, shape) mo_prefetch_(MO_HERE(b), element, shape)

/* A whole operand, where it lies. */
mo_value *mo_operand_(mo_builder *b, mo_space space, mo_element element,
                      mo_shape shape);
#define mo_operand(b, space, element, shape) \
  mo_operand_(MO_HERE(b), space, element, shape)

/* The block of an operand that a step works on, brought to VMEM for it. */
mo_value *mo_window_(mo_builder *b, mo_element element, mo_shape shape,
                     mo_map map);
#define mo_window(b, element, shape, map) \
  mo_window_(MO_HERE(b), element, shape, map)

/* Memory, or semaphores, of the kernel's own; kept from step to step. */
mo_value *mo_scratch_(mo_builder *b, mo_space space, mo_element element,
                      mo_shape shape);
#define mo_scratch(b, space, element, shape) \
  mo_scratch_(MO_HERE(b), space, element, shape)

/* ---- Control (builder_kernel.c) -------------------------------------------
 *   mo_value **in = mo_for(b, zero, n, one, MO_VALUES(m, l));
 *   ...                                   in[0] is the index, in[1], in[2] m, l
 *   mo_value **out = mo_end(b, MO_VALUES(m1, l1));
 *
 *   mo_if(b, condition);  ...  mo_else(b, MO_VALUES(x));  ...
 *   mo_value **out = mo_end(b, MO_VALUES(y)); */
mo_value **mo_for_(mo_builder *b, mo_values init);
#define mo_for(b, lower, upper, step, init)                \
  (mo_hold(b, lower), mo_hold(b, upper), mo_hold(b, step), \
   mo_for_(MO_HERE(b), init))
void mo_if_(mo_builder *b, mo_value *condition);
#define mo_if(b, condition) mo_if_(MO_HERE(b), condition)
void mo_else_(mo_builder *b, mo_values yields);
#define mo_else(b, yields) mo_else_(MO_HERE(b), yields)
/* scf.while: the values before the test, then mo_do with the condition and what
 * the body gets, then mo_end. */
mo_value **mo_while_(mo_builder *b, mo_values init);
#define mo_while(b, init) mo_while_(MO_HERE(b), init)
mo_value **mo_do_(mo_builder *b, mo_values passed);
#define mo_do(b, condition, passed) \
  (mo_hold(b, condition), mo_do_(MO_HERE(b), passed))
/* A scope for mo_alloc and mo_semaphores; ended by mo_end. */
void mo_scope_(mo_builder *b);
#define mo_scope(b) mo_scope_(MO_HERE(b))
mo_value **mo_end_(mo_builder *b, mo_values yields);
#define mo_end(b, yields) mo_end_(MO_HERE(b), yields)
mo_value *mo_alloc_(mo_builder *b, mo_space space, mo_element element,
                    mo_shape shape);
#define mo_alloc(b, space, element, shape) \
  mo_alloc_(MO_HERE(b), space, element, shape)
void mo_trace_start_(mo_builder *b, const char *message);
#define mo_trace_start(b, message) mo_trace_start_(MO_HERE(b), message)
void mo_trace_stop_(mo_builder *b);
#define mo_trace_stop(b) mo_trace_stop_(MO_HERE(b))

/* ---- Values (builder.c) ---------------------------------------------------
 */

mo_value *mo_constant_(mo_builder *b, const mo_type *type, double number);
#define mo_i32(b, number) \
  mo_constant_(MO_HERE(b), mo_scalar_type(b, MO_I32), number)
#define mo_index(b, number) \
  mo_constant_(MO_HERE(b), mo_scalar_type(b, MO_INDEX), number)
#define mo_f32(b, number) \
  mo_constant_(MO_HERE(b), mo_scalar_type(b, MO_F32), number)
#define mo_bool(b, value) \
  mo_constant_(MO_HERE(b), mo_scalar_type(b, MO_I1), value)
/* A vector of one number. */
#define mo_full(b, element, shape, number) \
  mo_constant_(MO_HERE(b), mo_vector_type(b, element, shape), number)

/* NULL after a mistake. */
const mo_type *mo_scalar_type(mo_builder *b, mo_element element);
const mo_type *mo_vector_type(mo_builder *b, mo_element element,
                              mo_shape shape);

/* Any op of the table with one result, or none: for what has no name here. */
mo_value *mo_build_(mo_builder *b, mo_op_id id, mo_values operands,
                    const mo_type *result, int attr_count,
                    const mo_named_attr *attrs);
#define mo_build(b, id, operands, result, attr_count, attrs) \
  mo_build_(MO_HERE(b), id, operands, result, attr_count, attrs)

/* The op for floats or the one for integers, as x has it. */
mo_value *mo_either_(mo_builder *b, mo_op_id for_float, mo_op_id for_int);
#define MO_EITHER(b, f, i, x, y) \
  (mo_hold(b, x), mo_hold(b, y), \
   mo_either_(MO_HERE(b), MO_ARITH_##f, MO_ARITH_##i))
#define mo_add(b, x, y) MO_EITHER(b, ADDF, ADDI, x, y)
#define mo_sub(b, x, y) MO_EITHER(b, SUBF, SUBI, x, y)
#define mo_mul(b, x, y) MO_EITHER(b, MULF, MULI, x, y)
#define mo_div(b, x, y) MO_EITHER(b, DIVF, DIVSI, x, y)
#define mo_rem(b, x, y) MO_EITHER(b, REMF, REMSI, x, y)
#define mo_max(b, x, y) MO_EITHER(b, MAXIMUMF, MAXSI, x, y)
#define mo_min(b, x, y) MO_EITHER(b, MINIMUMF, MINSI, x, y)
#define mo_and(b, x, y) MO_EITHER(b, ANDI, ANDI, x, y)
#define mo_or(b, x, y) MO_EITHER(b, ORI, ORI, x, y)
#define mo_xor(b, x, y) MO_EITHER(b, XORI, XORI, x, y)
#define mo_shl(b, x, y) MO_EITHER(b, SHLI, SHLI, x, y)
#define mo_shr(b, x, y) MO_EITHER(b, SHRSI, SHRSI, x, y)

mo_value *mo_unary_(mo_builder *b, mo_op_id id, mo_value *x);
#define mo_neg(b, x) mo_unary_(MO_HERE(b), MO_ARITH_NEGF, x)
#define mo_exp(b, x) mo_unary_(MO_HERE(b), MO_MATH_EXP, x)
#define mo_exp2(b, x) mo_unary_(MO_HERE(b), MO_MATH_EXP2, x)
#define mo_log(b, x) mo_unary_(MO_HERE(b), MO_MATH_LOG, x)
#define mo_log2(b, x) mo_unary_(MO_HERE(b), MO_MATH_LOG2, x)
#define mo_tanh(b, x) mo_unary_(MO_HERE(b), MO_MATH_TANH, x)
#define mo_sqrt(b, x) mo_unary_(MO_HERE(b), MO_MATH_SQRT, x)
#define mo_rsqrt(b, x) mo_unary_(MO_HERE(b), MO_MATH_RSQRT, x)
#define mo_abs(b, x) mo_unary_(MO_HERE(b), MO_MATH_ABSF, x)
mo_value *mo_reciprocal_(mo_builder *b, mo_value *x, bool approximate);
#define mo_reciprocal(b, x) mo_reciprocal_(MO_HERE(b), x, false)
#define mo_reciprocal_approx(b, x) mo_reciprocal_(MO_HERE(b), x, true)

/* False with NaN, but for mo_ne. */
typedef enum mo_predicate {
  MO_EQ,
  MO_NE,
  MO_LT,
  MO_LE,
  MO_GT,
  MO_GE
} mo_predicate;
mo_value *mo_compare_(mo_builder *b, mo_predicate predicate);
#define MO_COMPARE(b, predicate, x, y) \
  (mo_hold(b, x), mo_hold(b, y), mo_compare_(MO_HERE(b), MO_##predicate))
#define mo_eq(b, x, y) MO_COMPARE(b, EQ, x, y)
#define mo_ne(b, x, y) MO_COMPARE(b, NE, x, y)
#define mo_lt(b, x, y) MO_COMPARE(b, LT, x, y)
#define mo_le(b, x, y) MO_COMPARE(b, LE, x, y)
#define mo_gt(b, x, y) MO_COMPARE(b, GT, x, y)
#define mo_ge(b, x, y) MO_COMPARE(b, GE, x, y)
mo_value *mo_select_(mo_builder *b);
#define mo_select(b, condition, x, y) \
  (mo_hold(b, condition), mo_hold(b, x), mo_hold(b, y), mo_select_(MO_HERE(b)))

/* To another element type, by whichever op that takes; x itself if it has it.
 */
mo_value *mo_cast_(mo_builder *b, mo_value *x, mo_element element);
#define mo_cast(b, x, element) mo_cast_(MO_HERE(b), x, element)

/* ---- Vectors (builder_vector.c) -------------------------------------------
 */

mo_value *mo_broadcast_(mo_builder *b, mo_value *x, mo_shape shape);
#define mo_broadcast(b, x, shape) mo_broadcast_(MO_HERE(b), x, shape)
mo_value *mo_reshape_(mo_builder *b, mo_value *x, mo_shape shape);
#define mo_reshape(b, x, shape) mo_reshape_(MO_HERE(b), x, shape)
mo_value *mo_iota_(mo_builder *b, mo_shape shape, int dimension);
#define mo_iota(b, shape, dimension) mo_iota_(MO_HERE(b), shape, dimension)

/* acc + lhs rhs of matrices; N as it is, T transposed. f32 is multiplied as
 * f32, in several passes, not rounded to bf16. */
typedef enum mo_form { MO_NN, MO_NT, MO_TN, MO_TT } mo_form;
mo_value *mo_matmul_(mo_builder *b, mo_form form);
#define mo_matmul(b, form, lhs, rhs, acc)             \
  (mo_hold(b, lhs), mo_hold(b, rhs), mo_hold(b, acc), \
   mo_matmul_(MO_HERE(b), form))

typedef enum mo_combine { MO_SUM, MO_MAX, MO_MIN } mo_combine;
/* Over one dimension, which stays, of size 1. */
mo_value *mo_reduce_(mo_builder *b, mo_combine combine, mo_value *x,
                     int dimension);
#define mo_reduce(b, combine, x, dimension) \
  mo_reduce_(MO_HERE(b), combine, x, dimension)

/* The one element of a vector of one, as a scalar. */
mo_value *mo_element_of_(mo_builder *b, mo_value *x);
#define mo_element_of(b, x) mo_element_of_(MO_HERE(b), x)

mo_value *mo_concatenate_(mo_builder *b, mo_values parts, int dimension);
#define mo_concatenate(b, parts, dimension) \
  mo_concatenate_(MO_HERE(b), parts, dimension)
mo_value *mo_part_(mo_builder *b, mo_value *x, mo_shape offsets,
                   mo_shape sizes);
#define mo_part(b, x, offsets, sizes) mo_part_(MO_HERE(b), x, offsets, sizes)
mo_value *mo_with_part_(mo_builder *b, mo_shape offsets);
#define mo_with_part(b, x, part, offsets) \
  (mo_hold(b, x), mo_hold(b, part), mo_with_part_(MO_HERE(b), offsets))
mo_value *mo_transpose_(mo_builder *b, mo_value *x, mo_shape permutation);
#define mo_transpose(b, x, permutation) \
  mo_transpose_(MO_HERE(b), x, permutation)
mo_value *mo_rotate_(mo_builder *b, int dimension);
#define mo_rotate(b, x, amount, dimension) \
  (mo_hold(b, x), mo_hold(b, amount), mo_rotate_(MO_HERE(b), dimension))
mo_value *mo_repeat_(mo_builder *b, mo_value *x, int dimension, int times);
#define mo_repeat(b, x, dimension, times) \
  mo_repeat_(MO_HERE(b), x, dimension, times)
/* Another width packs or unpacks the second last dimension. */
mo_value *mo_bitcast_(mo_builder *b, mo_value *x, mo_element element);
#define mo_bitcast(b, x, element) mo_bitcast_(MO_HERE(b), x, element)
/* x, promised to be a multiple. */
mo_value *mo_multiple_(mo_builder *b, mo_value *x, int multiple);
#define mo_multiple(b, x, multiple) mo_multiple_(MO_HERE(b), x, multiple)

/* ---- Memory (builder_memory.c) --------------------------------------------
 * Indices are i32 or index. A shape, or a value stored, of lower rank than the
 * reference stands for one with leading 1s. */
mo_value *mo_load_(mo_builder *b, mo_values indices, mo_shape shape);
#define mo_load(b, ref, indices, shape) \
  (mo_hold(b, ref), mo_load_(MO_HERE(b), indices, shape))
#define mo_load_all(b, ref) mo_load(b, ref, MO_NONE, MO_RANK_0)
void mo_store_(mo_builder *b, mo_values indices);
#define mo_store(b, x, ref, indices) mo_store_masked(b, x, ref, indices, NULL)
#define mo_store_masked(b, x, ref, indices, mask)    \
  (mo_hold(b, x), mo_hold(b, ref), mo_hold(b, mask), \
   mo_store_(MO_HERE(b), indices))
#define mo_store_all(b, x, ref) mo_store(b, x, ref, MO_NONE)
mo_value *mo_load_strided_(mo_builder *b, mo_values indices, mo_shape shape,
                           mo_shape strides);
#define mo_load_strided(b, ref, indices, shape, strides) \
  (mo_hold(b, ref), mo_load_strided_(MO_HERE(b), indices, shape, strides))
void mo_store_strided_(mo_builder *b, mo_values indices, mo_shape strides);
#define mo_store_strided(b, x, ref, indices, strides) \
  (mo_hold(b, x), mo_hold(b, ref),                    \
   mo_store_strided_(MO_HERE(b), indices, strides))

/* One scalar of SMEM. */
mo_value *mo_get_(mo_builder *b, mo_values indices);
#define mo_get(b, ref, indices) (mo_hold(b, ref), mo_get_(MO_HERE(b), indices))
void mo_set_(mo_builder *b, mo_values indices);
#define mo_set(b, x, ref, indices) \
  (mo_hold(b, x), mo_hold(b, ref), mo_set_(MO_HERE(b), indices))

/* The part of that shape at offsets. */
mo_value *mo_slice_(mo_builder *b, mo_values offsets, mo_shape shape);
#define mo_slice(b, ref, offsets, shape) \
  (mo_hold(b, ref), mo_slice_(MO_HERE(b), offsets, shape))
/* The same, where `shape` has MO_DYNAMIC: there the sizes are values. */
mo_value *mo_slice_sized_(mo_builder *b, mo_values offsets, mo_shape shape,
                          mo_values sizes);
#define mo_slice_sized(b, ref, offsets, shape, sizes) \
  (mo_hold(b, ref), mo_slice_sized_(MO_HERE(b), offsets, shape, sizes))
/* The part at indices of the leading dimensions, which go: ref[i][j]. */
mo_value *mo_sub_(mo_builder *b, mo_values indices);
#define mo_sub_ref(b, ref, indices) \
  (mo_hold(b, ref), mo_sub_(MO_HERE(b), indices))
/* Without some dimensions of size 1. */
mo_value *mo_ref_squeeze_(mo_builder *b, mo_value *ref, mo_shape shape);
#define mo_ref_squeeze(b, ref, shape) mo_ref_squeeze_(MO_HERE(b), ref, shape)
mo_value *mo_ref_reshape_(mo_builder *b, mo_value *ref, mo_shape shape);
#define mo_ref_reshape(b, ref, shape) mo_ref_reshape_(MO_HERE(b), ref, shape)
mo_value *mo_ref_bitcast_(mo_builder *b, mo_value *ref, mo_element element);
#define mo_ref_bitcast(b, ref, element) \
  mo_ref_bitcast_(MO_HERE(b), ref, element)

/* ---- DMA, semaphores (builder_memory.c) ------------------------------------
 * A copy is started, and waited for with the same references. A remote one
 * goes to `target` of `device`: `sent` counts here, `received` there. */
void mo_dma_(mo_builder *b);
#define mo_copy(b, source, target, semaphore) \
  mo_send(b, source, target, NULL, semaphore, NULL)
#define mo_send(b, source, target, sent, received, device)   \
  (mo_hold(b, source), mo_hold(b, target), mo_hold(b, sent), \
   mo_hold(b, received), mo_hold(b, device), mo_dma_(MO_HERE(b)))
void mo_wait_copy_(mo_builder *b);
#define mo_wait_copy(b, source, target, semaphore)                \
  (mo_hold(b, source), mo_hold(b, target), mo_hold(b, semaphore), \
   mo_wait_copy_(MO_HERE(b)))
/* That what was sent has left: `semaphore` is `sent`. */
#define mo_wait_sent(b, source, semaphore)                      \
  (mo_hold(b, source), mo_hold_again(b), mo_hold(b, semaphore), \
   mo_wait_copy_(MO_HERE(b)))
#define mo_wait_received(b, target, semaphore) \
  mo_wait_sent(b, target, semaphore)

/* `device` NULL: this one. */
void mo_signal_(mo_builder *b);
#define mo_signal(b, semaphore, amount, device)                   \
  (mo_hold(b, semaphore), mo_hold(b, amount), mo_hold(b, device), \
   mo_signal_(MO_HERE(b)))
void mo_wait_(mo_builder *b);
#define mo_wait(b, semaphore, amount) \
  (mo_hold(b, semaphore), mo_hold(b, amount), mo_wait_(MO_HERE(b)))
mo_value *mo_read_(mo_builder *b, mo_value *semaphore);
#define mo_read(b, semaphore) mo_read_(MO_HERE(b), semaphore)
mo_value *mo_barrier_semaphore_(mo_builder *b);
#define mo_barrier_semaphore(b) mo_barrier_semaphore_(MO_HERE(b))
mo_value *mo_device_id_(mo_builder *b);
#define mo_device_id(b) mo_device_id_(MO_HERE(b))

/* ---- Shared by the builder's files -----------------------------------------
 */

/* The op, at the place where ops go; NULL after a mistake or when an operand is
 * NULL, which is one. */
mo_op *mo_emit(mo_builder *b, mo_op_id id, mo_values operands, int result_count,
               const mo_type *const *result_types, int region_count);
void mo_put(mo_builder *b, mo_op *op, const char *name, const mo_attr *attr);
void mo_put_integer(mo_builder *b, mo_op *op, const char *name,
                    mo_element element, int64_t integer);
void mo_put_numbers(mo_builder *b, mo_op *op, const char *name,
                    mo_element element, int count, const int64_t *numbers);
void mo_put_text(mo_builder *b, mo_op *op, mo_attr_kind kind, const char *name,
                 const char *text);

/* Whether every value is there and of `kind`; otherwise a mistake. */
bool mo_is(mo_builder *b, mo_type_kind kind, const mo_value *x,
           const char *what);
/* The value as an index, or as an i32. */
mo_value *mo_as(mo_builder *b, mo_value *x, mo_element element);

#endif
