/* The arguments of a kernel: which memory each is, and what is moved where. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "sim/build.h"

/* Of one memory, and of all that a chip has of its own. */
#define BYTES_MAX ((int64_t)1 << 40)
enum { SEMAPHORES_MAX = 1 << 16 };

/* ---- Memories ------------------------------------------------------------ */

static int64_t round_power(int64_t size, int64_t most) {
  int64_t power = 1;
  while (power < most && power < size) power *= 2;
  return base_round_up(size, power);
}

/* Bytes with the padding to tiles: 128 lanes by 8 words of sublanes, fewer
 * where there are fewer rows. */
static int64_t padded_bytes(const sim_memory_plan *plan) {
  int64_t count = 1,
          rows = 8 * (4 / (plan->element_bytes ? plan->element_bytes : 4));
  for (int i = 0; i < plan->rank; i++) {
    int64_t size = plan->shape[i];
    if (i == plan->rank - 1) size = base_round_up(size, 128);
    if (i == plan->rank - 2) size = round_power(size, rows);
    count *= size;
  }
  return count * plan->element_bytes;
}

static void account(sim_build *b, const sim_memory_plan *plan) {
  sim_program *p = b->program;
  if (plan->space == MO_SMEM) b->smem += base_round_up(plan->bytes, 4);
  if (plan->space == MO_VMEM) b->vmem += padded_bytes(plan);
  p->vmem_bytes = base_max(p->vmem_bytes, b->vmem);
  p->smem_bytes = base_max(p->smem_bytes, b->smem);
}

static pfl_status check_memory(sim_build *b, const mo_type *type,
                               const char *name, int64_t *out_count) {
  bool known = type->kind == MO_TYPE_MEMREF && type->rank <= SIM_RANK_MAX &&
               sim_element_bytes(type->element) <= 4 &&
               (type->space == MO_ANY || type->space == MO_HBM ||
                type->space == MO_VMEM || type->space == MO_SMEM ||
                type->space == MO_SEMAPHORE_MEM);
  if (known && base_product(type->shape, type->rank, out_count) &&
      *out_count <= BYTES_MAX / 4)
    return PFL_STATUS_OK;
  PFL_RAISE(b->error, UNIMPLEMENTED,
            "%s is %s: the simulator does not know such memory", name,
            type->text);
}

/* Adds a memory of the chip's own. */
pfl_status sim_add_memory(sim_build *b, const mo_type *type, const char *name,
                          int32_t *out_memory) {
  sim_program *p = b->program;
  int64_t count;
  *out_memory = 0;
  PFL_TRY(check_memory(b, type, name, &count));
  sim_push(b, p->memories, p->memory_count);
  if (p->arena.failed) {
    p->memory_count--;
    PFL_RAISE(b->error, RESOURCE_EXHAUSTED, "no memory for the program");
  }
  sim_memory_plan *plan = &p->memories[p->memory_count - 1];
  *plan = (sim_memory_plan){.origin = SIM_OWN,
                            .tensor = -1,
                            .space = type->space,
                            .element = type->element,
                            .element_bytes = sim_element_bytes(type->element),
                            .rank = type->rank,
                            .written_at = -1};
  snprintf(plan->name, sizeof plan->name, "%s", name);
  for (int i = 0; i < type->rank; i++) plan->shape[i] = type->shape[i];
  if (mo_element_family(type->element) == MO_FAMILY_SEMAPHORE) {
    plan->semaphores = plan->bytes = count;
    plan->semaphore_at = p->semaphore_count;
    p->semaphore_count += count;
  } else {
    plan->bytes = count * plan->element_bytes;
    plan->at = p->block_bytes;
    p->block_bytes += base_round_up(plan->bytes, BASE_ALIGNMENT);
    plan->written_at = p->written_words;
    p->written_words += 2 * base_ceil_div(plan->bytes, 64);
  }
  if (p->block_bytes > BYTES_MAX || p->semaphore_count > SEMAPHORES_MAX)
    PFL_RAISE(b->error, RESOURCE_EXHAUSTED,
              "%lld bytes and %lld semaphores: no chip has as many",
              (long long)p->block_bytes, (long long)p->semaphore_count);
  account(b, plan);
  *out_memory = p->memory_count - 1;
  return PFL_STATUS_OK;
}

