/* DMAs, semaphores. */
#include "sim/build.h"
#include "sim/dma.h"
#include "sim/taint.h"

/* ---- Places -------------------------------------------------------------- */

static int32_t semaphore_of(const sim_chip *chip, sim_slot slot) {
  const sim_view *view = &chip->views[slot.index];
  return (int32_t)(view->memory->plan->semaphore_at + view->offset);
}

/* The chip that is meant: this one without a device_id. -1 after a hazard. */
static int target_of(sim_chip *chip, const sim_inst *inst, sim_slot device) {
  if (!device.kind) return chip->number;
  sim_decides(chip, inst, device);
  int64_t target = chip->scalars[device.index].i;
  if (target < 0 || target >= chip->chips) {
    sim_hazard_stop(chip, SIM_HAZARD_ROUTE, inst, "to chip %lld of %d",
                    (long long)target, chip->chips);
    return -1;
  }
  /* chips 0 1 / 2 3: the diagonal takes two hops */
  if ((target ^ chip->number) == 3)
    sim_hazard_add(chip, SIM_HAZARD_ROUTE, inst->site,
                   "from chip %d to chip %lld, which is no neighbour on the "
                   "2 x 2 mesh",
                   chip->number, (long long)target);
  return (int)target;
}

/* ---- Starting ------------------------------------------------------------ */

typedef struct start {
  sim_slot from, to, sent, received, device;
} start;

static bool same_shape(const sim_view *a, const sim_view *b) {
  bool same = a->rank == b->rank;
  for (int i = 0; same && i < a->rank; i++) same = a->sizes[i] == b->sizes[i];
  return same;
}

static const sim_inst *run_start(sim_chip *chip, const sim_inst *inst) {
  const start *x = inst->data;
  const sim_view *from = &chip->views[x->from.index];
  const sim_view *to = &chip->views[x->to.index];
  int target = target_of(chip, inst, x->device);
  if (target < 0) return NULL;
  if (!same_shape(from, to))
    return sim_hazard_stop(
        chip, SIM_HAZARD_BOUNDS, inst, "%lld elements of %s to %lld of %s",
        (long long)sim_view_count(from), from->memory->plan->name,
        (long long)sim_view_count(to), to->memory->plan->name);
  if (from->pack > 1 || to->pack > 1)
    return sim_hazard_stop(chip, SIM_HAZARD_ALIGNMENT, inst,
                           "a DMA of packed rows");
  if (to->memory->plan->origin == SIM_FROM_OPERAND)
    return sim_hazard_stop(chip, SIM_HAZARD_OPERAND, inst,
                           "writes %s, whose place no result takes",
                           to->memory->plan->name);
  bool remote = x->sent.kind != SIM_NOTHING;
  if (!sim_dma_start(chip, inst, from, to,
                     remote ? semaphore_of(chip, x->sent) : -1,
                     semaphore_of(chip, x->received), target))
    return NULL;
  return sim_pause(chip, inst + 1);
}

/* Memories that another chip's DMA may write to keep a history. */
static void mark_remote(sim_build *b, const mo_value *value) {
  while (value->op && value->op->operand_count &&
         value->op->info->id >= MO_TPU_MEMREF_SLICE &&
         value->op->info->id <= MO_TPU_ERASE_MEMREF_LAYOUT)
    value = value->op->operands[0];
  sim_program *p = b->program;
  int32_t memory = b->memory_of[value->id];
  for (int i = 0; i < p->memory_count; i++)
    if (memory < 0 || memory == i) p->memories[i].remote = true;
}

/* A v5e chip has one core. */
static pfl_status check_core(sim_build *b, const mo_op *op) {
  static const char *const names[] = {"core_id", "subcore_id"};
  for (int i = 0; i < 2; i++) {
    const mo_value *core = mo_op_operand(op, names[i]);
    if (!core) continue;
    const mo_attr *value = core->op ? mo_op_get(core->op, "value") : NULL;
    if (!value || value->integer)
      return sim_unknown(b, op, "a %s that is not 0", names[i]);
  }
  return PFL_STATUS_OK;
}

