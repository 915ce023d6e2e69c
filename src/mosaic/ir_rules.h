/* What a module must satisfy: one list, which the verifier quotes and its test
 * breaks rule by rule. */
#ifndef PFL_MOSAIC_IR_RULES_H
#define PFL_MOSAIC_IR_RULES_H

#include "mosaic/ir.h"

/* X(NAME, rule) */
#define MO_RULE_LIST(X)                                                        \
  X(KNOWN_OP, "an op is one of the table")                                     \
  X(KNOWN_TYPE, "a value's type is one of the language")                       \
  X(WIDTH, "a vector's element has at most 32 bits")                           \
  X(OPERAND_COUNT, "an op has the operands of the table")                      \
  X(OPERAND_KIND, "an operand is of the kind the table says")                  \
  X(SEGMENTS, "operandSegmentSizes says how many operands each group has")     \
  X(RESULT_COUNT, "an op has the results of the table")                        \
  X(RESULT_KIND, "a result is of the kind the table says")                     \
  X(ATTRIBUTE_MISSING, "an op has the attributes of the table")                \
  X(ATTRIBUTE_KIND, "an attribute is of the kind the table says")              \
  X(ATTRIBUTE_UNKNOWN, "an op has no attribute beyond the table's")            \
  X(REGION_COUNT, "an op has the regions of the table")                        \
  X(TOP_LEVEL, "a module holds functions, and functions stand in a module")    \
  X(DOMINANCE, "a value is defined before it is used, in a region around")     \
  X(ISOLATION, "a function uses no value of another")                          \
  X(TERMINATOR, "a region ends with the op that ends regions of its kind")     \
  X(YIELD, "what a region gives is what its op takes")                         \
  X(BLOCK_ARGUMENTS, "a region's arguments are what its op gives it")          \
  X(SAME_TYPES, "operands and results have one type")                          \
  X(COMPARE_SHAPE, "a comparison gives i1 in its operands' shape")             \
  X(CAST, "a cast keeps the shape, and widens or narrows as it says")          \
  X(PREDICATE, "a predicate is one of the comparison's")                       \
  X(SELECT, "a selection has one type, and a condition of its shape")          \
  X(CONSTANT, "a constant's value is of its result's type")                    \
  X(BROADCAST, "a broadcast keeps the trailing dimensions that are not 1")     \
  X(RESHAPE, "a reshape keeps elements and their number")                      \
  X(INDICES, "a memory access has an index a dimension")                       \
  X(ACCESS_SPACE, "vectors lie in VMEM, scalars in SMEM")                      \
  X(ACCESS_SHAPE, "what is accessed has the reference's element and rank, and "\
    "fits")                                                                    \
  X(STRIDES, "there is a stride of at least 1 a dimension")                    \
  X(MASK, "a mask has the shape of what it masks")                             \
  X(REDUCTION, "a reduction takes away dimensions of a vector of at least two")\
  X(REDUCTION_ACC, "a reduction's accumulator and result have one type")       \
  X(SLICE, "a slice lies within its vector")                                   \
  X(MATMUL, "a matmul's dimensions match as its dimension_numbers say")        \
  X(MATMUL_ACC, "a matmul accumulates in 32 bits")                             \
  X(IOTA, "iota counts in i32 along dimensions of a vector of at least two")   \
  X(CONCATENATE, "concatenated vectors differ along that dimension alone")     \
  X(TRANSPOSE, "a permutation names each dimension once")                      \
  X(ROTATE, "a rotation is along a dimension of its vector")                   \
  X(BITCAST, "a bitcast keeps the bits of a column, and the other dimensions") \
  X(REPEAT, "a repetition multiplies one dimension")                           \
  X(RECIPROCAL, "a reciprocal is of f32")                                      \
  X(MULTIPLE, "a multiple is at least 1")                                      \
  X(REFERENCE, "a view keeps its reference's element and memory")              \
  X(REFERENCE_SHAPE, "a view's shape is one of its reference's")               \
  X(DMA, "a DMA copies one shape and element")                                 \
  X(DMA_SEMAPHORES, "a DMA has a target semaphore; a remote one, and no "      \
    "other, a source semaphore")                                               \
  X(SEMAPHORE_RANK, "one semaphore is meant: a reference without dimensions")  \
  X(LOOP, "a loop's bounds and step are of one integer type")                  \
  X(SYMBOL, "a function's name is its own")                                    \
  X(FUNCTION_TYPE, "a function's type is that of its arguments and results")   \
  X(GRID, "a kernel's arguments are its grid's indices, prefetched, operands " \
    "and scratch")                                                             \
  X(WINDOW, "a window has bounds of its argument's shape, and an index map")

typedef enum mo_rule {
#define MO_RULE_ENUM(name, text) MO_RULE_##name,
  MO_RULE_LIST(MO_RULE_ENUM)
#undef MO_RULE_ENUM
  MO_RULE_COUNT
} mo_rule;

const char *mo_rule_text(mo_rule rule);

typedef struct mo_check {
  const mo_module *module;
  const mo_op *op; /* that is looked at */
  pfl_error *error;
} mo_check;

/* Raises: the op, its place, the rule, and what was found. */
__attribute__((format(printf, 3, 4))) pfl_status mo_broken(
    const mo_check *check, mo_rule rule, const char *format, ...);

/* The rules of ops whose row says OWN, and of casts and comparisons; the table's
 * are already held. */
pfl_status mo_check_types(const mo_check *check);
pfl_status mo_check_memory(const mo_check *check);
pfl_status mo_check_function(const mo_check *check);

/* "vector<8x128xf32>", for messages. */
const char *mo_type_text(const mo_value *value);

#endif
