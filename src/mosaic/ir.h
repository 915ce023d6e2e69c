/* The kernel language in memory: a module of ops, as MLIR has them, in one
 * arena. docs/mosaic.md describes the language, ops.h lists the ops.
 *
 * An op has operands, results, attributes and regions; a region is one block:
 * arguments and a list of ops, of which the last ends it. Types are interned:
 * equal types of one module are one pointer. Ops are kept in the spelling of
 * the newest serialized version, MO_VERSION_NEWEST; ir_versions.c translates.
 */
#ifndef PFL_MOSAIC_IR_H
#define PFL_MOSAIC_IR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text.h"
#include "mosaic/arena.h"
#include "mosaic/ops.h"

#define MO_VERSION_OLDEST 3
#define MO_VERSION_NEWEST 15
#define MO_RANK_MAX 16
#define MO_DEPTH_MAX 64 /* regions, types or attributes within each other */
#define MO_DYNAMIC INT64_MIN /* the size that is written ? */

/* X(NAME, spelling, family, bits) */
#define MO_ELEMENT_LIST(X)                      \
  X(I1, "i1", INTEGER, 1)                       \
  X(I4, "i4", INTEGER, 4)                       \
  X(I8, "i8", INTEGER, 8)                       \
  X(I16, "i16", INTEGER, 16)                    \
  X(I32, "i32", INTEGER, 32)                    \
  X(I64, "i64", INTEGER, 64)                    \
  X(SI32, "si32", INTEGER, 32)                  \
  X(INDEX, "index", INTEGER, 64)                \
  X(F8E4M3FN, "f8E4M3FN", FLOAT, 8)             \
  X(F8E5M2, "f8E5M2", FLOAT, 8)                 \
  X(F16, "f16", FLOAT, 16)                      \
  X(BF16, "bf16", FLOAT, 16)                    \
  X(F32, "f32", FLOAT, 32)                      \
  X(F64, "f64", FLOAT, 64)                      \
  X(SEMAPHORE, "!tpu.semaphore", SEMAPHORE, 32) \
  X(DMA_SEMAPHORE, "!tpu.dma_semaphore", SEMAPHORE, 32)

typedef enum mo_element {
  MO_NO_ELEMENT,
#define MO_ELEMENT_ENUM(name, spelling, family, bits) MO_##name,
  MO_ELEMENT_LIST(MO_ELEMENT_ENUM)
#undef MO_ELEMENT_ENUM
} mo_element;

typedef enum mo_family {
  MO_FAMILY_NONE,
  MO_FAMILY_INTEGER,
  MO_FAMILY_FLOAT,
  MO_FAMILY_SEMAPHORE
} mo_family;

/* Where a memref lies. X(NAME, spelling in #tpu.memory_space<...>) */
#define MO_SPACE_LIST(X)            \
  X(ANY, "any")                     \
  X(VMEM, "vmem")                   \
  X(SMEM, "smem")                   \
  X(HBM, "hbm")                     \
  X(CMEM, "cmem")                   \
  X(SEMAPHORE_MEM, "semaphore_mem") \
  X(VMEM_SHARED, "vmem_shared")     \
  X(HOST, "host")

typedef enum mo_space {
  MO_NO_SPACE,
#define MO_SPACE_ENUM(name, spelling) MO_##name,
  MO_SPACE_LIST(MO_SPACE_ENUM)
#undef MO_SPACE_ENUM
} mo_space;

typedef enum mo_type_kind {
  MO_TYPE_SCALAR,
  MO_TYPE_VECTOR,
  MO_TYPE_MEMREF,
  MO_TYPE_FUNCTION,
  MO_TYPE_OPAQUE /* what this library has no notion of, kept as text */
} mo_type_kind;

typedef struct mo_type mo_type;
struct mo_type {
  const char *text; /* the spelling, which is the identity */
  mo_type_kind kind;
  mo_element element;   /* of scalar, vector, memref */
  mo_space space;       /* of memref */
  const char *layout;   /* of memref: text, or NULL for row-major */
  int rank;             /* of vector, memref */
  const int64_t *shape; /* rank sizes */
  int input_count;      /* of function */
  int result_count;
  const mo_type *const *parts; /* inputs, then results */
  const mo_type *next;         /* in its hash bucket */
};

typedef enum mo_attr_kind {
  MO_ATTR_UNIT,
  MO_ATTR_BOOL,    /* integer */
  MO_ATTR_INTEGER, /* integer; type */
  MO_ATTR_FLOAT,   /* integer: the bits; type */
  MO_ATTR_STRING,  /* text: as between the quotes, escapes and all */
  MO_ATTR_SYMBOL,  /* text, without the @ */
  MO_ATTR_TYPE,    /* type */
  MO_ATTR_ARRAY,   /* items */
  MO_ATTR_DICT,    /* items, names */
  MO_ATTR_NUMBERS, /* numbers; type is the element's: array<i32: 1, 2> */
  MO_ATTR_SPLAT,   /* items[0]; type: dense<0> : vector<8xi32> */
  MO_ATTR_TEXT     /* anything else, verbatim: #arith.fastmath<none> */
} mo_attr_kind;

