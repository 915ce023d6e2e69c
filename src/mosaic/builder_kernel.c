/* The builder's functions and control: kernels, windows, loops, scopes. */
#include <stdio.h>
#include <string.h>

#include "mosaic/builder.h"

/* ---- Functions ----------------------------------------------------------- */

static void begin_function(mo_builder *b, const char *name) {
  b->region = b->module ? &b->module->body : NULL;
  mo_op *op = mo_emit(b, MO_FUNC_FUNC, MO_NONE, 0, NULL, 1);
  mo_put_text(b, op, MO_ATTR_STRING, "sym_name", name);
  memset(b->constants, 0, sizeof b->constants);
  b->last_constant = NULL;
  b->function = op;
  b->region = op ? op->regions[0] : NULL;
}

static void end_function(mo_builder *b, mo_values results) {
  mo_emit(b, MO_FUNC_RETURN, results, 0, NULL, 0);
  const mo_type *parts[MO_ARGUMENTS_MAX + MO_GRID_MAX + MO_RANK_MAX];
  mo_op *op = b->function;
  if (op && !b->error.status) {
    mo_region *body = op->regions[0];
    int inputs = body->argument_count;
    for (int i = 0; i < inputs; i++) parts[i] = body->arguments[i]->type;
    for (int i = 0; i < results.count; i++)
      parts[inputs + i] = results.values[i]->type;
    const mo_type *type =
        mo_type_function(b->module, inputs, results.count, parts);
    mo_put(b, op, "function_type",
           mo_attr_simple(b->module, MO_ATTR_TYPE, 0, type));
  }
  b->function = NULL;
  b->region = NULL;
}

static mo_value *add_argument(mo_builder *b, const mo_type *type) {
  if (b->error.status || !type) return NULL;
  return mo_argument_add(b->module, b->function->regions[0], type);
}

/* ---- Kernels --------------------------------------------------------------
 */

void mo_kernel_(mo_builder *b, const char *name, const mo_grid *grid) {
  if (b->error.status) return;
  if (b->function) {
    mo_fail(b, "kernel %s begins within another", name);
    return;
  }
  b->grid = grid ? *grid : (mo_grid){0};
  b->role = MO_GRID_INDEX;
  b->prefetches = b->operands = b->scratches = 0;
  if (b->grid.rank < 0 || b->grid.rank > MO_GRID_MAX) {
    mo_fail(b, "a grid of %d axes: at most %d", b->grid.rank, MO_GRID_MAX);
    return;
  }
  begin_function(b, name);
  for (int i = 0; i < b->grid.rank; i++)
    add_argument(b, mo_scalar_type(b, MO_I32));
}

mo_value *mo_grid_index(mo_builder *b, int axis) {
  if (b->error.status) return NULL;
  if (!b->function || axis < 0 || axis >= b->grid.rank) {
    mo_fail(b, "the grid has no axis %d", axis);
    return NULL;
  }
  return b->function->regions[0]->arguments[axis];
}

static mo_value *kernel_argument(mo_builder *b, mo_role role, mo_space space,
                                 mo_element element, mo_shape shape) {
  static const char *const names[] = {"a grid index", "a prefetched operand",
                                      "an operand", "scratch"};
  if (b->error.status) return NULL;
  if (!b->function)
    mo_fail(b, "%s outside a kernel", names[role]);
  else if (role < b->role)
    mo_fail(b, "%s after %s", names[role],
            names[b->role == MO_OPERAND ? MO_OPERAND : MO_SCRATCH]);
  else if (b->prefetches + b->operands + b->scratches == MO_ARGUMENTS_MAX)
    mo_fail(b, "more than %d arguments", MO_ARGUMENTS_MAX);
  else if (shape.rank > MO_RANK_MAX)
    mo_fail(b, "%s of %d dimensions: at most %d", names[role], shape.rank,
            MO_RANK_MAX);
  if (b->error.status) return NULL;
  b->role = role;
  return add_argument(b, mo_type_memref(b->module, element, shape.rank,
                                        shape.sizes, space, NULL));
}

mo_value *mo_prefetch_(mo_builder *b, mo_element element, mo_shape shape) {
  mo_value *ref = kernel_argument(b, MO_PREFETCH, MO_SMEM, element, shape);
  b->prefetches += ref != NULL;
  return ref;
}

