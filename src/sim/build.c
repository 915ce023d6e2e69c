/* Walking a module: values get places, ops become instructions. */
#include "sim/build.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int sim_element_bytes(mo_element element) {
  if (element == MO_INDEX) return 8;
  if (mo_element_family(element) == MO_FAMILY_SEMAPHORE) return 0;
  int bits = mo_element_bits(element);
  return bits < 8 ? 1 : bits / 8;
}

/* Lists double when their count is a power of two, so that no capacity need be
 * kept. */
void *sim_push_(sim_build *b, void *list, int32_t count, size_t size) {
  if (count & (count - 1)) return list;
  size_t room = count ? 2 * (size_t)count : 1;
  void *wider = mo_arena_array(&b->program->arena, room, size);
  if (wider && count) memcpy(wider, list, (size_t)count * size);
  return wider ? wider : list;
}

/* ---- Mistakes ------------------------------------------------------------ */

pfl_status sim_unknown(sim_build *b, const mo_op *op, const char *format, ...) {
  char what[200], place[200] = "";
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(what, sizeof what, format, arguments);
  va_end(arguments);
  if (op->file) snprintf(place, sizeof place, " at %s:%d", op->file, op->line);
  PFL_RAISE(b->error, UNIMPLEMENTED, "%s%s: the simulator does not know %s",
            op->name, place, what);
}

/* ---- Instructions -------------------------------------------------------- */

static int32_t site_of(sim_build *b, const mo_op *op) {
  if (!op) return -1;
  if (b->site_op == op) return b->site_count - 1;
  mo_arena *arena = &b->program->arena;
  sim_push(b, b->sites, b->site_count);
  if (arena->failed) return -1;
  b->site_op = op;
  sim_site *last = b->site_count > 1 ? &b->sites[b->site_count - 2] : NULL;
  sim_site *site = &b->sites[b->site_count - 1];
  const char *file = NULL; /* mostly that of the op before */
  if (op->file && last && last->file && !strcmp(last->file, op->file))
    file = last->file;
  else if (op->file)
    file = mo_arena_copy(arena, op->file, strlen(op->file));
  const char *name = op->info->name;
  *site = (sim_site){name, file, op->line};
  return b->site_count - 1;
}

/* A use in a loop that the vector was made outside of lasts until the loop's
 * end, as the next turn uses it again. */
static void settle_touched(sim_build *b) {
  for (int i = 0; i < b->touched_count; i++) {
    sim_storage *storage = &b->storages[b->touched[i]];
    storage->last = b->count;
    if (b->depth > storage->depth) storage->loop = b->loops[storage->depth];
  }
  b->touched_count = 0;
}

static int32_t add_inst(sim_build *b, const mo_op *op, sim_run_fn *run,
                        const void *data, size_t size) {
  mo_arena *arena = &b->program->arena;
  void *copy = size ? mo_arena_take(arena, size) : NULL;
  sim_push(b, b->code, b->count);
  int32_t site = site_of(b, op);
  if (arena->failed) {
    b->count--;
    return b->count ? b->count - 1 : 0;
  }
  if (size) memcpy(copy, data, size);
  b->code[b->count - 1] =
      (sim_inst){run, copy, site, 1, (float)b->cycles, (int32_t)b->unit};
  return b->count - 1;
}

int32_t sim_emit_(sim_build *b, const mo_op *op, sim_run_fn *run,
                  const void *data, size_t size) {
  settle_touched(b);
  if (b->unit == SIM_UNIT_SCALAR) b->cycles = 1;
  int32_t number = add_inst(b, op, run, data, size);
  b->unit = SIM_UNIT_SCALAR;
  return number;
}

void sim_loop_begin(sim_build *b) {
  sim_push(b, b->loop_ends, b->loop_count);
  b->loops[b->depth++] = b->loop_count - 1;
}

void sim_loop_end(sim_build *b) {
  b->depth--;
  if (!b->program->arena.failed) b->loop_ends[b->loops[b->depth]] = b->count;
}

/* ---- Places -------------------------------------------------------------- */

sim_slot sim_new_scalar(sim_build *b, mo_element element) {
  sim_push(b, b->scalars, b->scalar_count);
  return (sim_slot){SIM_SCALAR, (uint8_t)element, b->scalar_count - 1, 1};
}

sim_slot sim_new_view(sim_build *b) {
  return (sim_slot){SIM_VIEW, 0, b->view_count++, 1};
}

sim_slot sim_new_vector(sim_build *b, mo_element element, int64_t count) {
  sim_push(b, b->storages, b->storage_count);
  if (!b->program->arena.failed)
    b->storages[b->storage_count - 1] =
        (sim_storage){.bytes = count * sim_element_bytes(element),
                      .made = b->count,
                      .last = b->count,
                      .depth = b->depth,
                      .loop = -1,
                      .over = -1};
  return (sim_slot){SIM_VECTOR, (uint8_t)element, b->storage_count - 1, count};
}

