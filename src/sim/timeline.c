#include "sim/timeline.h"

#include "base/memory.h"
#include "sim/dma.h"

/* A v5e: 1.5 GHz, 819 GB/s of HBM, 45 GB/s a link one way, 1 us a hop. Bytes
 * per microsecond. */
#define CYCLES_PER_US 1500.
#define HBM_PER_US 819e3
#define LINK_PER_US 45e3
#define HBM_LATENCY_US 0.6
#define HOP_US 1.

static double larger(double a, double b) { return a > b ? a : b; }

static void emit(const sim_chip *chip, sim_track track, int peer,
                 const char *name, int32_t site, double begin_us, double end_us,
                 int64_t bytes) {
  const sim_program *p = chip->program;
  sim_span span = {.chip = chip->number,
                   .track = track,
                   .peer = peer,
                   .name = name,
                   .begin_us = begin_us,
                   .end_us = end_us,
                   .bytes = bytes};
  if (site >= 0 && site < p->site_count) {
    span.file = p->sites[site].file;
    span.line = p->sites[site].line;
    if (!name) span.name = p->sites[site].op;
  }
  if (!span.name) span.name = "kernel";
  chip->options->trace(chip->options->trace_user, &span);
}

/* ---- The core ------------------------------------------------------------ */

void sim_time_end(sim_chip *chip) {
  sim_timeline *t = &chip->time;
  if (!chip->options->trace || !t->work) return;
  if (t->now_us > t->work_us)
    emit(chip, SIM_TRACK_CORE, 0, NULL, t->work->site, t->work_us, t->now_us,
         0);
  t->work = NULL;
}

/* Scalar work goes with what is going on; the MXU's and the vector units' are
 * shown apart. */
void sim_time_inst(sim_chip *chip, const sim_inst *inst) {
  sim_timeline *t = &chip->time;
  if (!chip->options->trace) return;
  bool counts = inst->unit != SIM_UNIT_SCALAR;
  bool same = t->work && (!counts || t->work->unit == inst->unit ||
                          t->work->unit == SIM_UNIT_SCALAR);
  if (!same) {
    sim_time_end(chip);
    t->work = inst;
    t->work_us = t->now_us;
  } else if (counts && t->work->unit == SIM_UNIT_SCALAR) {
    t->work = inst;
  }
  t->now_us += (double)inst->cycles / CYCLES_PER_US;
}

void sim_time_wait(sim_chip *chip, int32_t site, double until_us) {
  sim_timeline *t = &chip->time;
  if (!chip->options->trace || until_us <= t->now_us) return;
  sim_time_end(chip);
  emit(chip, SIM_TRACK_CORE, 0, NULL, site, t->now_us, until_us, 0);
  t->now_us = until_us;
}

void sim_time_step(sim_chip *chip, int32_t site) {
  sim_timeline *t = &chip->time;
  if (!chip->options->trace) return;
  sim_time_end(chip);
  if (chip->steps > 1)
    emit(chip, SIM_TRACK_CORE, 0, "grid step", site, t->step_us, t->now_us, 0);
  t->step_us = t->now_us;
}

void sim_time_scope_begin(sim_chip *chip, int32_t site, const char *name) {
  sim_timeline *t = &chip->time;
  if (!chip->options->trace) return;
  sim_time_end(chip);
  if (t->scopes++ >= SIM_SCOPES_MAX) return;
  t->scope[t->scopes - 1].name = name;
  t->scope[t->scopes - 1].site = site;
  t->scope[t->scopes - 1].begin_us = t->now_us;
}

void sim_time_scope_end(sim_chip *chip) {
  sim_timeline *t = &chip->time;
  if (!chip->options->trace || !t->scopes) return;
  sim_time_end(chip);
  if (t->scopes-- > SIM_SCOPES_MAX) return;
  emit(chip, SIM_TRACK_CORE, 0, t->scope[t->scopes].name,
       t->scope[t->scopes].site, t->scope[t->scopes].begin_us, t->now_us, 0);
}

/* ---- DMAs ---------------------------------------------------------------- */

double sim_time_transfer(sim_chip *chip, int32_t site, int64_t bytes) {
  sim_timeline *t = &chip->time;
  if (!chip->options->trace) return 0;
  double begin = larger(t->now_us, t->dma_free_us);
  t->dma_free_us = begin + (double)bytes / HBM_PER_US;
  emit(chip, SIM_TRACK_DMA, 0, NULL, site, begin, t->dma_free_us, bytes);
  return t->dma_free_us + HBM_LATENCY_US;
}

void sim_time_dma(sim_chip *chip, sim_dma *dma) {
  sim_timeline *t = &chip->time;
  if (!chip->options->trace) return;
  if (dma->to_chip == chip->number) {
    dma->came_us = dma->sent_us =
        sim_time_transfer(chip, dma->site, dma->bytes);
    return;
  }
  double *free_us = &t->link_free_us[dma->to_chip];
  double begin = larger(t->now_us, *free_us);
  *free_us = dma->sent_us = begin + (double)dma->bytes / LINK_PER_US;
  dma->came_us = dma->sent_us + HOP_US;
  emit(chip, SIM_TRACK_LINK, dma->to_chip, NULL, dma->site, begin, dma->sent_us,
       dma->bytes);
}

double sim_time_signal(const sim_chip *chip, int target) {
  if (!chip->options->trace) return 0;
  return chip->time.now_us + (target == chip->number ? 0 : HOP_US);
}
