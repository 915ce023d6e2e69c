#include "sim/race.h"

#include <stdio.h>

static const sim_view *view_of(const sim_claim *claim) {
  return claim->writes ? &claim->dma->to : &claim->dma->from;
}

/* Whether whoever has `clock` is sure that the DMA has read, or written. */
static bool is_over(const sim_claim *claim, const sim_clock *clock) {
  const uint32_t *known =
      claim->writes ? claim->dma->write_known : claim->dma->read_known;
  for (int i = 0; i < SIM_CHIPS_MAX; i++)
    if (known[i] && known[i] <= clock->epoch[i]) return true;
  return false;
}

static bool conflicts(const sim_claim *claim, const sim_view *view, bool writes,
                      const sim_clock *clock) {
  return (writes || claim->writes) && !is_over(claim, clock) &&
         sim_view_overlap(view, view_of(claim));
}

/* "the DMA of op at place, from chip 1," */
static const char *dma_text(const sim_chip *chip, const sim_dma *dma,
                            char text[SIM_PLACE_SIZE + 40]) {
  char place[SIM_PLACE_SIZE];
  const char *at = sim_place(chip->program, dma->site, place);
  if (dma->from_chip == chip->number)
    snprintf(text, SIM_PLACE_SIZE + 40, "%s", at);
  else
    snprintf(text, SIM_PLACE_SIZE + 40, "%s of chip %d", at, dma->from_chip);
  return text;
}

/* ---- The past ------------------------------------------------------------ */

static void remember(sim_chip *chip, const sim_view *view, bool writes,
                     int32_t site) {
  sim_history *history = view->memory->history;
  if (!history) return;
  uint32_t epoch = chip->clock.epoch[chip->number];
  if (history->count) { /* again what was just there */
    const sim_past *last =
        &history->past[(history->count - 1) % SIM_HISTORY_MAX];
    if (last->epoch == epoch && last->writes == writes && last->site == site &&
        last->view.offset == view->offset)
      return;
  }
  history->past[history->count++ % SIM_HISTORY_MAX] =
      (sim_past){*view, epoch, site, writes};
}

void sim_claim_past(sim_chip *chip, const sim_dma *dma) {
  const sim_history *history = dma->to.memory->history;
  if (!history) return;
  int64_t first = history->count - SIM_HISTORY_MAX;
  for (int64_t i = first < 0 ? 0 : first; i < history->count; i++) {
    const sim_past *past = &history->past[i % SIM_HISTORY_MAX];
    if (dma->clock.epoch[chip->number] >= past->epoch ||
        !sim_view_overlap(&past->view, &dma->to))
      continue;
    char text[SIM_PLACE_SIZE + 40];
    sim_hazard_add(chip, SIM_HAZARD_RACE, past->site,
                   "%s %s of chip %d while %s may write to it: nothing puts "
                   "one before the other",
                   past->writes ? "writes" : "reads",
                   dma->to.memory->plan->name, chip->number,
                   dma_text(chip, dma, text));
  }
}

/* ---- The present --------------------------------------------------------- */

static void early(sim_chip *chip, const sim_inst *inst, const sim_claim *claim,
                  bool writes) {
  char text[SIM_PLACE_SIZE + 40];
  const char *name = view_of(claim)->memory->plan->name;
  const char *by = dma_text(chip, claim->dma, text);
  if (!writes)
    sim_hazard_add(chip, SIM_HAZARD_EARLY_READ, inst->site,
                   "reads %s, which %s writes, with no wait between", name, by);
  else
    sim_hazard_add(chip, SIM_HAZARD_EARLY_WRITE, inst->site,
                   "writes %s, which %s %s, with no wait between", name, by,
                   claim->writes ? "writes too" : "reads");
}

void sim_access(sim_chip *chip, const sim_inst *inst, const sim_view *view,
                bool writes) {
  for (sim_claim *claim = view->memory->claims; claim; claim = claim->next)
    if (conflicts(claim, view, writes, &chip->clock))
      early(chip, inst, claim, writes);
  if (view->memory->history) remember(chip, view, writes, inst->site);
}

/* ---- Claims -------------------------------------------------------------- */

static void meet(sim_chip *chip, const sim_dma *dma, const sim_claim *other,
                 bool writes) {
  char text[SIM_PLACE_SIZE + 40], more[SIM_PLACE_SIZE + 40];
  sim_hazard_add(chip, SIM_HAZARD_RACE, dma->site,
                 "%s %s %s while %s %s it: nothing puts one before the other",
                 dma_text(chip, dma, text), writes ? "writes" : "reads",
                 view_of(other)->memory->plan->name,
                 dma_text(chip, other->dma, more),
                 other->writes ? "writes" : "reads");
}

void sim_claim_add(sim_chip *chip, sim_dma *dma, bool writes) {
  sim_claim *claim = writes ? &dma->writes : &dma->reads;
  *claim = (sim_claim){.dma = dma, .writes = writes};
  const sim_view *view = view_of(claim);
  sim_memory *memory = view->memory;
  for (sim_claim *other = memory->claims; other; other = other->next)
    if (other->dma != dma && conflicts(other, view, writes, &dma->clock))
      meet(chip, dma, other, writes);
  claim->next = memory->claims;
  memory->claims = claim;
  *(writes ? &dma->claims_target : &dma->claims_source) = true;
}

void sim_claim_end(sim_chip *chip, sim_dma *dma, bool writes) {
  sim_claim *claim = writes ? &dma->writes : &dma->reads;
  bool *claims = writes ? &dma->claims_target : &dma->claims_source;
  if (!*claims) return;
  *claims = false;
  sim_memory *memory = view_of(claim)->memory;
  for (sim_claim **at = &memory->claims; *at; at = &(*at)->next)
    if (*at == claim) {
      *at = claim->next;
      break;
    }
  remember(chip, view_of(claim), writes, dma->site);
}
