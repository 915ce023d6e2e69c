/* DMAs: the HBM queue, transfers on the chip, the links to others.
 *
 * HBM is one queue: a transfer begins when the one before it has been moved,
 * takes its bytes' time, and its flag follows a latency later. A link works the
 * same way; a message crosses the links of its way one hop behind the other,
 * first along x, then along y. */
#include <math.h>

#include "schedule/timed_chip.h"

/* Where a transfer stands: when its first byte can go on, and its last. */
typedef struct flow {
  double first, last;
} flow;

static double bytes_per_cycle(const schedule_model *model) {
  return model->hbm_gbs / model->clock_ghz;
}

static void note(chip *c, schedule_span_kind kind, const vliw_dma *dma,
                 int to_chip, double bytes, double start, double end) {
  const chip_frame *frame = timed_top(c);
  timed_span(c, &(schedule_span){.kind = kind,
                                 .chip = c->index,
                                 .to_chip = to_chip,
                                 .from = dma ? dma->from : SCHEDULE_NOWHERE,
                                 .to = dma ? dma->to : SCHEDULE_NOWHERE,
                                 .program = frame->program,
                                 .bundle = frame->pc,
                                 .bytes = (int64_t)bytes,
                                 .start = (int64_t)floor(start),
                                 .end = (int64_t)ceil(end)});
}

/* Through the chip's HBM queue, not before `ready`. */
static flow through_hbm(chip *c, const vliw_dma *dma, double bytes,
                        double ready) {
  const schedule_model *model = &c->slice->request->model;
  double start = fmax(ready, c->hbm_free);
  c->hbm_free = start + bytes / bytes_per_cycle(model) +
                model->dma_overhead_ns * model->clock_ghz;
  note(c, SCHEDULE_SPAN_HBM, dma, c->index, bytes, start, c->hbm_free);
  double latency = model->dma_latency_ns * model->clock_ghz;
  return (flow){start + latency, c->hbm_free + latency};
}

/* ---- Links --------------------------------------------------------------- */

/* The chip at a place of the 2x2 slice; NULL if the run has none there. */
static chip *chip_at(chip_slice *slice, int64_t place) {
  for (int i = 0; i < slice->count; i++)
    if (slice->chips[i].place == place) return &slice->chips[i];
  return NULL;
}

/* One link, from a place to its neighbour. */
static flow through_link(chip *c, const vliw_dma *dma, int from, int to,
                         double bytes, flow before) {
  chip_slice *slice = c->slice;
  const schedule_model *model = &slice->request->model;
  double *free = &slice->link_free[from][to];
  double start = fmax(before.first, *free);
  double end = fmax(start + bytes / model->link_bytes_per_cycle, before.last);
  double hop = model->hop_us * 1000 * model->clock_ghz;
  *free = end;
  const chip *there = chip_at(slice, to);
  note(c, SCHEDULE_SPAN_LINK, dma, there ? there->index : to, bytes, start,
       end);
  return (flow){start + hop, end + hop};
}

/* From the chip to the one at `place`: first x, then y. */
static flow through_links(chip *c, const vliw_dma *dma, int place, double bytes,
                          flow so_far) {
  int at = c->place;
  for (int bit = 1; bit <= 2; bit <<= 1) {
    int next = (at & ~bit) | (place & bit);
    if (next != at) so_far = through_link(c, dma, at, next, bytes, so_far);
    at = next;
  }
  return so_far;
}

/* ---- Contents ------------------------------------------------------------ */

/* What is known of the word `word` of the 32-byte units from `start` on. */
static chip_value find_word(const chip *c, schedule_space space, int64_t start,
                            int64_t word) {
  const chip_region *regions = (const chip_region *)c->regions.bytes;
  size_t count = c->regions.length / sizeof *regions;
  int64_t unit = start + word / 8;
  for (size_t i = count; i-- > 0;) { /* the latest is what lies there now */
    const chip_region *region = &regions[i];
    if (region->space != space || unit < region->start ||
        unit >= region->start + region->size)
      continue;
    int64_t at = 8 * (start - region->start) + word;
    return at < region->count ? (chip_value)region->words[at]
                              : CHIP_OPERAND - region->operand;
  }
  return CHIP_UNSET;
}

#define SMEM_BYTES (1 << 20)

/* SMEM's words are values of the scalar side: they must arrive. */
static void fill_smem(chip *c, const vliw_dma *dma, int64_t granules) {
  chip_value from = timed_evaluate(c, &dma->source);
  chip_value to = timed_evaluate(c, &dma->destination);
  if (!timed_known(to) || granules > SMEM_BYTES / 32) {
    timed_warn(c, SCHEDULE_WARNING_STORE);
    return;
  }
  for (int64_t i = 0; i < 8 * granules && to + i < CHIP_SMEM_WORDS; i++)
    timed_smem_store(
        c, to + i, timed_known(from) ? find_word(c, dma->from, from, i) : from);
}

/* ---- Transfers ----------------------------------------------------------- */

#define FLAG_MASK (CHIP_FLAGS - 1) /* above it, bits that say whose it is */
#define CHIP_MASK 0x3fff

static bool given(const vliw_value *value) {
  return value->registers[0] >= 0 || value->symbol >= 0 || value->constant;
}