mo_value *mo_operand_(mo_builder *b, mo_space space, mo_element element,
                      mo_shape shape) {
  mo_value *ref = kernel_argument(b, MO_OPERAND, space, element, shape);
  if (ref) b->plans[b->operands++] = (mo_window_plan){.windowed = false};
  return ref;
}

mo_value *mo_window_(mo_builder *b, mo_element element, mo_shape shape,
                     mo_map map) {
  if (!map.fn && map.rank != shape.rank)
    mo_fail(b, "a window of %d dimensions mapped by %d", shape.rank, map.rank);
  for (int i = 0; !map.fn && i < map.rank; i++)
    if (map.axes[i] < -1 || map.axes[i] >= b->grid.rank)
      mo_fail(b, "a window follows axis %d of a grid of %d", map.axes[i],
              b->grid.rank);
  mo_value *ref = kernel_argument(b, MO_OPERAND, MO_VMEM, element, shape);
  if (!ref) return NULL;
  mo_window_plan *plan = &b->plans[b->operands++];
  *plan = (mo_window_plan){.fn = map.fn, .user = map.user, .windowed = true};
  for (int i = 0; !map.fn && i < map.rank; i++) plan->axes[i] = map.axes[i];
  return ref;
}

mo_value *mo_scratch_(mo_builder *b, mo_space space, mo_element element,
                      mo_shape shape) {
  mo_value *ref = kernel_argument(b, MO_SCRATCH, space, element, shape);
  b->scratches += ref != NULL;
  return ref;
}

/* ---- Windows --------------------------------------------------------------
 * A window is an entry of window_params that names a function: from the grid's
 * indices and the prefetched references to the block's index. */

static void name_map(char out[32], int operand) {
  snprintf(out, 32, "transform_%d", operand);
}

static const mo_attr *window_attr(mo_builder *b, int operand,
                                  const mo_type *type) {
  const mo_window_plan *plan = &b->plans[operand];
  mo_module *module = b->module;
  if (!plan->windowed) return mo_attr_dict(module, 0, NULL);
  char name[32];
  name_map(name, operand);
  bool still = !plan->fn;
  for (int i = 0; i < type->rank; i++) still = still && plan->axes[i] < 0;
  const char once[] = "#tpu.pipeline_mode<synchronous>";
  mo_named_attr attrs[3] = {
      {"transform_indices",
       mo_attr_text(module, MO_ATTR_SYMBOL, name, strlen(name))},
      {"window_bounds",
       mo_attr_numbers(module, MO_I64, type->rank, type->shape)}};
  /* a window that never moves is brought once, and needs no second buffer */
  if (still)
    attrs[2] = (mo_named_attr){
        "pipeline_mode",
        mo_attr_text(module, MO_ATTR_TEXT, once, sizeof once - 1)};
  return module->arena.failed ? NULL : mo_attr_dict(module, 2 + still, attrs);
}

static void put_kernel_attrs(mo_builder *b, mo_op *kernel) {
  const mo_attr *items[MO_ARGUMENTS_MAX];
  mo_module *module = b->module;
  for (int i = 0; i < b->grid.rank; i++) {
    const char *text = b->grid.parallel[i]
                           ? "#tpu.dimension_semantics<parallel>"
                           : "#tpu.dimension_semantics<arbitrary>";
    items[i] = mo_attr_text(module, MO_ATTR_TEXT, text, strlen(text));
  }
  mo_put(b, kernel, "dimension_semantics",
         mo_attr_items(module, MO_ATTR_ARRAY, b->grid.rank, items, NULL));
  mo_put_integer(b, kernel, "scalar_prefetch", MO_I64, b->prefetches);
  mo_put_integer(b, kernel, "scratch_operands", MO_I64, b->scratches);
  mo_put_text(b, kernel, MO_ATTR_TEXT, "tpu.core_type", "#tpu.core_type<tc>");
  if (!b->grid.rank) return;
  mo_put_numbers(b, kernel, "iteration_bounds", MO_I64, b->grid.rank,
                 b->grid.bounds);
  int first = b->grid.rank + b->prefetches;
  for (int i = 0; i < b->operands; i++)
    items[i] =
        window_attr(b, i, kernel->regions[0]->arguments[first + i]->type);
  mo_put(b, kernel, "window_params",
         mo_attr_items(module, MO_ATTR_ARRAY, b->operands, items, NULL));
}

