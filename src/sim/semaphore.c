/* Semaphores: counting, waiting, and what a wait makes sure of. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "sim/dma.h"
#include "sim/race.h"

const char *sim_semaphore_name(const sim_chip *chip, int32_t number,
                               char text[SIM_SEMAPHORE_NAME]) {
  const sim_semaphore *semaphore = &chip->semaphores[number];
  const sim_memory_plan *plan = chip->memories[semaphore->memory].plan;
  if (plan->semaphores == 1)
    snprintf(text, SIM_SEMAPHORE_NAME, "%s", plan->name);
  else
    snprintf(text, SIM_SEMAPHORE_NAME, "semaphore %d of %s", semaphore->index,
             plan->name);
  return text;
}

bool sim_semaphore_announce(sim_chip *chip, sim_semaphore *semaphore,
                            int64_t amount, const sim_clock *clock,
                            sim_dma *dma, double us) {
  sim_signal *signal = chip->free_signals;
  if (signal)
    chip->free_signals = signal->next;
  else if (chip->used_signals < SIM_SIGNALS_MAX)
    signal = &chip->signals[chip->used_signals++];
  else
    return false;
  *signal = (sim_signal){semaphore->signals, amount, *clock, dma, us};
  semaphore->signals = signal;
  semaphore->given += amount;
  return true;
}

/* ---- Certainty ----------------------------------------------------------- */

/* `taken` of the signals' amounts were taken. Whoever chose which came first
 * could have let it be any set of signals that adds up to that. Certain is what
 * holds for every such set:
 *   - a signal without which the others do not add up to it has come;
 *   - for each chip, the set that knows least of it: of the signals in rising
 *     order of what they know, the first that reach the amount. */

static uint32_t least_known(const sim_semaphore *semaphore, int chip) {
  int64_t known = -1;
  for (int64_t sum = 0; sum < semaphore->taken;) {
    int64_t next = INT64_MAX; /* the next higher epoch that there is */
    for (const sim_signal *s = semaphore->signals; s; s = s->next)
      if (s->clock.epoch[chip] > known)
        next = base_min(next, s->clock.epoch[chip]);
    if (next == INT64_MAX) break;
    for (const sim_signal *s = semaphore->signals; s; s = s->next)
      if (s->clock.epoch[chip] == next) sum += s->amount;
    known = next;
  }
  return known < 0 ? 0 : (uint32_t)known;
}

static void learn_clock(sim_chip *chip, const sim_semaphore *semaphore) {
  for (int i = 0; i < chip->chips; i++) {
    if (i == chip->number) continue;
    uint32_t known = least_known(semaphore, i);
    if (known > chip->clock.epoch[i]) chip->clock.epoch[i] = known;
  }
}

static bool is_known(const sim_chip *chip, const sim_signal *signal) {
  if (signal->dma) return false;
  for (int i = 0; i < chip->chips; i++)
    if (signal->clock.epoch[i] > chip->clock.epoch[i]) return false;
  return true;
}

/* What is known already needs no signal to tell it. */
static void drop_known(sim_chip *chip, sim_semaphore *semaphore) {
  for (sim_signal **at = &semaphore->signals; *at;) {
    sim_signal *signal = *at;
    if (!is_known(chip, signal)) {
      at = &signal->next;
      continue;
    }
    semaphore->given -= signal->amount;
    semaphore->taken -= signal->amount;
    *at = signal->next;
    signal->next = chip->free_signals;
    chip->free_signals = signal;
  }
}

static void settle(sim_chip *chip, sim_semaphore *semaphore) {
  int64_t given = semaphore->given, taken = semaphore->taken;
  for (sim_signal *s = semaphore->signals; s; s = s->next) {
    if (!s->dma || given - s->amount >= taken) continue;
    sim_dma_known(chip, s->dma);
    s->dma = NULL;
  }
  learn_clock(chip, semaphore);
  drop_known(chip, semaphore);
}

/* ---- Waiting ------------------------------------------------------------- */