/* ---- Tensors ------------------------------------------------------------- */

typedef struct argument {
  const mo_value *value;
  const sim_tensor *tensor;
  int number; /* of the operand or result */
  bool result;
  char name[24]; /* "operand 2" */
} argument;

static int operand_of(const sim_kernel *kernel, int result) {
  for (int i = 0; i < kernel->alias_count; i++)
    if (kernel->aliases[i].result == result) return kernel->aliases[i].operand;
  return -1;
}

static int result_of(const sim_kernel *kernel, int operand) {
  for (int i = 0; i < kernel->alias_count; i++)
    if (kernel->aliases[i].operand == operand) return kernel->aliases[i].result;
  return -1;
}

/* The memory in HBM of a tensor; an alias has that of its operand. */
static pfl_status add_tensor(sim_build *b, const argument *x,
                             int32_t *out_memory) {
  sim_program *p = b->program;
  int operand = x->result ? operand_of(&p->kernel, x->number) : -1;
  if (operand >= 0) {
    *out_memory = b->operand_memories[operand];
    return PFL_STATUS_OK;
  }
  const sim_tensor *t = x->tensor;
  int64_t count;
  if (!base_product(t->shape, t->rank, &count))
    PFL_RAISE(b->error, INVALID_ARGUMENT, "%s has no such shape", x->name);
  sim_push(b, p->memories, p->memory_count);
  if (p->arena.failed) {
    p->memory_count--;
    PFL_RAISE(b->error, RESOURCE_EXHAUSTED, "no memory for the program");
  }
  int result = x->result ? x->number : result_of(&p->kernel, x->number);
  sim_memory_plan *plan = &p->memories[p->memory_count - 1];
  *plan = (sim_memory_plan){
      .origin = result >= 0 ? SIM_FROM_RESULT : SIM_FROM_OPERAND,
      .tensor = result >= 0 ? result : x->number,
      .space = MO_HBM,
      .element = t->element,
      .element_bytes = sim_element_bytes(t->element),
      .rank = t->rank,
      .written_at = -1};
  snprintf(plan->name, sizeof plan->name, "%s", x->name);
  for (int i = 0; i < t->rank; i++) plan->shape[i] = t->shape[i];
  plan->bytes = count * plan->element_bytes;
  if (x->result) { /* written, and stored to */
    plan->written_at = p->written_words;
    p->written_words += 2 * base_ceil_div(plan->bytes, 64);
  }
  *out_memory = p->memory_count - 1;
  if (!x->result) b->operand_memories[x->number] = *out_memory;
  return PFL_STATUS_OK;
}

static pfl_status check_tensor(sim_build *b, const argument *x, bool window) {
  const mo_type *type = x->value->type;
  const sim_tensor *t = x->tensor;
  bool fits = type->element == t->element && type->rank == t->rank &&
              t->rank <= SIM_RANK_MAX && sim_element_bytes(t->element) <= 4;
  for (int i = 0; fits && i < t->rank; i++)
    fits = t->shape[i] >= 0 && (window || type->shape[i] == t->shape[i]);
  if (fits) return PFL_STATUS_OK;
  base_text shape = {.allocator = b->program->arena.allocator};
  for (int i = 0; i < t->rank && i < MO_RANK_MAX; i++)
    base_text_format(&shape, "%lldx", (long long)t->shape[i]);
  pfl_status status = base_error_set(
      b->error, PFL_STATUS_INVALID_ARGUMENT,
      "%s is %s%s, and the kernel's argument is %s", x->name,
      base_text_get(&shape), mo_element_name(t->element), type->text);
  base_text_release(&shape);
  return status;
}

/* ---- Arguments ----------------------------------------------------------- */

static void add_whole(sim_build *b, const mo_value *value, int32_t memory) {
  sim_slot view = sim_define(b, value);
  sim_push(b, b->wholes, b->whole_count);
  if (b->program->arena.failed) return;
  b->wholes[b->whole_count - 1] = (sim_whole){view.index, memory};
  b->memory_of[value->id] = memory;
}

