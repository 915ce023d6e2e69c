#include "sim/dma.h"

#include <string.h>

#include "sim/contents.h"
#include "sim/race.h"

/* splitmix64 (Steele, Lea, Flood 2014) */
uint64_t sim_random(sim_chip *chip) {
  uint64_t z = chip->random += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

static sim_dma *take(sim_chip *chip, const sim_inst *inst) {
  sim_dma *dma = chip->free_dmas;
  if (dma) {
    chip->free_dmas = dma->next;
    return dma;
  }
  if (chip->used_dmas < SIM_DMAS_MAX) return &chip->dmas[chip->used_dmas++];
  sim_hazard_stop(chip, SIM_HAZARD_CAPACITY, inst, "more than %d DMAs at once",
                  SIM_DMAS_MAX);
  return NULL;
}

void sim_dma_release(sim_chip *chip, sim_dma *dma) {
  if (dma->claims_source || dma->claims_target) return;
  dma->next = chip->free_dmas;
  chip->free_dmas = dma;
}

static void unlink_pending(sim_chip *chip, const sim_dma *dma) {
  for (sim_dma **at = &chip->pending; *at; at = &(*at)->next)
    if (*at == dma) {
      *at = dma->next;
      return;
    }
}

void sim_dma_run(sim_chip *chip, sim_dma *dma) {
  unlink_pending(chip, dma);
  sim_view_transfer(&dma->to, &dma->from);
  dma->departed = dma->arrived = true;
  chip->semaphores[dma->received].value += dma->bytes;
}

void sim_dma_run_all(sim_chip *chip) {
  while (chip->pending) sim_dma_run(chip, chip->pending);
}

/* A chip's wait makes sure of its own memory alone. Of a remote DMA's source it
 * is told with the next messages (slice.c). */
void sim_dma_known(sim_chip *chip, sim_dma *dma) {
  uint32_t now = chip->clock.epoch[chip->number];
  bool source = dma->from_chip == chip->number;
  bool target = dma->to_chip == chip->number;
  bool remote = dma->sent >= 0;
  if (source) {
    dma->read_known[chip->number] = now;
    sim_claim_end(chip, dma, false);
  }
  if (target) {
    dma->write_known[chip->number] = now;
    sim_claim_end(chip, dma, true);
  }
  if (!remote) sim_dma_release(chip, dma);
}

/* Now, or later: at a wait, if it must be, or at some other time. */
static void schedule(sim_chip *chip, sim_dma *dma) {
  dma->next = chip->pending;
  chip->pending = dma;
  if (!chip->options->hostile || sim_random(chip) % 3 == 0)
    sim_dma_run(chip, dma);
}

static bool start_local(sim_chip *chip, const sim_inst *inst, sim_dma *dma) {
  if (!sim_semaphore_announce(chip, &chip->semaphores[dma->received],
                              dma->bytes, &dma->clock, dma, dma->came_us)) {
    sim_hazard_stop(chip, SIM_HAZARD_CAPACITY, inst,
                    "more than %d signals that are not waited for",
                    SIM_SIGNALS_MAX);
    return false;
  }
  sim_claim_add(chip, dma, false);
  sim_claim_add(chip, dma, true);
  schedule(chip, dma);
  return true;
}

/* Until a chip is known to have begun, its memory may be that of the kernel
 * before. */
void sim_check_begun(sim_chip *chip, int32_t site, int target) {
  if (target != chip->number && !chip->clock.epoch[target])
    sim_hazard_add(chip, SIM_HAZARD_RACE, site,
                   "to chip %d, which may not have begun: there was no barrier",
                   target);
}

static bool start_remote(sim_chip *chip, const sim_inst *inst, sim_dma *dma) {
  if (chip->outbox_count == SIM_OUTBOX_MAX ||
      !sim_semaphore_announce(chip, &chip->semaphores[dma->sent], dma->bytes,
                              &dma->clock, dma, dma->sent_us)) {
    sim_hazard_stop(chip, SIM_HAZARD_CAPACITY, inst, "too many messages");
    return false;
  }
  sim_check_begun(chip, inst->site, dma->to_chip);
  sim_claim_add(chip, dma, false);
  chip->outbox[chip->outbox_count++] = (sim_message){.target = dma->to_chip,
                                                     .semaphore = dma->received,
                                                     .site = inst->site,
                                                     .dma = dma,
                                                     .clock = dma->clock,
                                                     .us = dma->came_us};
  chip->statistics.remote_dmas++;
  chip->statistics.remote_bytes += dma->bytes;
  return true;
}

bool sim_dma_start(sim_chip *chip, const sim_inst *inst, const sim_view *from,
                   const sim_view *to, int32_t sent, int32_t received,
                   int target) {
  sim_dma *dma = take(chip, inst);
  if (!dma) return false;
  *dma = (sim_dma){.site = inst->site,
                   .from_chip = chip->number,
                   .to_chip = target,
                   .from = *from,
                   .to = *to,
                   .sent = sent,
                   .received = received,
                   .bytes = sim_view_count(from) * sim_view_unit(from),
                   .clock = chip->clock};
  chip->clock.epoch[chip->number]++; /* what comes now is not known to it */
  sim_time_dma(chip, dma);
  chip->statistics.dmas++;
  chip->statistics.dma_bytes += dma->bytes;
  return sent < 0 ? start_local(chip, inst, dma)
                  : start_remote(chip, inst, dma);
}

const sim_inst *sim_pause(sim_chip *chip, const sim_inst *next) {
  bool hostile = chip->options->hostile;
  if (hostile && chip->pending && sim_random(chip) % 4 == 0)
    sim_dma_run(chip, chip->pending);
  bool full = chip->outbox_count > SIM_OUTBOX_MAX / 2 || chip->polls >= 16;
  if (chip->chips == 1 ? chip->polls < 16 : !full) {
    if (!hostile || chip->chips == 1 ||
        sim_random(chip) % 1024 >= chip->pause_odds)
      return next;
  }
  chip->polls = 0;
  chip->state = SIM_PAUSED;
  chip->pc = next;
  return NULL;
}
