/* Making a program of a module: what the files that know the ops share.
 *
 * A binder makes the instructions of one op: it says which values the op uses,
 * then which it defines, then emits. */
#ifndef PFL_SIM_BUILD_H
#define PFL_SIM_BUILD_H

#include "sim/code.h"

enum { SIM_LOOP_DEPTH_MAX = MO_DEPTH_MAX };

/* A vector's memory: from the instruction that makes it to the last that uses
 * it. */
typedef struct sim_storage {
  int64_t bytes, place;
  int32_t made, last; /* instructions */
  int32_t depth;      /* loops it was made in */
  int32_t loop;       /* it must outlive, of those it is used in; or -1 */
  int32_t over;       /* whose place it takes if that ends where it begins */
  bool taken_over;
} sim_storage;

typedef struct sim_build {
  sim_program *program;
  const mo_module *module;
  const mo_op *kernel;
  pfl_error *error;
  sim_slot *slots;    /* by value id */
  int32_t *memory_of; /* likewise: a reference's whole memory, or -1 */
  sim_inst *code;
  int32_t count;
  sim_storage *storages;
  int32_t storage_count;
  sim_scalar *scalars;
  int32_t scalar_count, view_count;
  sim_site *sites;
  int32_t site_count;
  const mo_op *site_op; /* of the last site */
  int32_t *loop_ends;
  int32_t loop_count;
  int32_t loops[SIM_LOOP_DEPTH_MAX]; /* open ones, outermost first */
  int32_t depth;
  int32_t *touched; /* storages used by the op being bound */
  int32_t touched_count;
  sim_unit unit; /* of the next instruction, and what it costs */
  double cycles;
  int64_t vmem, smem;                 /* bytes in use at this place */
  int32_t *operand_memories, *copies; /* by operand: in HBM, in the chip */
  sim_whole *wholes;
  sim_transfer *transfers;
  const mo_attr **window_attrs;
  int32_t whole_count, transfer_count, window_attr_count;
} sim_build;

typedef pfl_status sim_bind_fn(sim_build *b, const mo_op *op);

/* The next item of a list that grows in the program's arena. */
void *sim_push_(sim_build *b, void *list, int32_t count, size_t size);
#define sim_push(b, list, count) \
  ((list) = sim_push_((b), (list), (count)++, sizeof *(list)))

/* ---- Values -------------------------------------------------------------- */

/* Where an operand is. */
sim_slot sim_use(sim_build *b, const mo_value *value);
/* The same, made a vector of if it is a splat. */
sim_slot sim_use_vector(sim_build *b, const mo_value *value);
/* Makes the place of a result. Uses come before. */
sim_slot sim_define(sim_build *b, const mo_value *value);
/* The same for an elementwise op, which may write over `operand`. */
sim_slot sim_define_over(sim_build *b, const mo_value *value, sim_slot operand);
/* The result is a scalar for all elements. */
sim_slot sim_define_splat(sim_build *b, const mo_value *value);
/* The result is `slot`, which need not be copied. */
void sim_define_as(sim_build *b, const mo_value *value, sim_slot slot);

sim_slot sim_new_scalar(sim_build *b, mo_element element);
sim_slot sim_new_vector(sim_build *b, mo_element element, int64_t count);
sim_slot sim_new_view(sim_build *b);
/* Counts a use of what is no operand. */
void sim_touch(sim_build *b, sim_slot slot);

/* ---- Instructions -------------------------------------------------------- */

/* Adds an instruction of op (NULL: of none) with a copy of `data`; its number.
 */
int32_t sim_emit_(sim_build *b, const mo_op *op, sim_run_fn *run,
                  const void *data, size_t size);
#define sim_emit(b, op, run, ...) \
  sim_emit_((b), (op), (run), __VA_ARGS__, sizeof *(__VA_ARGS__))
#define sim_emit_bare(b, op, run) sim_emit_((b), (op), (run), NULL, 0)

/* What the next instruction costs: `work` elements, so many a cycle. */
static inline void sim_cost(sim_build *b, sim_unit unit, double work,
                            double per_cycle) {
  b->unit = unit;
  b->cycles = work / per_cycle;
}

/* Makes instruction `from` jump to `to`. */
static inline void sim_jump(sim_build *b, int32_t from, int32_t to) {
  b->code[from].to = to - from;
}

void sim_loop_begin(sim_build *b);
void sim_loop_end(sim_build *b);

/* The ops of a region, its last apart. */
pfl_status sim_bind_region(sim_build *b, const mo_region *region);

/* A splat's elements into a vector (elements.c). */
void sim_bind_fill(sim_build *b, const mo_op *op, sim_slot to, sim_slot from);

/* ---- Mistakes ------------------------------------------------------------ */

/* UNIMPLEMENTED: names op and place, and says what of it is not known. */
__attribute__((format(printf, 3, 4))) pfl_status sim_unknown(sim_build *b,
                                                             const mo_op *op,
                                                             const char *format,
                                                             ...);

/* ---- Who knows the ops --------------------------------------------------- */

sim_bind_fn sim_bind_elementwise; /* op_elements.c */
sim_bind_fn sim_bind_integers;    /* op_integers.c: of scalars */
sim_bind_fn sim_bind_constant;
sim_bind_fn sim_bind_shape;   /* op_shape.c */
sim_bind_fn sim_bind_reduce;  /* op_reduce.c */
sim_bind_fn sim_bind_product; /* op_product.c */
sim_bind_fn sim_bind_access;  /* op_access.c */
sim_bind_fn sim_bind_view;    /* op_view.c */
sim_bind_fn sim_bind_dma;     /* op_dma.c */
sim_bind_fn sim_bind_control; /* op_control.c */

/* The instructions that run a grid around its body (grid.c). */
pfl_status sim_bind_grid(sim_build *b);
/* Places of the arguments, memories, windows (build_arguments.c). */
pfl_status sim_bind_arguments(sim_build *b);
/* Memory of a scope (build_arguments.c): its number. */
pfl_status sim_add_memory(sim_build *b, const mo_type *type, const char *name,
                          int32_t *out_memory);

/* Shares out the arena (build_places.c). */
void sim_place_vectors(sim_build *b);

#endif