typedef struct mo_attr mo_attr;
struct mo_attr {
  mo_attr_kind kind;
  int count; /* of items or numbers */
  int64_t integer;
  const mo_type *type;
  const char *text;
  const mo_attr *const *items;
  const char *const *names; /* sorted */
  const int64_t *numbers;
};

typedef struct mo_named_attr {
  const char *name;
  const mo_attr *attr;
} mo_named_attr;

typedef enum mo_op_id {
  MO_FOREIGN, /* not in the table */
#define MO_OP_ENUM(id, ...) MO_##id,
  MO_OP_LIST(MO_OP_ENUM)
#undef MO_OP_ENUM
      MO_OP_COUNT
} mo_op_id;

typedef enum mo_rule_kind {
  MO_KIND_SAME,
  MO_KIND_COMPARE,
  MO_KIND_CAST,
  MO_KIND_END,
  MO_KIND_OWN,
  MO_KIND_FREE
} mo_rule_kind;

/* A row of ops.h. */
typedef struct mo_op_info {
  mo_op_id id;
  const char *name;
  const char *operands;
  const char *results;
  const char *attributes;
  int regions;
  mo_rule_kind rule;
  const char *meaning;
} mo_op_info;

typedef struct mo_op mo_op;
typedef struct mo_value mo_value;
typedef struct mo_region mo_region;

struct mo_value {
  const mo_type *type;
  mo_op *op;         /* whose result it is, or NULL */
  mo_region *region; /* whose argument it is, or NULL */
  int index;         /* among the results or arguments */
  int id;            /* dense, unique in the module */
};

struct mo_region {
  mo_op *op; /* it belongs to; NULL for the module's own */
  mo_op *first, *last;
  mo_value **arguments;
  int argument_count;
};

struct mo_op {
  const mo_op_info *info; /* of MO_FOREIGN when not in the table */
  const char *name;       /* without "stable_mosaic." */
  mo_op *next, *previous;
  mo_region *region; /* it stands in */
  mo_value **operands;
  mo_value **results;
  mo_named_attr *attrs; /* sorted by name */
  mo_region **regions;
  int operand_count, result_count, attr_count, region_count;
  const char *file; /* where it was written, or NULL */
  int line;
};

enum { MO_BUCKETS = 256 };

typedef struct mo_module {
  mo_arena arena;
  mo_region body;
  const mo_type *types[MO_BUCKETS];
  mo_named_attr *attrs; /* the module's own, the version apart */
  int attr_count;
  const char *aliases; /* lines before the module, verbatim, or NULL */
  int version;         /* to print; 0: the oldest that carries the ops */
  bool plain;          /* read from text without "stable_mosaic." */
  int value_count;
  int op_count;
  int region_count;
} mo_module;

/* ---- Modules, ops ------------------------------------------------------- */

/* NULL if there is no memory. */
mo_module *mo_module_create(const pfl_allocator *allocator);
void mo_module_destroy(mo_module *module);

/* The row of the table; NULL if there is none of that name. */
const mo_op_info *mo_op_find(const char *name, size_t length);
const mo_op_info *mo_op_info_of(mo_op_id id);

/* What follows returns NULL when memory runs out, and arena.failed says so. */

/* An op at the end of `region`, its operands and regions still NULL, its
 * results typed. `info` may be NULL for a foreign op. */
mo_op *mo_op_add(mo_module *module, mo_region *region, const mo_op_info *info,
                 const char *name, int operand_count, int result_count,
                 const mo_type *const *result_types, int region_count);

/* Gives op its results, once, if mo_op_add was told of none. */
void mo_op_set_results(mo_module *module, mo_op *op, int count,
                       const mo_type *const *types);

mo_value *mo_argument_add(mo_module *module, mo_region *region,
                          const mo_type *type);

/* Sets or replaces an attribute; the name must live as long as the module. */
void mo_op_set(mo_module *module, mo_op *op, const char *name,
               const mo_attr *attr);
void mo_op_unset(mo_op *op, const char *name);

/* NULL if it has none of that name. */
const mo_attr *mo_op_get(const mo_op *op, const char *name);
const mo_attr *mo_attr_get(const mo_attr *dict, const char *name);

/* The operands of a group that ops.h names; an empty one if op has none. */
typedef struct mo_group {
  mo_value *const *values;
  int count;
} mo_group;
mo_group mo_op_group(const mo_op *op, const char *name);

/* The operand of that name, NULL where it is missing. */
mo_value *mo_op_operand(const mo_op *op, const char *name);

/* The function of that symbol, or NULL. */
mo_op *mo_module_find(const mo_module *module, const char *symbol);

/* Takes one "name:kind" off *at; false at the end. `mark` is 0, '?' or '*'. */
typedef struct mo_word {
  const char *name, *kind;
  int name_length, kind_length;
  char mark;
} mo_word;
bool mo_word_next(const char **at, mo_word *out_word);

/* ---- Types -------------------------------------------------------------- */

