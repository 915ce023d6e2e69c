#include "sim/carry.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "sim/contents.h"
#include "sim/race.h"

static uint64_t draw(sim_carrier *carrier) {
  uint64_t z = carrier->random += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

/* ---- Departing, arriving ------------------------------------------------- */

/* Reads the source; the bytes wait in between if they do not arrive at once. */
static pfl_status depart(sim_carrier *carrier, sim_dma *dma, bool stage,
                         pfl_error *error) {
  if (dma->departed) return PFL_STATUS_OK;
  if (stage) {
    int64_t count = sim_view_count(&dma->from);
    dma->staged =
        base_allocate(carrier->allocator, (size_t)(dma->bytes + count));
    if (!dma->staged)
      PFL_RAISE(error, RESOURCE_EXHAUSTED,
                "no memory for %lld bytes between chips",
                (long long)dma->bytes);
    sim_copy copy = sim_view_copy(&dma->from, true);
    sim_copy_run(&copy, dma->staged, dma->from.memory->bytes + dma->from.offset,
                 sim_view_unit(&dma->from));
    uint8_t *marks = (uint8_t *)dma->staged + dma->bytes;
    memset(marks, SIM_WRITTEN, (size_t)count);
    if (!sim_view_written(&dma->from)) sim_view_read_marks(&dma->from, marks);
  }
  dma->departed = true;
  carrier->chips[dma->from_chip].semaphores[dma->sent].value += dma->bytes;
  return PFL_STATUS_OK;
}

static void arrive(sim_carrier *carrier, sim_dma *dma) {
  if (dma->staged) {
    sim_copy copy = sim_view_copy(&dma->to, false);
    sim_copy_run(&copy, dma->to.memory->bytes + dma->to.offset, dma->staged,
                 sim_view_unit(&dma->to));
    sim_view_write_marks(&dma->to, (uint8_t *)dma->staged + dma->bytes);
    if (dma->from.memory->taint)
      dma->to.memory->taint = dma->from.memory->taint;
    base_release(carrier->allocator, dma->staged);
    dma->staged = NULL;
  } else {
    sim_view_transfer(&dma->to, &dma->from);
  }
  dma->arrived = true;
  carrier->chips[dma->to_chip].semaphores[dma->received].value += dma->bytes;
}

static pfl_status deliver(sim_carrier *carrier, const sim_message *message,
                          pfl_error *error) {
  if (message->dma) {
    PFL_TRY(depart(carrier, message->dma, false, error));
    arrive(carrier, message->dma);
  } else {
    carrier->chips[message->target].semaphores[message->semaphore].value +=
        message->amount;
  }
  return PFL_STATUS_OK;
}

/* ---- Messages ------------------------------------------------------------ */

/* The receiver's books are told at once of what is to come. */
static bool announce(sim_carrier *carrier, const sim_message *message) {
  sim_chip *chip = &carrier->chips[message->target];
  sim_semaphore *semaphore = &chip->semaphores[message->semaphore];
  sim_dma *dma = message->dma;
  int64_t amount = dma ? dma->bytes : message->amount;
  if (!sim_semaphore_announce(chip, semaphore, amount, &message->clock, dma,
                              message->us)) {
    sim_hazard_add(chip, SIM_HAZARD_CAPACITY, message->site,
                   "more than %d signals that are not waited for",
                   SIM_SIGNALS_MAX);
    chip->state = SIM_FAILED;
    return false;
  }
  if (!dma) return true;
  dma->to.memory = &chip->memories[dma->to.memory->number];
  sim_claim_past(chip, dma);
  sim_claim_add(chip, dma, true);
  dma->next = carrier->flying;
  carrier->flying = dma;
  return true;
}

static pfl_status collect(sim_carrier *carrier, pfl_error *error) {
  for (int i = 0; i < carrier->count; i++) {
    sim_chip *chip = &carrier->chips[i];
    for (int m = 0; m < chip->outbox_count; m++) {
      sim_parcel *parcel = base_allocate(carrier->allocator, sizeof *parcel);
      if (!parcel)
        PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory between chips");
      *parcel = (sim_parcel){chip->outbox[m], NULL};
      sim_parcel **last = &carrier->parcels;
      while (*last) last = &(*last)->next;
      *last = parcel;
      announce(carrier, &parcel->message);
    }
    chip->outbox_count = 0;
  }
  return PFL_STATUS_OK;
}

/* Delivers parcel `at` of the list. */
static pfl_status take(sim_carrier *carrier, sim_parcel **at,
                       pfl_error *error) {
  sim_parcel *parcel = *at;
  *at = parcel->next;
  pfl_status status = deliver(carrier, &parcel->message, error);
  base_release(carrier->allocator, parcel);
  return status;
}

/* All; or, if the slice is hostile, some, and the source of others is read. */
static pfl_status deliver_some(sim_carrier *carrier, pfl_error *error) {
  for (sim_parcel **at = &carrier->parcels; *at;) {
    uint64_t chance = carrier->hostile ? draw(carrier) % 8 : 0;
    if (chance < 4) {
      PFL_TRY(take(carrier, at, error));
    } else {
      sim_dma *dma = (*at)->message.dma;
      if (dma && chance == 4) PFL_TRY(depart(carrier, dma, true, error));
      at = &(*at)->next;
    }
  }
  return PFL_STATUS_OK;
}

static pfl_status deliver_one(sim_carrier *carrier, pfl_error *error) {
  int count = 0;
  for (sim_parcel *p = carrier->parcels; p; p = p->next) count++;
  uint64_t chosen = draw(carrier) % (uint64_t)count;
  sim_parcel **at = &carrier->parcels;
  for (; chosen; chosen--) at = &(*at)->next;
  return take(carrier, at, error);
}

/* ---- Who goes on --------------------------------------------------------- */

/* What a receiver is sure of, the sender may come to know through it. */
static void spread_knowledge(sim_carrier *carrier) {
  for (sim_dma **at = &carrier->flying; *at;) {
    sim_dma *dma = *at;
    int target = dma->to_chip;
    dma->read_known[target] = dma->write_known[target];
    if (dma->claims_source || dma->claims_target) {
      at = &dma->next;
      continue;
    }
    *at = dma->next;
    sim_dma_release(&carrier->chips[dma->from_chip], dma);
  }
}

static bool wake(sim_carrier *carrier) {
  bool any = false;
  for (int i = 0; i < carrier->count; i++) {
    sim_chip *chip = &carrier->chips[i];
    if (chip->state == SIM_PAUSED ||
        (chip->state == SIM_WAITING &&
         chip->semaphores[chip->waits_for].value >= chip->waits_amount))
      chip->state = SIM_RUNNING;
    any = any || chip->state == SIM_RUNNING;
  }
  return any;
}

/* "chip 0 for 2 of scratch 3 (it has 1) at decode.c:12" */
static size_t say_wait(const sim_chip *chip, char *text, size_t size) {
  char name[SIM_SEMAPHORE_NAME], place[SIM_PLACE_SIZE];
  if (chip->state != SIM_WAITING)
    return (size_t)snprintf(text, size, "chip %d is at its end", chip->number);
  sim_place(chip->program, chip->pc->site, place);
  const char *at = strstr(place, " at ");
  return (size_t)snprintf(text, size, "chip %d for %lld of %s (it has %lld)%s",
                          chip->number, (long long)chip->waits_amount,
                          sim_semaphore_name(chip, chip->waits_for, name),
                          (long long)chip->semaphores[chip->waits_for].value,
                          at ? at : "");
}

/* Everybody who waits, in one line, at each of them. */
static void report_deadlock(sim_carrier *carrier) {
  char all[SIM_HAZARD_TEXT] = "all wait: ";
  size_t length = strlen(all);
  for (int i = 0; i < carrier->count && length < sizeof all; i++) {
    if (i) length += (size_t)snprintf(all + length, sizeof all - length, "; ");
    if (length < sizeof all)
      length += say_wait(&carrier->chips[i], all + length, sizeof all - length);
  }
  for (int i = 0; i < carrier->count; i++) {
    sim_chip *chip = &carrier->chips[i];
    if (chip->state == SIM_WAITING)
      sim_hazard_stop(chip, SIM_HAZARD_DEADLOCK, chip->pc, "%s", all);
  }
}

pfl_status sim_carry(sim_carrier *carrier, pfl_error *error) {
  carrier->more = false;
  PFL_TRY(collect(carrier, error));
  bool failed = false, waiting = false;
  for (int i = 0; i < carrier->count; i++) {
    failed = failed || carrier->chips[i].state == SIM_FAILED;
    waiting = waiting || carrier->chips[i].state == SIM_WAITING;
  }
  if (failed) return PFL_STATUS_OK;
  PFL_TRY(deliver_some(carrier, error));
  spread_knowledge(carrier);
  while (!wake(carrier) && carrier->parcels)
    PFL_TRY(deliver_one(carrier, error));
  for (int i = 0; i < carrier->count; i++)
    carrier->more = carrier->more || carrier->chips[i].state == SIM_RUNNING;
  if (!carrier->more && waiting) report_deadlock(carrier);
  return PFL_STATUS_OK;
}

void sim_carry_end(sim_carrier *carrier) {
  for (; carrier->flying; carrier->flying = carrier->flying->next)
    base_release(carrier->allocator, carrier->flying->staged);
  while (carrier->parcels) {
    sim_parcel *parcel = carrier->parcels;
    carrier->parcels = parcel->next;
    base_release(carrier->allocator, parcel);
  }
}
