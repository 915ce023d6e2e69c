/* A chip's memory, taken before a run and given back after. */
#include "sim/chip.h"

#include <string.h>

#include "base/memory.h"
#include "sim/contents.h"
#include "sim/dma.h"
#include "sim/race.h"
#include "sim/setup.h"
#include "sim/window.h"

static void *take(sim_chip *chip, int64_t count, size_t size) {
  return mo_arena_array(&chip->arena, (size_t)count, size);
}

/* What is large and need not be zero: the last run's, if that is enough. */
static void *take_block(sim_chip *chip, int number, int64_t bytes) {
  sim_block *block = &chip->blocks[number];
  if (block->memory && block->bytes >= bytes) return block->memory;
  base_release(&chip->arena.allocator, block->memory);
  block->memory = base_allocate(&chip->arena.allocator, (size_t)bytes);
  block->bytes = block->memory ? bytes : 0;
  if (!block->memory) chip->arena.failed = true;
  return block->memory;
}

static void take_values(sim_chip *chip) {
  const sim_program *p = chip->program;
  chip->scalars = take(chip, p->scalar_count, sizeof *chip->scalars);
  chip->views = take(chip, p->view_count, sizeof *chip->views);
  chip->vectors = take(chip, p->vector_count, sizeof *chip->vectors);
  chip->shadows = take(chip, p->vector_count, sizeof *chip->shadows);
  chip->taints = take(chip, p->vector_count, sizeof *chip->taints);
  uint8_t *arena = take_block(chip, 0, p->arena_bytes);
  uint8_t *shadow = take_block(chip, 1, p->arena_bytes);
  chip->product = take_block(chip, 2, p->product_bytes);
  if (chip->arena.failed) return;
  memcpy(chip->scalars, p->scalars,
         (size_t)p->scalar_count * sizeof *p->scalars);
  for (int i = 0; i < p->vector_count; i++) {
    chip->vectors[i] = arena + p->vectors[i];
    chip->shadows[i] = shadow + p->vectors[i];
  }
}

static void take_memories(sim_chip *chip, const sim_run *run) {
  const sim_program *p = chip->program;
  chip->memories = take(chip, p->memory_count, sizeof *chip->memories);
  uint8_t *block = take_block(chip, 3, p->block_bytes);
  uint64_t *written = take_block(chip, 4, p->written_words * 8);
  if (chip->arena.failed) return;
  if (!chip->options->hostile) memset(block, 0, (size_t)p->block_bytes);
  for (int i = 0; i < p->memory_count; i++) {
    const sim_memory_plan *plan = &p->memories[i];
    sim_memory *memory = &chip->memories[i];
    *memory = (sim_memory){.plan = plan, .number = i, .chip = chip->number};
    if (plan->origin == SIM_FROM_OPERAND)
      memory->bytes = run->operands[chip->number][plan->tensor];
    else if (plan->origin == SIM_FROM_RESULT)
      memory->bytes = run->results[chip->number][plan->tensor];
    else
      memory->bytes = block + plan->at;
    if (plan->written_at >= 0) memory->written = written + plan->written_at;
    if (memory->written)
      memory->stored = memory->written + base_ceil_div(plan->bytes, 64);
    if (plan->remote && chip->chips > 1)
      memory->history = take(chip, 1, sizeof *memory->history);
    sim_memory_forget(chip, memory);
  }
}

static void take_queues(sim_chip *chip) {
  const sim_program *p = chip->program;
  chip->windows = take(chip, p->window_count, sizeof *chip->windows);
  chip->semaphores = take(chip, p->semaphore_count, sizeof *chip->semaphores);
  chip->outbox = take(chip, SIM_OUTBOX_MAX, sizeof *chip->outbox);
  chip->dmas = take_block(chip, 5, SIM_DMAS_MAX * (int64_t)sizeof(sim_dma));
  chip->signals =
      take_block(chip, 6, SIM_SIGNALS_MAX * (int64_t)sizeof(sim_signal));
  if (chip->arena.failed) return;
  for (int i = 0; i < p->memory_count; i++)
    for (int64_t s = 0; s < p->memories[i].semaphores; s++) {
      sim_semaphore *one = &chip->semaphores[p->memories[i].semaphore_at + s];
      one->memory = i;
      one->index = (int)s;
    }
}

/* Operands that take a result's place are copied there. */
static void copy_aliases(const sim_chip *chip, const sim_run *run) {
  const sim_kernel *k = &chip->program->kernel;
  for (int i = 0; i < k->alias_count; i++) {
    const sim_tensor *t = &k->operands[k->aliases[i].operand];
    void *from = run->operands[chip->number][k->aliases[i].operand];
    void *to = run->results[chip->number][k->aliases[i].result];
    int64_t count;
    if (from == to || !base_product(t->shape, t->rank, &count)) continue;
    memcpy(to, from, (size_t)(count * sim_element_bytes(t->element)));
  }
}

