/* Programs: made of a kernel's module, and taken apart. */
#include "sim/code.h"

#include <string.h>

#include "base/memory.h"
#include "sim/build.h"

/* ---- The kernel's own lists, copied -------------------------------------- */

static void copy_tensors(mo_arena *arena, const sim_tensor **list, int count) {
  sim_tensor *copy = mo_arena_array(arena, (size_t)count, sizeof *copy);
  for (int i = 0; copy && i < count; i++) {
    copy[i] = (*list)[i];
    int64_t *shape = mo_arena_array(arena, (size_t)copy[i].rank, sizeof *shape);
    for (int d = 0; shape && d < copy[i].rank; d++)
      shape[d] = (*list)[i].shape[d];
    copy[i].shape = shape;
  }
  *list = copy;
}

static void copy_kernel(sim_program *p, const sim_kernel *kernel) {
  p->kernel = *kernel;
  p->kernel.module = NULL;
  copy_tensors(&p->arena, &p->kernel.operands, kernel->operand_count);
  copy_tensors(&p->arena, &p->kernel.results, kernel->result_count);
  sim_alias *aliases =
      mo_arena_array(&p->arena, (size_t)kernel->alias_count, sizeof *aliases);
  for (int i = 0; aliases && i < kernel->alias_count; i++)
    aliases[i] = kernel->aliases[i];
  p->kernel.aliases = aliases;
}

static bool same_tensor(const sim_tensor *a, const sim_tensor *b) {
  bool same = a->element == b->element && a->rank == b->rank;
  for (int i = 0; same && i < a->rank; i++) same = a->shape[i] == b->shape[i];
  return same;
}

static pfl_status check_kernel(const sim_kernel *k, pfl_error *error) {
  for (int i = 0; i < k->operand_count + k->result_count; i++) {
    const sim_tensor *t = i < k->operand_count
                              ? &k->operands[i]
                              : &k->results[i - k->operand_count];
    if (t->rank < 0 || t->rank > MO_RANK_MAX)
      PFL_RAISE(error, INVALID_ARGUMENT, "a tensor of %d dimensions", t->rank);
  }
  for (int i = 0; i < k->alias_count; i++) {
    sim_alias a = k->aliases[i];
    bool fits = a.result >= 0 && a.result < k->result_count && a.operand >= 0 &&
                a.operand < k->operand_count &&
                same_tensor(&k->results[a.result], &k->operands[a.operand]);
    for (int j = 0; fits && j < i; j++)
      fits = k->aliases[j].result != a.result &&
             k->aliases[j].operand != a.operand;
    if (!fits)
      PFL_RAISE(error, INVALID_ARGUMENT,
                "result %d in the place of operand %d: they must be there, "
                "alike and in no other alias",
                a.result, a.operand);
  }
  return PFL_STATUS_OK;
}

/* ---- Finding the kernel -------------------------------------------------- */

/* Whether a window of some function is mapped by this one. */
static bool is_map(const mo_module *module, const char *symbol) {
  for (const mo_op *op = module->body.first; op; op = op->next) {
    const mo_attr *windows = mo_op_get(op, "window_params");
    for (int i = 0; windows && i < windows->count; i++) {
      const mo_attr *map = mo_attr_get(windows->items[i], "transform_indices");
      if (map && map->kind == MO_ATTR_SYMBOL && !strcmp(map->text, symbol))
        return true;
    }
  }
  return false;
}

static pfl_status find_kernel(sim_build *b) {
  for (const mo_op *op = b->module->body.first; op; op = op->next)
    if (!is_map(b->module, mo_op_get(op, "sym_name")->text)) {
      if (b->kernel)
        PFL_RAISE(b->error, INVALID_ARGUMENT,
                  "a module of two kernels, @%s and @%s",
                  mo_op_get(b->kernel, "sym_name")->text,
                  mo_op_get(op, "sym_name")->text);
      b->kernel = op;
    }
  if (b->kernel) return PFL_STATUS_OK;
  PFL_RAISE(b->error, INVALID_ARGUMENT, "a module without a kernel");
}