static sim_dma *pending_for(const sim_chip *chip, int32_t semaphore) {
  for (sim_dma *dma = chip->pending; dma; dma = dma->next)
    if (dma->received == semaphore) return dma;
  return NULL;
}

/* When what was taken had come, if signals came in the order of a trace. */
static double reached_us(const sim_semaphore *semaphore) {
  double reached = 0;
  int64_t sum = 0;
  for (bool more = true; more && sum < semaphore->taken;) {
    const sim_signal *next = NULL;
    for (const sim_signal *s = semaphore->signals; s; s = s->next)
      if (s->us > reached && (!next || s->us < next->us)) next = s;
    more = next != NULL;
    if (more) reached = next->us;
    sum = 0;
    for (const sim_signal *s = semaphore->signals; s; s = s->next)
      if (s->us <= reached) sum += s->amount;
  }
  return reached;
}

const sim_inst *sim_semaphore_wait(sim_chip *chip, const sim_inst *inst,
                                   int32_t number, int64_t amount) {
  sim_semaphore *semaphore = &chip->semaphores[number];
  sim_dma *dma;
  while (semaphore->value < amount && (dma = pending_for(chip, number)))
    sim_dma_run(chip, dma);
  if (semaphore->value < amount) {
    chip->state = SIM_WAITING;
    chip->waits_for = number;
    chip->waits_amount = amount;
    chip->pc = inst;
    return NULL;
  }
  semaphore->value -= amount;
  semaphore->taken += amount;
  if (chip->options->trace)
    sim_time_wait(chip, inst->site, reached_us(semaphore));
  chip->statistics.waits++;
  settle(chip, semaphore);
  return sim_pause(chip, inst + 1);
}

/* What a reading tells is as certain as what a wait for as much would. */
int64_t sim_semaphore_read(sim_chip *chip, int32_t number) {
  sim_semaphore *semaphore = &chip->semaphores[number];
  semaphore->taken += semaphore->value;
  settle(chip, semaphore);
  semaphore->taken -= semaphore->value;
  chip->polls++;
  return semaphore->value;
}

/* ---- The end ------------------------------------------------------------- */

static void forget(sim_chip *chip, sim_semaphore *semaphore) {
  while (semaphore->signals) {
    sim_signal *signal = semaphore->signals;
    if (signal->dma) sim_dma_known(chip, signal->dma);
    semaphore->signals = signal->next;
    signal->next = chip->free_signals;
    chip->free_signals = signal;
  }
  semaphore->value = semaphore->given = semaphore->taken = 0;
}

/* Of the DMAs that a semaphore counts, one that is not waited for, or -1. */
static int32_t site_of_dma(const sim_semaphore *semaphore) {
  int32_t site = -1;
  for (const sim_signal *s = semaphore->signals; s; s = s->next)
    if (s->dma) site = s->dma->site;
  return site;
}

void sim_check_left(sim_chip *chip, int32_t site, sim_memory *memory) {
  const sim_memory_plan *plan = memory->plan;
  for (int64_t i = 0; i < plan->semaphores; i++) {
    int32_t number = (int32_t)(plan->semaphore_at + i);
    sim_semaphore *semaphore = &chip->semaphores[number];
    while (pending_for(chip, number))
      sim_dma_run(chip, pending_for(chip, number));
    int32_t started = site_of_dma(semaphore);
    char name[SIM_SEMAPHORE_NAME], place[SIM_PLACE_SIZE];
    if (semaphore->value && started >= 0)
      sim_hazard_add(chip, SIM_HAZARD_SEMAPHORE, started,
                     "%s is %lld at the end: this DMA is not waited for",
                     sim_semaphore_name(chip, number, name),
                     (long long)semaphore->value);
    else if (semaphore->value)
      sim_hazard_add(chip, SIM_HAZARD_SEMAPHORE, site,
                     "%s is %lld at the end%s%s",
                     sim_semaphore_name(chip, number, name),
                     (long long)semaphore->value, site < 0 ? "" : " of ",
                     site < 0 ? "" : sim_place(chip->program, site, place));
    forget(chip, semaphore);
  }
}