const mo_type *mo_type_scalar(mo_module *module, mo_element element);
const mo_type *mo_type_vector(mo_module *module, mo_element element, int rank,
                              const int64_t *shape);
/* `layout` may be NULL. */
const mo_type *mo_type_memref(mo_module *module, mo_element element, int rank,
                              const int64_t *shape, mo_space space,
                              const char *layout);
const mo_type *mo_type_function(mo_module *module, int input_count,
                                int result_count, const mo_type *const *parts);
const mo_type *mo_type_opaque(mo_module *module, const char *text,
                              size_t length);

const char *mo_element_name(mo_element element);
mo_element mo_element_find(const char *name, size_t length);
mo_family mo_element_family(mo_element element);
int mo_element_bits(mo_element element);
const char *mo_space_name(mo_space space);
mo_space mo_space_find(const char *name, size_t length);

bool mo_type_same_shape(const mo_type *a, const mo_type *b);
/* Elements of a vector or memref, 1 of a scalar; -1 if that is not known. */
int64_t mo_type_count(const mo_type *type);

/* ---- Attributes --------------------------------------------------------- */

const mo_attr *mo_attr_simple(mo_module *module, mo_attr_kind kind,
                              int64_t integer, const mo_type *type);
/* STRING, SYMBOL or TEXT. */
const mo_attr *mo_attr_text(mo_module *module, mo_attr_kind kind,
                            const char *text, size_t length);
const mo_attr *mo_attr_numbers(mo_module *module, mo_element element, int count,
                               const int64_t *numbers);
/* ARRAY, or SPLAT with one item and a type. */
const mo_attr *mo_attr_items(mo_module *module, mo_attr_kind kind, int count,
                             const mo_attr *const *items, const mo_type *type);
/* Sorts by name. */
const mo_attr *mo_attr_dict(mo_module *module, int count,
                            const mo_named_attr *attrs);
const mo_attr *mo_attr_integer(mo_module *module, mo_element element,
                               int64_t integer);
const mo_attr *mo_attr_float(mo_module *module, mo_element element,
                             double number);

/* What stands in #prefix<...>: mo_attr_word(attr, "vector.kind") is "add"; with
 * its length. NULL for anything else. */
const char *mo_attr_word(const mo_attr *attr, const char *prefix,
                         int *out_length);

/* The bits of `number`, to nearest, in a float element, and back. */
uint64_t mo_float_bits(mo_element element, double number);
double mo_float_value(mo_element element, uint64_t bits);

/* What a matmul contracts, keeps and batches, read from dimension_numbers. */
typedef struct mo_dot {
  int lhs_contract[MO_RANK_MAX], rhs_contract[MO_RANK_MAX];
  int lhs_keep[MO_RANK_MAX], rhs_keep[MO_RANK_MAX];
  int output[2 * MO_RANK_MAX]; /* pairs: 0 lhs or 1 rhs, its dimension */
  int lhs_batch[MO_RANK_MAX], rhs_batch[MO_RANK_MAX];
  int counts[7]; /* of the above, in that order */
} mo_dot;
bool mo_attr_dot(const mo_attr *attr, mo_dot *out_dot);

/* ---- Text --------------------------------------------------------------- */

typedef struct mo_print_options {
  bool plain;     /* without "stable_mosaic." and version, for reading */
  bool locations; /* loc("file":line:0) after what has one */
} mo_print_options;

/* MLIR's generic form, in the spelling and numbering of MLIR's own printer. The
 * module gets the version that mo_module_version says.
 * FAILED_PRECONDITION: module->version cannot carry an op.
 * RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status mo_print(mo_module *module,
                                  const mo_print_options *options,
                                  base_text *text, pfl_error *error);

/* Reads that text, and what MLIR prints of modules like these: `module
 * attributes {...} {`, aliases, locations. Unknown ops, types and attributes
 * are kept as they are. Limits: one block a region, no successors.
 * INVALID_ARGUMENT: the message names line, column and what was expected, or
 * what its version does not have.
 * RESOURCE_EXHAUSTED. On failure *out_module is NULL. */
PFL_NODISCARD pfl_status mo_parse(const char *text, size_t length,
                                  const pfl_allocator *allocator,
                                  mo_module **out_module, pfl_error *error);

/* The oldest version that carries every op as it is. */
int mo_module_version(const mo_module *module);

/* The attributes of `op` as `version` spells them, into `out`, which has room
 * for attr_count + 1; what must be made is taken from the arena. Returns the
 * count, -1 if that version cannot carry the op. */
int mo_version_attrs(mo_module *module, const mo_op *op, int version,
                     mo_named_attr *out);

/* Brings an op that `version` spelled to the newest spelling. False if it is
 * not as that version has it. */
bool mo_version_upgrade(mo_module *module, mo_op *op, int version);

/* ---- Rules -------------------------------------------------------------- */

/* Checks all that rules.h lists. INVALID_ARGUMENT: the message names the op,
 * where it was written, the rule, and what was found. */
PFL_NODISCARD pfl_status mo_verify(const mo_module *module, pfl_error *error);

#endif
