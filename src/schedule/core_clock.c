#include "schedule/core_clock.h"

static const char *const names[] = {
#define CAUSE_NAME(name, word, what) word,
    SCHEDULE_CAUSE_LIST(CAUSE_NAME)
#undef CAUSE_NAME
};
static const char *const meanings[] = {
#define CAUSE_MEANING(name, word, what) what,
    SCHEDULE_CAUSE_LIST(CAUSE_MEANING)
#undef CAUSE_MEANING
};

const char *schedule_cause_name(schedule_cause cause) { return names[cause]; }

const char *schedule_cause_meaning(schedule_cause cause) {
  return meanings[cause];
}

static inline int64_t later(int64_t a, int64_t b) { return a > b ? a : b; }

/* ---- Queues -------------------------------------------------------------- */

static inline void push(core_queue *queue, int64_t time) {
  queue->times[queue->tail++ % CORE_QUEUE] = time;
  if (queue->tail - queue->head > CORE_QUEUE) queue->head++;
}

/* When the head is there; 0 for an empty queue. */
static inline int64_t head(const core_queue *queue) {
  return queue->head == queue->tail ? 0
                                    : queue->times[queue->head % CORE_QUEUE];
}

static inline void pop(core_queue *queue) {
  queue->head += queue->head != queue->tail;
}

/* ---- Units --------------------------------------------------------------- */

static void matmul(core_clock *core, const vliw_effect *effect) {
  core_mxu *mxu = &core->mxus[effect->unit];
  int64_t start = later(core->now, mxu->free);
  if (effect->alternate) start = later(start, mxu->weights);
  mxu->free = start + effect->cycles;
  core->mxu_busy[effect->unit] += effect->cycles;
  int64_t first = start + core->mxu_latency[effect->unit];
  if (effect->results == 4) first -= core->int8_lead;
  for (int i = 0; i < effect->results; i++)
    push(&mxu->results, first + i * effect->cycles / effect->results);
}

static void push_weights(core_clock *core, const vliw_effect *effect) {
  core_mxu *mxu = &core->mxus[effect->unit];
  int64_t start = later(core->now, mxu->port_free);
  mxu->port_free = start + core->push[effect->alternate];
  mxu->weights = start + core->push_latency[effect->alternate];
}

/* A transpose's results come when its last operand is in. */
static void cross_lanes(core_clock *core, const vliw_effect *effect) {
  core_xlu *xlu = &core->xlus[effect->unit];
  int64_t start = later(core->now, xlu->free);
  xlu->free = start + core->xlu;
  if (effect->kind == VLIW_STARTS_XLU) {
    push(&xlu->results, start + core->xlu_latency[effect->unit]);
    return;
  }
  bool first = effect->kind == VLIW_TRANSPOSE_START;
  xlu->pushes = first || xlu->pushes == CORE_QUEUE ? 1 : xlu->pushes + 1;
  if (effect->kind != VLIW_TRANSPOSE_END) return;
  for (int i = 0; i < xlu->pushes; i++)
    push(&xlu->transposed, start + core->transpose_latency + 8 * i);
  xlu->pushes = 0;
}

static inline void apply(core_clock *core, const vliw_effect *effect) {
  switch ((vliw_effect_kind)effect->kind) {
    case VLIW_WRITES: break;
    case VLIW_MATMULS: matmul(core, effect); break;
    case VLIW_PUSHES: push_weights(core, effect); break;
    case VLIW_POPS_MXU: pop(&core->mxus[effect->unit].results); break;
    case VLIW_POPS_XLU: pop(&core->xlus[effect->unit].results); break;
    case VLIW_POPS_TRANSPOSE: pop(&core->xlus[effect->unit].transposed); break;
    case VLIW_POPS_EUP: pop(&core->eup); break;
    case VLIW_POPS_SCALAR: pop(&core->scalars); break;
    case VLIW_STARTS_EUP:
      push(&core->eup, core->now + core->eup_latency);
      break;
    case VLIW_STARTS_SCALAR:
      push(&core->scalars, core->now + core->scalar_latency);
      break;
    case VLIW_STARTS_XLU:
    case VLIW_TRANSPOSE_START:
    case VLIW_TRANSPOSE_MORE:
    case VLIW_TRANSPOSE_END: cross_lanes(core, effect); break;
  }
  core->ready[effect->destination] = core->now + effect->latency;
}