/* "#tpu.dimension_semantics<parallel>" */
static bool is_parallel(const mo_attr *attr) {
  int length;
  const char *word = mo_attr_word(attr, "tpu.dimension_semantics", &length);
  return word && length == 8 && !strncmp(word, "parallel", 8);
}

static pfl_status read_grid(sim_build *b) {
  sim_program *p = b->program;
  const mo_attr *bounds = mo_op_get(b->kernel, "iteration_bounds");
  const mo_attr *semantics = mo_op_get(b->kernel, "dimension_semantics");
  if (!bounds) return PFL_STATUS_OK;
  if (bounds->count > SIM_RANK_MAX)
    return sim_unknown(b, b->kernel, "a grid of %d dimensions", bounds->count);
  p->grid_rank = bounds->count;
  for (int i = 0; i < bounds->count; i++) {
    p->grid[i] = bounds->numbers[i];
    if (p->grid[i] < 0)
      return sim_unknown(b, b->kernel, "a grid whose bounds are not fixed");
    p->parallel[i] = semantics && semantics->kind == MO_ATTR_ARRAY &&
                     is_parallel(semantics->items[i]);
  }
  int64_t steps;
  if (!base_product(p->grid, p->grid_rank, &steps))
    return sim_unknown(b, b->kernel, "a grid of as many steps");
  return PFL_STATUS_OK;
}

/* ---- Making -------------------------------------------------------------- */

static pfl_status build(sim_build *b) {
  sim_program *p = b->program;
  PFL_TRY(find_kernel(b));
  PFL_TRY(read_grid(b));
  PFL_TRY(sim_bind_arguments(b));
  PFL_TRY(sim_bind_grid(b));
  sim_place_vectors(b);
  p->code = b->code;
  p->code_count = b->count;
  p->sites = b->sites;
  p->site_count = b->site_count;
  p->scalars = b->scalars;
  p->scalar_count = b->scalar_count;
  p->view_count = b->view_count;
  p->transfers = b->transfers;
  p->transfer_count = b->transfer_count;
  p->wholes = b->wholes;
  p->whole_count = b->whole_count;
  if (p->arena.failed)
    PFL_RAISE(b->error, RESOURCE_EXHAUSTED, "no memory for the program");
  return PFL_STATUS_OK;
}

static pfl_status create(const sim_kernel *kernel, sim_program *p,
                         pfl_error *error) {
  size_t values = (size_t)kernel->module->value_count;
  size_t operands = (size_t)kernel->operand_count;
  copy_kernel(p, kernel);
  sim_build b = {.program = p, .module = kernel->module, .error = error};
  b.slots = mo_arena_array(&p->arena, values, sizeof *b.slots);
  b.memory_of = mo_arena_array(&p->arena, values, sizeof *b.memory_of);
  b.operand_memories =
      mo_arena_array(&p->arena, operands, sizeof *b.operand_memories);
  b.copies = mo_arena_array(&p->arena, operands, sizeof *b.copies);
  if (p->arena.failed)
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for the program");
  for (size_t i = 0; i < values; i++) b.memory_of[i] = -1;
  for (size_t i = 0; i < operands; i++) b.copies[i] = -1;
  return build(&b);
}

pfl_status sim_program_create(const sim_kernel *kernel,
                              const pfl_allocator *allocator,
                              sim_program **out_program, pfl_error *error) {
  *out_program = NULL;
  PFL_TRY(mo_verify(kernel->module, error));
  PFL_TRY(check_kernel(kernel, error));
  mo_arena arena = {.allocator = *allocator};
  sim_program *p = mo_arena_take(&arena, sizeof *p);
  if (!p) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for the program");
  p->arena = arena;
  pfl_status status = create(kernel, p, error);
  if (status)
    sim_program_destroy(p);
  else
    *out_program = p;
  return status;
}

void sim_program_destroy(sim_program *program) {
  if (!program) return;
  mo_arena arena = program->arena; /* which holds the program */
  mo_arena_release(&arena);
}
