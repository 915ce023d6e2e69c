/* Sync flags: counters, and what is on its way to them. */
#include <math.h>

#include "schedule/timed_chip.h"

static chip_event *events(const chip *c) {
  return (chip_event *)c->events.bytes;
}

static int32_t take_event(chip *c) {
  int32_t taken = c->free_event;
  if (taken >= 0) {
    c->free_event = events(c)[taken].next;
    return taken;
  }
  chip_event fresh = {0};
  base_text_add(&c->events, (const char *)&fresh, sizeof fresh);
  return (int32_t)(c->events.length / sizeof fresh) - 1;
}

pfl_status timed_flag_expect(chip *c, int64_t number, const chip_event *event) {
  char where[160];
  if (c->events.length / sizeof *event >= CHIP_EVENTS_MAX)
    PFL_RAISE(c->slice->error, RESOURCE_EXHAUSTED,
              "%s: more than %d DMAs that nobody waits for",
              timed_where(c, where), CHIP_EVENTS_MAX);
  int32_t taken = take_event(c);
  PFL_TRY(base_text_check(&c->events, c->slice->error));
  chip_event *all = events(c);
  chip_flag *flag = &c->flags[number];
  all[taken] = *event;
  /* most come in the order of their times */
  if (flag->first < 0 || all[flag->last].time <= event->time) {
    all[taken].next = -1;
    if (flag->first < 0)
      flag->first = taken;
    else
      all[flag->last].next = taken;
    flag->last = taken;
    return PFL_STATUS_OK;
  }
  int32_t *link = &flag->first;
  while (all[*link].time <= event->time) link = &all[*link].next;
  all[taken].next = *link;
  *link = taken;
  return PFL_STATUS_OK;
}

static bool fulfils(vliw_comparison comparison, int64_t count, int64_t amount) {
  switch (comparison) {
    case VLIW_EQ: return count == amount;
    case VLIW_NE: return count != amount;
    case VLIW_LT: return count < amount;
    case VLIW_LE: return count <= amount;
    case VLIW_GT: return count > amount;
    default: return count >= amount;
  }
}

/* A DMA whose size nobody knows brings what is waited for. */
static void settle(chip *c, chip_event *event, int64_t missing) {
  event->unsized = false;
  event->amount = missing > 0 ? missing : 0;
  double bytes = (double)event->amount * event->bytes_per_amount;
  const schedule_model *model = &c->slice->request->model;
  double end = event->time + bytes * model->clock_ghz / model->hbm_gbs;
  event->traffic->count++;
  event->traffic->bytes += (int64_t)bytes;
  if (end > c->hbm_free) c->hbm_free = end;
  event->time = end + model->dma_latency_ns * model->clock_ghz;
}

double timed_flag_when(chip *c, int64_t number, vliw_comparison comparison,
                       int64_t amount) {
  chip_flag *flag = &c->flags[number];
  int64_t count = flag->count;
  double time = (double)c->core.now;
  int32_t next = flag->first;
  /* what has come by now counts as one */
  for (; next >= 0 && !events(c)[next].unsized && events(c)[next].time <= time;
       next = events(c)[next].next)
    count += events(c)[next].amount;
  while (!fulfils(comparison, count, amount)) {
    if (next < 0) return INFINITY;
    chip_event *event = &events(c)[next];
    if (event->unsized) settle(c, event, amount - count);
    count += event->amount;
    time = fmax(time, event->time);
    next = event->next;
  }
  return time;
}

int64_t timed_flag_at(chip *c, int64_t number, double time) {
  chip_flag *flag = &c->flags[number];
  while (flag->first >= 0) {
    int32_t first = flag->first;
    chip_event *event = &events(c)[first];
    if (event->unsized || event->time > time) break;
    flag->count += event->amount;
    flag->first = event->next;
    event->next = c->free_event;
    c->free_event = first;
  }
  if (flag->first < 0) flag->last = -1;
  return flag->count;
}