/* ---- Issue --------------------------------------------------------------- */

void core_clock_start(core_clock *core, const schedule_model *model) {
  *core = (core_clock){
      .mxu_latency = {(int)model->mxu01_latency_cycles,
                      (int)model->mxu01_latency_cycles,
                      (int)model->mxu23_latency_cycles,
                      (int)model->mxu23_latency_cycles},
      .int8_lead = (int)model->int8_lead_cycles,
      .push = {(int)model->push_cycles, (int)model->push_transposed_cycles},
      .push_latency = {(int)model->push_latency_cycles,
                       (int)model->push_transposed_latency_cycles},
      .xlu = (int)model->xlu_cycles,
      .xlu_latency = {(int)model->xlu01_latency_cycles,
                      (int)model->xlu01_latency_cycles,
                      (int)model->xlu2_latency_cycles},
      .transpose_latency = (int)model->transpose_latency_cycles,
      .eup_latency = (int)model->eup_latency_cycles,
      .scalar_latency = (int)model->vector_to_scalar_cycles};
}

static inline void wait_until(int64_t time, schedule_cause cause, int64_t *need,
                              schedule_cause *why) {
  if (time > *need) {
    *need = time;
    *why = cause;
  }
}

static void wait_for_results(const core_clock *core, const vliw_effect *effects,
                             int count, int64_t *need, schedule_cause *why) {
  for (int i = 0; i < count; i++) {
    const vliw_effect *effect = &effects[i];
    switch (effect->kind) {
      case VLIW_POPS_MXU:
        wait_until(head(&core->mxus[effect->unit].results), SCHEDULE_CAUSE_MXU,
                   need, why);
        break;
      case VLIW_POPS_XLU:
        wait_until(head(&core->xlus[effect->unit].results), SCHEDULE_CAUSE_XLU,
                   need, why);
        break;
      case VLIW_POPS_TRANSPOSE:
        wait_until(head(&core->xlus[effect->unit].transposed),
                   SCHEDULE_CAUSE_XLU, need, why);
        break;
      case VLIW_POPS_EUP:
        wait_until(head(&core->eup), SCHEDULE_CAUSE_EUP, need, why);
        break;
      case VLIW_POPS_SCALAR:
        wait_until(head(&core->scalars), SCHEDULE_CAUSE_SCALAR, need, why);
        break;
      default: break;
    }
  }
}

void core_clock_issue(core_clock *core, const schedule_program *program,
                      const vliw_bundle *bundle,
                      int64_t stalls[SCHEDULE_CAUSES]) {
  const uint8_t *reads = program->reads + bundle->reads;
  const vliw_effect *effects = program->effects + bundle->effects;
  int64_t need = core->now;
  schedule_cause why = SCHEDULE_CAUSE_ISSUE;
  for (int i = 0; i < bundle->read_count; i++)
    wait_until(
        core->ready[reads[i]],
        reads[i] < VLIW_VECTORS ? SCHEDULE_CAUSE_SCALAR : SCHEDULE_CAUSE_VECTOR,
        &need, &why);
  if (bundle->pops)
    wait_for_results(core, effects, bundle->effect_count, &need, &why);
  if (need > core->now) {
    stalls[why] += need - core->now;
    core->now = need;
  }
  for (int i = 0; i < bundle->effect_count; i++) apply(core, &effects[i]);
  core->now += 1 + bundle->delay;
}