static void write_map(mo_builder *b, int operand, const mo_op *kernel) {
  const mo_window_plan *plan = &b->plans[operand];
  const mo_region *body = kernel->regions[0];
  int first = b->grid.rank + b->prefetches;
  int rank = body->arguments[first + operand]->type->rank;
  mo_map_arguments arguments = {{0}, {0}};
  mo_value *block[MO_RANK_MAX] = {0};
  char name[32];
  name_map(name, operand);
  begin_function(b, name);
  for (int i = 0; i < first; i++) {
    mo_value *value = add_argument(b, body->arguments[i]->type);
    if (i < b->grid.rank)
      arguments.grid[i] = value;
    else
      arguments.prefetch[i - b->grid.rank] = value;
  }
  if (plan->fn) plan->fn(b, &arguments, plan->user, block);
  for (int i = 0; !plan->fn && i < rank; i++)
    block[i] = plan->axes[i] < 0 ? mo_constant_(b, mo_scalar_type(b, MO_I32), 0)
                                 : arguments.grid[plan->axes[i]];
  end_function(b, (mo_values){rank, block});
}

void mo_kernel_end_(mo_builder *b) {
  mo_op *kernel = b->function;
  if (!b->error.status && (!kernel || b->region != kernel->regions[0]))
    mo_fail(b, "mo_kernel_end %s",
            kernel ? "within a loop, a branch or a scope" : "without a kernel");
  if (b->error.status) return;
  put_kernel_attrs(b, kernel);
  end_function(b, MO_NONE);
  for (int i = 0; b->grid.rank && i < b->operands && !b->error.status; i++)
    if (b->plans[i].windowed) write_map(b, i, kernel);
}

/* ---- Control ---------------------------------------------------------------
 */

/* Opens region `index` of op, with arguments of these types. */
static mo_value **open_region(mo_builder *b, mo_op *op, int index,
                              mo_values like) {
  if (!op) return b->nothing;
  mo_region *region = op->regions[index];
  for (int i = 0; i < like.count; i++)
    mo_argument_add(b->module, region, like.values[i]->type);
  b->region = region;
  return b->module->arena.failed ? b->nothing : region->arguments;
}

static bool too_many(mo_builder *b, mo_values values) {
  if (values.count > MO_CARRIED_MAX)
    mo_fail(b, "%d values carried: at most %d", values.count, MO_CARRIED_MAX);
  for (int i = 0; i < values.count; i++)
    if (!values.values[i]) mo_fail(b, "value %d is NULL", i);
  return b->error.status != PFL_STATUS_OK;
}

static mo_op *emit_carrying(mo_builder *b, mo_op_id id, mo_values operands,
                            mo_values carried, int regions) {
  const mo_type *types[MO_CARRIED_MAX];
  for (int i = 0; i < carried.count; i++) types[i] = carried.values[i]->type;
  return mo_emit(b, id, operands, carried.count, types, regions);
}

mo_value **mo_for_(mo_builder *b, mo_values init) {
  mo_value *step = mo_held(b);
  mo_value *upper = mo_held(b);
  mo_value *lower = mo_held(b);
  if (too_many(b, init)) return b->nothing;
  mo_value *operands[3 + MO_CARRIED_MAX] = {lower, upper, step};
  mo_value *inside[1 + MO_CARRIED_MAX] = {lower};
  for (int i = 0; i < init.count; i++)
    operands[3 + i] = inside[1 + i] = init.values[i];
  mo_op *op = emit_carrying(b, MO_SCF_FOR,
                            (mo_values){3 + init.count, operands}, init, 1);
  return open_region(b, op, 0, (mo_values){1 + init.count, inside});
}

void mo_if_(mo_builder *b, mo_value *condition) {
  mo_op *op = mo_emit(b, MO_SCF_IF, MO_VALUES(condition), 0, NULL, 2);
  open_region(b, op, 0, MO_NONE);
}