/* Whole operands go to VMEM and SMEM, and whole results back. */
void sim_chip_transfer(sim_chip *chip, bool back) {
  const sim_program *p = chip->program;
  for (int i = 0; i < p->transfer_count; i++) {
    const sim_transfer *t = &p->transfers[i];
    if (t->back != back) continue;
    sim_view hbm = sim_memory_view(&chip->memories[t->hbm]);
    sim_view own = sim_memory_view(&chip->memories[t->chip]);
    sim_view_transfer(back ? &hbm : &own, back ? &own : &hbm);
  }
}

static void start(sim_chip *chip) {
  const sim_program *p = chip->program;
  for (int i = 0; i < p->whole_count; i++)
    chip->views[p->wholes[i].view] =
        sim_memory_view(&chip->memories[p->wholes[i].memory]);
  chip->pc = p->code;
  chip->steps = 1;
  for (int i = 0; i < p->grid_rank; i++) {
    chip->steps *= p->grid[i];
    chip->backwards[i] =
        chip->options->hostile && p->parallel[i] && sim_random(chip) % 2;
  }
  for (int i = 0; i < chip->chips; i++) chip->clock.epoch[i] = 0;
  chip->clock.epoch[chip->number] = 1;
  static const uint32_t odds[] = {0, 16, 256, 768};
  chip->pause_odds = odds[sim_random(chip) % 4];
  sim_chip_transfer(chip, false);
}

pfl_status sim_chip_set_up(sim_chip *chip, const sim_run *run,
                           pfl_error *error) {
  copy_aliases(chip, run);
  take_values(chip);
  take_memories(chip, run);
  take_queues(chip);
  if (chip->arena.failed)
    PFL_RAISE(error, RESOURCE_EXHAUSTED,
              "no memory for chip %d, which takes %lld MiB", chip->number,
              (long long)((chip->program->block_bytes +
                           2 * chip->program->arena_bytes) >>
                          20));
  start(chip);
  return PFL_STATUS_OK;
}

void sim_chip_take_down(sim_chip *chip) {
  for (int i = 0; i < SIM_BLOCKS; i++)
    if (chip->blocks[i].bytes > SIM_KEPT_BYTES)
      sim_block_release(&chip->blocks[i], &chip->arena.allocator);
  mo_arena_release(&chip->arena);
}

void sim_block_release(sim_block *block, const pfl_allocator *allocator) {
  base_release(allocator, block->memory);
  *block = (sim_block){NULL, 0};
}

/* ---- Running ------------------------------------------------------------- */

static const sim_inst *run_quietly(sim_chip *chip, const sim_inst *inst) {
  int64_t left = chip->ops_left;
  while (inst && left > 0) {
    left--;
    inst = inst->run(chip, inst);
  }
  chip->ops_left = left;
  return inst;
}

static const sim_inst *run_traced(sim_chip *chip, const sim_inst *inst) {
  for (; inst && chip->ops_left > 0; chip->ops_left--) {
    const sim_inst *done = inst;
    inst = inst->run(chip, inst);
    if (chip->state != SIM_WAITING) sim_time_inst(chip, done);
  }
  return inst;
}

void sim_chip_run(sim_chip *chip) {
  if (chip->state != SIM_RUNNING) return;
  int64_t begun = chip->ops_left;
  const sim_inst *inst = chip->options->trace ? run_traced(chip, chip->pc)
                                              : run_quietly(chip, chip->pc);
  chip->statistics.ops += begun - chip->ops_left;
  if (inst)
    sim_hazard_stop(chip, SIM_HAZARD_ENDLESS, inst, "%lld instructions",
                    (long long)chip->statistics.ops);
}

/* A result that comes of what was never written, and DMAs and semaphores that
 * are left. */
void sim_chip_finish(sim_chip *chip) {
  const sim_program *p = chip->program;
  sim_time_end(chip);
  sim_dma_run_all(chip);
  for (int i = 0; i < p->memory_count; i++)
    sim_check_left(chip, -1, &chip->memories[i]);
  sim_chip_transfer(chip, true);
  for (int i = 0; i < p->memory_count; i++) {
    const sim_memory *memory = &chip->memories[i];
    if (memory->plan->origin != SIM_FROM_RESULT) continue;
    int64_t tainted = sim_memory_tainted(memory);
    chip->statistics.unwritten_bytes += memory->unwritten - tainted;
    if (tainted)
      sim_hazard_add(chip, SIM_HAZARD_UNWRITTEN, (int32_t)memory->taint - 1,
                     "%lld bytes of %s come of what this read where nothing "
                     "was written",
                     (long long)tainted, memory->plan->name);
  }
}