static void add_transfer(sim_build *b, int32_t hbm, int32_t chip, bool back) {
  sim_push(b, b->transfers, b->transfer_count);
  if (!b->program->arena.failed)
    b->transfers[b->transfer_count - 1] = (sim_transfer){hbm, chip, back};
}

/* An operand without a window: where it lies, or copied whole. */
static pfl_status bind_whole(sim_build *b, const argument *x) {
  int32_t hbm, own;
  PFL_TRY(check_tensor(b, x, false));
  PFL_TRY(add_tensor(b, x, &hbm));
  const mo_type *type = x->value->type;
  if (type->space != MO_VMEM && type->space != MO_SMEM) {
    int64_t count;
    PFL_TRY(check_memory(b, type, x->name, &count));
    add_whole(b, x->value, hbm);
    return PFL_STATUS_OK;
  }
  int operand = x->result ? operand_of(&b->program->kernel, x->number) : -1;
  if (operand >= 0 && b->copies[operand] >= 0) {
    own = b->copies[operand]; /* an alias works on what its operand became */
  } else {
    PFL_TRY(sim_add_memory(b, type, x->name, &own));
    if (!x->result || operand >= 0) add_transfer(b, hbm, own, false);
  }
  if (!x->result) b->copies[x->number] = own;
  if (x->result) add_transfer(b, hbm, own, true);
  add_whole(b, x->value, own);
  return PFL_STATUS_OK;
}

/* Nothing that a window is told may be passed over. */
static pfl_status check_window_attr(sim_build *b, const mo_attr *attr) {
  for (int i = 0; i < attr->count; i++) {
    const char *name = attr->names[i];
    if (strcmp(name, "transform_indices") && strcmp(name, "window_bounds") &&
        strcmp(name, "pipeline_mode") && strcmp(name, "window_kind"))
      return sim_unknown(b, b->kernel, "%s of a window", name);
  }
  return PFL_STATUS_OK;
}

/* #tpu.element_window<[0, 0], [0, 0]>: the map gives elements. */
static pfl_status read_kind(sim_build *b, const mo_attr *attr, int rank,
                            sim_window *window) {
  const mo_attr *kind = mo_attr_get(attr, "window_kind");
  const mo_attr *mode = mo_attr_get(attr, "pipeline_mode");
  int length;
  const char *word = mo_attr_word(mode, "tpu.pipeline_mode", &length);
  window->once = word && length == 11 && !strncmp(word, "synchronous", 11);
  bool twice = word && length == 15 && !strncmp(word, "double_buffered", 15);
  if (mode && !window->once && !twice)
    return sim_unknown(b, b->kernel, "this pipeline_mode of a window");
  if (!kind) return PFL_STATUS_OK;
  word = mo_attr_word(kind, "tpu.element_window", &length);
  for (int i = 0; word && i < length; i++)
    if (strchr("123456789-", word[i])) word = NULL; /* padding */
  if (!word || rank < 1)
    PFL_RAISE(b->error, UNIMPLEMENTED,
              "a window_kind of %s: the simulator does not know it",
              kind->kind == MO_ATTR_TEXT ? kind->text : "this kind");
  window->element = true;
  return PFL_STATUS_OK;
}

static pfl_status bind_window(sim_build *b, const argument *x,
                              const mo_attr *attr) {
  sim_program *p = b->program;
  const mo_type *type = x->value->type;
  sim_window w = {.result = x->result, .rank = type->rank};
  char name[48];
  int32_t hbm, buffer;
  PFL_TRY(check_window_attr(b, attr));
  PFL_TRY(check_tensor(b, x, true));
  PFL_TRY(read_kind(b, attr, type->rank, &w));
  PFL_TRY(add_tensor(b, x, &hbm));
  w.memory = hbm;
  for (int i = 0; i < type->rank; i++) w.block[i] = type->shape[i];
  snprintf(name, sizeof name, "the window of %s", x->name);
  for (int i = 0; i < (w.once ? 1 : 2); i++) {
    PFL_TRY(sim_add_memory(b, type, name, &buffer));
    w.buffers[i] = buffer;
  }
  if (w.once) w.buffers[1] = w.buffers[0];
  add_whole(b, x->value, w.buffers[0]);
  w.view = b->slots[x->value->id].index;
  w.map = -1;
  sim_push(b, p->windows, p->window_count);
  sim_push(b, b->window_attrs, b->window_attr_count);
  if (p->arena.failed) return PFL_STATUS_OK;
  p->windows[p->window_count - 1] = w;
  b->window_attrs[b->window_attr_count - 1] = attr;
  return PFL_STATUS_OK;
}