/* The op whose region is open, if it is of that kind. */
static mo_op *open_op(mo_builder *b, mo_op_id id) {
  mo_op *op = b->region ? b->region->op : NULL;
  return !b->error.status && op && op->info->id == id ? op : NULL;
}

void mo_else_(mo_builder *b, mo_values yields) {
  mo_op *op = open_op(b, MO_SCF_IF);
  if (!op || b->region != op->regions[0]) {
    mo_fail(b, "mo_else without mo_if");
    return;
  }
  mo_emit(b, MO_SCF_YIELD, yields, 0, NULL, 0);
  open_region(b, op, 1, MO_NONE);
}

mo_value **mo_while_(mo_builder *b, mo_values init) {
  if (too_many(b, init)) return b->nothing;
  mo_op *op = mo_emit(b, MO_SCF_WHILE, init, 0, NULL, 2);
  return open_region(b, op, 0, init);
}

mo_value **mo_do_(mo_builder *b, mo_values passed) {
  mo_value *condition = mo_held(b);
  mo_op *op = open_op(b, MO_SCF_WHILE);
  if (too_many(b, passed)) return b->nothing;
  if (!op || b->region != op->regions[0]) {
    mo_fail(b, "mo_do without mo_while");
    return b->nothing;
  }
  const mo_type *types[MO_CARRIED_MAX];
  mo_value *operands[1 + MO_CARRIED_MAX] = {condition};
  for (int i = 0; i < passed.count; i++) {
    operands[1 + i] = passed.values[i];
    types[i] = passed.values[i]->type;
  }
  mo_emit(b, MO_SCF_CONDITION, (mo_values){1 + passed.count, operands}, 0, NULL,
          0);
  if (b->error.status) return b->nothing;
  mo_op_set_results(b->module, op, passed.count, types);
  return open_region(b, op, 1, passed);
}

void mo_scope_(mo_builder *b) {
  open_region(b, mo_emit(b, MO_TPU_REGION, MO_NONE, 0, NULL, 1), 0, MO_NONE);
}

mo_value **mo_end_(mo_builder *b, mo_values yields) {
  mo_op *op = b->region ? b->region->op : NULL;
  if (b->error.status || too_many(b, yields)) return b->nothing;
  if (!op || op == b->function) {
    mo_fail(b, "mo_end without mo_for, mo_if, mo_while or mo_scope");
    return b->nothing;
  }
  mo_op_id id = op->info->id;
  mo_emit(b, id == MO_TPU_REGION ? MO_TPU_YIELD : MO_SCF_YIELD, yields, 0, NULL,
          0);
  const mo_type *types[MO_CARRIED_MAX];
  for (int i = 0; i < yields.count; i++) types[i] = yields.values[i]->type;
  if ((id == MO_SCF_IF || id == MO_TPU_REGION) && !b->module->arena.failed)
    mo_op_set_results(b->module, op, yields.count, types);
  b->region = op->region;
  return op->result_count ? op->results : b->nothing;
}

mo_value *mo_alloc_(mo_builder *b, mo_space space, mo_element element,
                    mo_shape shape) {
  if (b->error.status || shape.rank > MO_RANK_MAX) return NULL;
  const mo_type *type =
      mo_type_memref(b->module, element, shape.rank, shape.sizes, space, NULL);
  bool semaphores = mo_element_family(element) == MO_FAMILY_SEMAPHORE;
  mo_op *op = mo_emit(b, semaphores ? MO_TPU_SEM_ALLOC : MO_MEMREF_ALLOCA,
                      MO_NONE, 1, &type, 0);
  if (!semaphores)
    mo_put_numbers(b, op, "operandSegmentSizes", MO_I32, 2, (int64_t[]){0, 0});
  return op && op->result_count ? op->results[0] : NULL;
}

void mo_trace_start_(mo_builder *b, const char *message) {
  mo_op *op = mo_emit(b, MO_TPU_TRACE_START, MO_NONE, 0, NULL, 0);
  mo_put_integer(b, op, "level", MO_I32, 10);
  mo_put_text(b, op, MO_ATTR_STRING, "message", message);
}

void mo_trace_stop_(mo_builder *b) {
  mo_emit(b, MO_TPU_TRACE_STOP, MO_NONE, 0, NULL, 0);
}