void sim_touch(sim_build *b, sim_slot slot) {
  if (slot.kind != SIM_VECTOR) return;
  sim_push(b, b->touched, b->touched_count);
  if (!b->program->arena.failed) b->touched[b->touched_count - 1] = slot.index;
}

sim_slot sim_use(sim_build *b, const mo_value *value) {
  sim_slot slot = b->slots[value->id];
  sim_touch(b, slot);
  return slot;
}

sim_slot sim_use_vector(sim_build *b, const mo_value *value) {
  sim_slot slot = sim_use(b, value);
  if (slot.kind != SIM_SPLAT) return slot;
  sim_slot full = sim_new_vector(b, slot.element, slot.count);
  int32_t kept = b->touched_count; /* these are used by what comes after */
  b->touched_count = 0;
  sim_bind_fill(b, NULL, full, slot);
  b->touched_count = kept;
  sim_touch(b, full);
  return full;
}

void sim_define_as(sim_build *b, const mo_value *value, sim_slot slot) {
  b->slots[value->id] = slot;
}

sim_slot sim_define(sim_build *b, const mo_value *value) {
  const mo_type *type = value->type;
  sim_slot slot = {0};
  if (type->kind == MO_TYPE_VECTOR)
    slot = sim_new_vector(b, type->element, mo_type_count(type));
  else if (type->kind == MO_TYPE_MEMREF)
    slot = sim_new_view(b);
  else
    slot = sim_new_scalar(b, type->element);
  b->slots[value->id] = slot;
  return slot;
}

sim_slot sim_define_over(sim_build *b, const mo_value *value,
                         sim_slot operand) {
  sim_slot slot = sim_define(b, value);
  if (slot.kind == SIM_VECTOR && operand.kind == SIM_VECTOR &&
      !b->program->arena.failed)
    b->storages[slot.index].over = operand.index;
  return slot;
}

sim_slot sim_define_splat(sim_build *b, const mo_value *value) {
  sim_slot slot = sim_new_scalar(b, value->type->element);
  if (value->type->kind == MO_TYPE_VECTOR) {
    slot.kind = SIM_SPLAT;
    slot.count = mo_type_count(value->type);
  }
  b->slots[value->id] = slot;
  return slot;
}

/* ---- Ops ----------------------------------------------------------------- */

#define ELEMENTWISE(X)                                                         \
  X(ARITH_ADDF)                                                                \
  X(ARITH_SUBF)                                                                \
  X(ARITH_MULF)                                                                \
  X(ARITH_DIVF)                                                                \
  X(ARITH_REMF)                                                                \
  X(ARITH_MAXIMUMF)                                                            \
  X(ARITH_MINIMUMF)                                                            \
  X(ARITH_NEGF)                                                                \
  X(ARITH_ADDI)                                                                \
  X(ARITH_SUBI)                                                                \
  X(ARITH_MULI)                                                                \
  X(ARITH_DIVSI)                                                               \
  X(ARITH_DIVUI) X(ARITH_REMSI) X(ARITH_REMUI) X(ARITH_MAXSI) X(ARITH_MINSI)   \
      X(ARITH_ANDI) X(ARITH_ORI) X(ARITH_XORI) X(ARITH_SHLI) X(ARITH_SHRSI) X( \
          ARITH_SHRUI) X(ARITH_CMPF) X(ARITH_CMPI) X(ARITH_SELECT)             \
          X(ARITH_EXTF) X(ARITH_TRUNCF) X(ARITH_EXTSI) X(ARITH_EXTUI) X(       \
              ARITH_TRUNCI) X(ARITH_SITOFP) X(ARITH_UITOFP) X(ARITH_FPTOSI)    \
              X(ARITH_FPTOUI) X(ARITH_INDEX_CAST) X(ARITH_BITCAST) X(MATH_EXP) \
                  X(MATH_EXP2) X(MATH_LOG) X(MATH_LOG2) X(MATH_LOG1P)          \
                      X(MATH_TANH) X(MATH_SQRT) X(MATH_RSQRT) X(MATH_ABSF)     \
                          X(MATH_ABSI) X(MATH_SIN) X(MATH_COS) X(MATH_ERF)     \
                              X(MATH_FLOOR) X(MATH_CEIL) X(MATH_ROUND)         \
                                  X(MATH_ROUNDEVEN) X(MATH_CTPOP) X(MATH_CTLZ) \
                                      X(MATH_POWF) X(TPU_RECIPROCAL)           \
                                          X(TPU_LOGISTIC) X(TPU_EXTF)          \
                                              X(TPU_TRUNCF) X(TPU_SITOFP)      \
                                                  X(TPU_FPTOSI) X(TPU_WEIRD)