static pfl_status bind_start(sim_build *b, const mo_op *op) {
  const mo_value *device = mo_op_operand(op, "device_id");
  const mo_value *sent = mo_op_operand(op, "source_semaphore");
  const mo_value *received = mo_op_operand(op, "target_semaphore");
  if (!received) return sim_unknown(b, op, "a DMA that nothing counts");
  start x = {.from = sim_use(b, mo_op_operand(op, "source")),
             .to = sim_use(b, mo_op_operand(op, "target")),
             .received = sim_use(b, received)};
  if (sent) x.sent = sim_use(b, sent);
  if (device) {
    x.device = sim_use(b, device);
    mark_remote(b, mo_op_operand(op, "target"));
  }
  sim_emit(b, op, run_start, &x);
  return PFL_STATUS_OK;
}

/* ---- Waiting ------------------------------------------------------------- */

static const sim_inst *run_wait_dma(sim_chip *chip, const sim_inst *inst) {
  const start *x = inst->data;
  const sim_view *to = &chip->views[x->to.index];
  return sim_semaphore_wait(chip, inst, semaphore_of(chip, x->received),
                            sim_view_count(to) * sim_view_unit(to));
}

typedef struct count {
  sim_slot semaphore, amount, device, out;
} count;

static const sim_inst *run_wait(sim_chip *chip, const sim_inst *inst) {
  const count *x = inst->data;
  sim_decides(chip, inst, x->amount);
  int64_t amount = chip->scalars[x->amount.index].i;
  if (amount < 0)
    return sim_hazard_stop(chip, SIM_HAZARD_SEMAPHORE, inst, "a wait for %lld",
                           (long long)amount);
  return sim_semaphore_wait(chip, inst, semaphore_of(chip, x->semaphore),
                            amount);
}

static const sim_inst *run_read(sim_chip *chip, const sim_inst *inst) {
  const count *x = inst->data;
  sim_scalar *out = &chip->scalars[x->out.index];
  out->i = sim_semaphore_read(chip, semaphore_of(chip, x->semaphore));
  out->taint = 0;
  return sim_pause(chip, inst + 1);
}

static const sim_inst *run_signal(sim_chip *chip, const sim_inst *inst) {
  const count *x = inst->data;
  int32_t number = semaphore_of(chip, x->semaphore);
  int target = target_of(chip, inst, x->device);
  if (target < 0) return NULL;
  sim_decides(chip, inst, x->amount);
  int64_t amount = chip->scalars[x->amount.index].i;
  if (amount < 0)
    return sim_hazard_stop(chip, SIM_HAZARD_SEMAPHORE, inst, "a signal of %lld",
                           (long long)amount);
  if (chip->semaphores[number].memory != chip->program->barrier)
    sim_check_begun(chip, inst->site, target);
  bool room = true;
  if (target == chip->number) {
    sim_semaphore *semaphore = &chip->semaphores[number];
    semaphore->value += amount;
    room = sim_semaphore_announce(chip, semaphore, amount, &chip->clock, NULL,
                                  chip->time.now_us);
  } else if (chip->outbox_count < SIM_OUTBOX_MAX) {
    chip->outbox[chip->outbox_count++] =
        (sim_message){.target = target,
                      .semaphore = number,
                      .site = inst->site,
                      .amount = amount,
                      .clock = chip->clock,
                      .us = sim_time_signal(chip, target)};
  } else {
    room = false;
  }
  if (!room)
    return sim_hazard_stop(chip, SIM_HAZARD_CAPACITY, inst, "too many signals");
  chip->clock.epoch[chip->number]++;
  chip->statistics.signals++;
  return sim_pause(chip, inst + 1);
}

pfl_status sim_bind_dma(sim_build *b, const mo_op *op) {
  PFL_TRY(check_core(b, op));
  if (op->info->id == MO_TPU_ENQUEUE_DMA) return bind_start(b, op);
  if (op->info->id == MO_TPU_WAIT_DMA2) {
    start x = {.received = sim_use(b, mo_op_operand(op, "semaphore")),
               .to = sim_use(b, mo_op_operand(op, "dst"))};
    sim_emit(b, op, run_wait_dma, &x);
    return PFL_STATUS_OK;
  }
  const mo_value *device = mo_op_operand(op, "device_id");
  const mo_value *amount = mo_op_operand(op, "amount");
  count x = {.semaphore = sim_use(b, op->operands[0])};
  if (amount) x.amount = sim_use(b, amount);
  if (device) x.device = sim_use(b, device);
  if (op->info->id == MO_TPU_SEM_READ) x.out = sim_define(b, op->results[0]);
  sim_emit(b, op,
           op->info->id == MO_TPU_SEM_READ   ? run_read
           : op->info->id == MO_TPU_SEM_WAIT ? run_wait
                                             : run_signal,
           &x);
  return PFL_STATUS_OK;
}