static int64_t integer_of(const mo_op *op, const char *name) {
  const mo_attr *attr = mo_op_get(op, name);
  return attr ? attr->integer : 0;
}

static void name_argument(argument *x, bool result, int number) {
  x->result = result;
  x->number = number;
  snprintf(x->name, sizeof x->name, "%s %d", result ? "result" : "operand",
           number);
}

/* Prefetched scalars, operands, results. */
static pfl_status bind_tensors(sim_build *b, int first, int prefetched) {
  const sim_kernel *kernel = &b->program->kernel;
  const mo_region *body = b->kernel->regions[0];
  const mo_attr *windows = mo_op_get(b->kernel, "window_params");
  int count = kernel->operand_count + kernel->result_count;
  for (int i = 0; i < count; i++) {
    argument x = {.value = body->arguments[first + i]};
    bool result = i >= kernel->operand_count;
    name_argument(&x, result, result ? i - kernel->operand_count : i);
    x.tensor = result ? &kernel->results[x.number] : &kernel->operands[i];
    const mo_attr *window =
        windows && i >= prefetched ? windows->items[i - prefetched] : NULL;
    if (window && window->count)
      PFL_TRY(bind_window(b, &x, window));
    else
      PFL_TRY(bind_whole(b, &x));
  }
  return PFL_STATUS_OK;
}

static pfl_status bind_scratch(sim_build *b, int first, int count) {
  for (int i = 0; i < count; i++) {
    const mo_value *value = b->kernel->regions[0]->arguments[first + i];
    char name[32];
    int32_t memory;
    snprintf(name, sizeof name, "scratch %d", i);
    PFL_TRY(sim_add_memory(b, value->type, name, &memory));
    add_whole(b, value, memory);
  }
  return PFL_STATUS_OK;
}

static pfl_status bind_barrier(sim_build *b) {
  sim_program *p = b->program;
  p->barrier = -1;
  if (!p->kernel.has_communication) return PFL_STATUS_OK;
  mo_type type = {.text = "!tpu.semaphore",
                  .kind = MO_TYPE_MEMREF,
                  .element = MO_SEMAPHORE,
                  .space = MO_SEMAPHORE_MEM};
  int32_t memory;
  PFL_TRY(sim_add_memory(b, &type, "the barrier semaphore", &memory));
  p->barrier = memory;
  return PFL_STATUS_OK;
}

pfl_status sim_bind_arguments(sim_build *b) {
  sim_program *p = b->program;
  const mo_region *body = b->kernel->regions[0];
  int prefetched = (int)integer_of(b->kernel, "scalar_prefetch");
  int scratch = (int)integer_of(b->kernel, "scratch_operands");
  int given = p->kernel.operand_count + p->kernel.result_count;
  int taken = body->argument_count - p->grid_rank - scratch;
  if (given != taken || prefetched > p->kernel.operand_count)
    PFL_RAISE(b->error, INVALID_ARGUMENT,
              "%d operands and %d results: the kernel takes %d in all, %d of "
              "them prefetched",
              p->kernel.operand_count, p->kernel.result_count, taken,
              prefetched);
  for (int i = 0; i < p->grid_rank; i++)
    p->grid_registers[i] = sim_define(b, body->arguments[i]).index;
  PFL_TRY(bind_tensors(b, p->grid_rank, prefetched));
  PFL_TRY(bind_scratch(b, p->grid_rank + given, scratch));
  return bind_barrier(b);
}