#define SHAPES(X)                 \
  X(VECTOR_BROADCAST)             \
  X(VECTOR_SHAPE_CAST)            \
  X(VECTOR_EXTRACT_STRIDED_SLICE) \
  X(VECTOR_INSERT_STRIDED_SLICE)  \
  X(VECTOR_EXTRACT)               \
  X(TPU_IOTA)                     \
  X(TPU_CONCATENATE)              \
  X(TPU_TRANSPOSE)                \
  X(TPU_DYNAMIC_ROTATE)           \
  X(TPU_BITCAST)                  \
  X(TPU_RESHAPE) X(TPU_REPEAT) X(TPU_MASK_CAST) X(TPU_DYNAMIC_GATHER)
#define ACCESSES(X)   \
  X(VECTOR_LOAD)      \
  X(VECTOR_STORE)     \
  X(TPU_VECTOR_LOAD)  \
  X(TPU_VECTOR_STORE) \
  X(TPU_STRIDED_LOAD) X(TPU_STRIDED_STORE) X(MEMREF_LOAD) X(MEMREF_STORE)
#define VIEWS(X)        \
  X(MEMREF_ALLOCA)      \
  X(TPU_SEM_ALLOC)      \
  X(TPU_MEMREF_SLICE)   \
  X(TPU_MEMREF_SQUEEZE) \
  X(TPU_MEMREF_RESHAPE) \
  X(TPU_MEMREF_BITCAST) \
  X(TPU_REINTERPRET_CAST) X(TPU_ERASE_MEMREF_LAYOUT) X(TPU_SEM_BARRIER)
#define DMAS(X)      \
  X(TPU_ENQUEUE_DMA) \
  X(TPU_WAIT_DMA2) X(TPU_SEM_SIGNAL) X(TPU_SEM_WAIT) X(TPU_SEM_READ)
#define CONTROLS(X)  \
  X(SCF_FOR)         \
  X(SCF_IF)          \
  X(SCF_WHILE)       \
  X(TPU_REGION)      \
  X(TPU_TRACE)       \
  X(TPU_TRACE_START) \
  X(TPU_TRACE_STOP)  \
  X(TPU_TRACE_VALUE) \
  X(TPU_DELAY) X(TPU_DEVICE_ID) X(TPU_ITERATION_BOUND) X(TPU_ASSUME_MULTIPLE)

static sim_bind_fn *const binders[MO_OP_COUNT] = {
#define ROW(id) [MO_##id] = sim_bind_elementwise,
    ELEMENTWISE(ROW)
#undef ROW
#define ROW(id) [MO_##id] = sim_bind_shape,
        SHAPES(ROW)
#undef ROW
#define ROW(id) [MO_##id] = sim_bind_access,
            ACCESSES(ROW)
#undef ROW
#define ROW(id) [MO_##id] = sim_bind_view,
                VIEWS(ROW)
#undef ROW
#define ROW(id) [MO_##id] = sim_bind_dma,
                    DMAS(ROW)
#undef ROW
#define ROW(id) [MO_##id] = sim_bind_control,
                        CONTROLS(ROW)
#undef ROW
                            [MO_ARITH_CONSTANT] = sim_bind_constant,
    [MO_VECTOR_MULTI_REDUCTION] = sim_bind_reduce,
    [MO_TPU_REDUCE_INDEX] = sim_bind_reduce,
    [MO_TPU_MATMUL] = sim_bind_product,
};

/* Vectors of sizes that are fixed and that one can hold. */
static pfl_status check_value(sim_build *b, const mo_op *op,
                              const mo_value *value) {
  const mo_type *type = value->type;
  int64_t count = type->kind == MO_TYPE_VECTOR ? mo_type_count(type) : 1;
  int most = type->kind == MO_TYPE_VECTOR ? 4 : 8;
  if (type->kind == MO_TYPE_MEMREF) most = 0;
  if (count >= 1 && count <= INT32_MAX &&
      (!most || sim_element_bytes(type->element) <= most))
    return PFL_STATUS_OK;
  return sim_unknown(b, op, "%s", type->text);
}

static pfl_status check_values(sim_build *b, const mo_op *op) {
  for (int i = 0; i < op->result_count; i++)
    PFL_TRY(check_value(b, op, op->results[i]));
  for (int r = 0; r < op->region_count; r++)
    for (int i = 0; i < op->regions[r]->argument_count; i++)
      PFL_TRY(check_value(b, op, op->regions[r]->arguments[i]));
  return PFL_STATUS_OK;
}

pfl_status sim_bind_region(sim_build *b, const mo_region *region) {
  for (const mo_op *op = region->first; op != region->last; op = op->next) {
    sim_bind_fn *bind = binders[op->info->id];
    if (!bind) return sim_unknown(b, op, "this op");
    PFL_TRY(check_values(b, op));
    PFL_TRY(bind(b, op));
    if (b->program->arena.failed)
      PFL_RAISE(b->error, RESOURCE_EXHAUSTED, "no memory for the program");
  }
  return PFL_STATUS_OK;
}