/* The flag of a DMA on this chip or another; -1: it has none, or none known. */
static int64_t flag_of(chip *c, const vliw_value *value) {
  if (!given(value)) return -1;
  chip_value flag = timed_evaluate(c, value);
  if (timed_known(flag)) return flag & FLAG_MASK;
  timed_warn(c, SCHEDULE_WARNING_FLAG);
  return -1;
}

static pfl_status complete(chip *c, int64_t flag, double time,
                           int64_t granules) {
  if (flag < 0) return PFL_STATUS_OK;
  return timed_flag_expect(c, flag,
                           &(chip_event){.time = time, .amount = granules});
}

static bool in_hbm(const vliw_dma *dma) {
  return dma->from == SCHEDULE_HBM || dma->to == SCHEDULE_HBM;
}

static void count_traffic(schedule_traffic *traffic, int64_t bytes) {
  traffic->count++;
  traffic->bytes += bytes;
}

static pfl_status move_here(chip *c, const vliw_dma *dma, int64_t granules) {
  const schedule_model *model = &c->slice->request->model;
  double bytes = 32 * (double)granules, now = (double)c->core.now, end;
  count_traffic(&timed_profile(c)->traffic[dma->from][dma->to], 32 * granules);
  if (in_hbm(dma)) {
    end = through_hbm(c, dma, bytes, now).last;
  } else {
    end = now + bytes / model->local_bytes_per_cycle +
          model->local_latency_cycles;
    note(c, SCHEDULE_SPAN_LOCAL, dma, c->index, bytes, now, end);
  }
  if (dma->to == SCHEDULE_SMEM) fill_smem(c, dma, granules);
  PFL_TRY(complete(c, flag_of(c, &dma->flag), end, granules));
  return complete(c, flag_of(c, &dma->source_flag), end, granules);
}

/* To the chip at `place`, out of HBM and into HBM where the memory is that. */
static pfl_status move_away(chip *c, const vliw_dma *dma, int64_t place,
                            int64_t granules) {
  double bytes = 32 * (double)granules, now = (double)c->core.now;
  chip *there = chip_at(c->slice, place);
  count_traffic(&timed_profile(c)->remote, 32 * granules);
  flow leaving = {now, now};
  if (dma->from == SCHEDULE_HBM) leaving = through_hbm(c, dma, bytes, now);
  flow coming = through_links(c, dma, (int)place, bytes, leaving);
  const schedule_model *model = &c->slice->request->model;
  double sent =
      fmax(leaving.last, leaving.first + bytes / model->link_bytes_per_cycle);
  PFL_TRY(complete(c, flag_of(c, &dma->source_flag), sent, granules));
  if (!there) {
    timed_warn(c, SCHEDULE_WARNING_REMOTE);
    return PFL_STATUS_OK;
  }
  double end = coming.last;
  if (dma->to == SCHEDULE_HBM)
    end = fmax(end, through_hbm(there, dma, bytes, coming.first).last);
  return complete(there, flag_of(c, &dma->flag), end, granules);
}

/* A transfer whose size is known only where it is waited for. */
static pfl_status move_unsized(chip *c, const vliw_dma *dma, chip_value size) {
  char where[160];
  if (size <= CHIP_OPERAND)
    PFL_RAISE(c->slice->error, INVALID_ARGUMENT,
              "%s: the size of a DMA is in operand %lld, which is not given "
              "or too short",
              timed_where(c, where), (long long)(CHIP_OPERAND - size));
  timed_warn(c, SCHEDULE_WARNING_SIZE);
  int64_t flag = flag_of(c, &dma->flag);
  if (flag < 0) return PFL_STATUS_OK;
  return timed_flag_expect(
      c, flag,
      &(chip_event){.time = fmax((double)c->core.now, c->hbm_free),
                    .unsized = true,
                    .bytes_per_amount = 32,
                    .traffic = &timed_profile(c)->traffic[dma->from][dma->to]});
}

pfl_status timed_dma(chip *c, const vliw_dma *dma) {
  chip_value size = timed_evaluate(c, &dma->size);
  if (!timed_known(size)) return move_unsized(c, dma, size);
  if (dma->general && given(&dma->target)) {
    chip_value target = timed_evaluate(c, &dma->target);
    if (timed_known(target) && (target & CHIP_MASK) != c->place)
      return move_away(c, dma, target & CHIP_MASK, size);
  }
  return move_here(c, dma, size);
}

#define SIGNAL_BYTES 32 /* the smallest thing that a link carries */
#define SIGNAL_CHIP_SHIFT 17

pfl_status timed_signal(chip *c, chip_value address, chip_value amount) {
  if (!timed_known(address) || !timed_known(amount)) {
    timed_warn(c, SCHEDULE_WARNING_FLAG);
    return PFL_STATUS_OK;
  }
  int64_t place = address >> SIGNAL_CHIP_SHIFT, flag = address & FLAG_MASK;
  chip *there = chip_at(c->slice, place);
  if (!there) {
    timed_warn(c, SCHEDULE_WARNING_REMOTE);
    return PFL_STATUS_OK;
  }
  double now = (double)c->core.now;
  flow coming =
      through_links(c, NULL, (int)place, SIGNAL_BYTES, (flow){now, now});
  return timed_flag_expect(
      there, flag,
      &(chip_event){.time = coming.last, .amount = (int32_t)(uint32_t)amount});
}
