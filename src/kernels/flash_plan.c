#include "kernels/flash_plan.h"

#include <stdio.h>

#include "kernels/columns.h"
#include "kernels/sequences.h"

/* Keys that a tile of rows may meet at once: more make bodies that are too
 * long, and spills. */
enum { BAND_MOST = 2560 };

/* Bundles of a body: the longest that are known to run on a chip as predicted
 * have 8,800. */
enum { BUNDLES_MOST = 9000 };

/* Queries of a block: K and V are then read in a quarter of the time that the
 * MXU takes for them, where they are streamed. */
enum { BLOCK_MOST = 1024 };

/* K and V of a segment. */
enum { SEGMENT_BYTES = 4 << 20 };

/* Of HBM: 819 GB/s at 1.5 GHz. */
enum { BYTES_A_CYCLE = 546 };

pfl_status flash_plan_check_problem(const attention_problem *p,
                                    pfl_error *error) {
  if (p->dtype != PFL_DTYPE_BF16 && p->dtype != PFL_DTYPE_F32)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "dtype is %s: the TPU kernels take bf16 and f32",
              pfl_dtype_name(p->dtype));
  if (p->B < 1 || p->Hq < 1 || p->Sq < 1 || p->Sk < 1)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "[B, Hq, Sq, Sk] is [%lld, %lld, %lld, %lld]: each must be at "
              "least 1 for a TPU kernel",
              (long long)p->B, (long long)p->Hq, (long long)p->Sq,
              (long long)p->Sk);
  return PFL_STATUS_OK;
}

/* Chunks in one body. */
enum { UNROLL_MOST = 64 };

pfl_status flash_plan_check_tiles(int64_t block_q, int64_t block_k,
                                  int64_t unroll, int64_t tile, int64_t block,
                                  pfl_error *error) {
  if (block_q < LANES || block_q % LANES || block_k < LANES || block_k % LANES)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "block_q is %lld, block_k %lld: each must be a multiple of %d",
              (long long)block_q, (long long)block_k, LANES);
  if (unroll < 1 || unroll & (unroll - 1) || unroll > UNROLL_MOST)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "unroll is %lld: must be a power of two, at most %d",
              (long long)unroll, UNROLL_MOST);
  if (tile < LANES || tile % LANES || block % tile)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "tile is %lld: must be a multiple of %d that divides %lld",
              (long long)tile, LANES, (long long)block);
  return PFL_STATUS_OK;
}

static bool is_narrow(attention_window window) {
  return window.left != ATTENTION_OPEN && window.right != ATTENTION_OPEN &&
         window.left + window.right < BAND_MOST;
}

/* ---- Tiles ----------------------------------------------------------------
 */

/* Bundles of the two products and the softmax between: what a chip of four
 * MXUs of 128 by 128 takes in cycles, within a tenth. f32 goes through them six
 * times. docs/kernels.md has what bodies came to. */
static int64_t count_bundles(const kernels_request *request, int64_t rows,
                             int64_t keys) {
  const attention_problem *p = request->problem;
  int64_t width = sequence_swaps(p->Dv) ? p->Dv : base_round_up(p->Dv, LANES);
  int64_t times = p->dtype == PFL_DTYPE_F32 ? 6 : 1;
  width += base_round_up(p->D, LANES);
  return times * (rows * keys / LANES * width / (4 * LANES));
}

/* Of the longest body in which no branch is taken. */
static int64_t longest_body(const kernels_request *request,
                            const forward_plan *plan) {
  int64_t body =
      plan->unroll * count_bundles(request, plan->block_q, plan->block_k);
  bool band = plan->walk == FORWARD_BAND;
  int64_t half = (plan->block_q + plan->tile) / 2;
  if (plan->walk == FORWARD_CAUSAL || (band && plan->band_causal))
    body = base_max(body, count_bundles(request, plan->block_q, half));
  if (band)
    body =
        base_max(body, count_bundles(request, plan->block_q, plan->band_keys));
  return body;
}

/* Keys of a chunk: such that a body can be as short as it must be, and that
 * blocks of a causal problem are whole chunks. */
static int64_t choose_chunk(const kernels_request *request,
                            const forward_plan *plan) {
  const attention_problem *p = request->problem;
  int64_t keys = base_min(512, base_round_up(p->Sk, LANES));
  bool causal = p->window.right == 0 && p->Sk > 512;
  while (keys % 256 == 0 &&
         (count_bundles(request, plan->block_q, keys) > BUNDLES_MOST ||
          (causal && plan->block_q % keys)))
    keys /= 2;
  return keys;
}

/* Chunks of a body: its filling and draining cost as much as a tenth of a
 * chunk, but what is left over costs bodies of its own. */
static int64_t choose_unroll(const kernels_request *request,
                             const forward_plan *plan) {
  const attention_problem *p = request->problem;
  bool causal = p->window.right == 0;
  int64_t chunk = count_bundles(request, plan->block_q, plan->block_k);
  int64_t most = causal && p->Sk < 4096 ? 2 : 4, unroll = 1;
  while (2 * unroll <= most && 2 * unroll * chunk <= BUNDLES_MOST &&
         2 * unroll * plan->block_k <= p->Sk)
    unroll *= 2;
  return unroll;
}

/* Blocks of about `most` queries. */
static void choose_tiles(const kernels_request *request, int64_t most,
                         forward_plan *plan) {
  const attention_problem *p = request->problem;
  bool narrow = sequence_swaps(p->Dv);
  bool early = narrow || is_narrow(p->window);
  int64_t blocks = base_ceil_div(p->Sq, most);
  int64_t rows = base_ceil_div(p->Sq, blocks);
  rows = base_round_up(rows, blocks > 1 ? base_min(most, 256) : LANES);
  plan->block_q = kernels_tile_of(request, "block_q", rows);
  plan->block_k =
      kernels_tile_of(request, "block_k", choose_chunk(request, plan));
  plan->unroll =
      kernels_tile_of(request, "unroll", choose_unroll(request, plan));
  bool fine = is_narrow(p->window) || (p->window.right == 0 && !narrow);
  int64_t tile = plan->block_q % 256 || fine ? LANES : 256;
  plan->tile = kernels_tile_of(request, "tile", tile);
  rows = narrow && plan->block_q % 256 == 0 ? 256 : plan->block_q;
  rows = kernels_tile_of(request, "rows", rows);
  plan->rows = base_min(rows, plan->block_q); /* of a block, at once */
  plan->ahead = (int)kernels_tile_of(request, "ahead", early ? 2 : 1) - 1;
  plan->align = sequence_swaps(p->D) || narrow ? LANES : SUBLANES_MOST;
}

/* A block of rows then begins a chunk of keys at its own position. */
static bool is_causal_aligned(const attention_problem *p,
                              const forward_plan *plan) {
  return p->offset >= 0 && p->offset % plan->block_k == 0 &&
         plan->block_q % plan->block_k == 0;
}

/* Keys that a block's bands reach over, from `band_before` before it on. */
static int64_t band_reach(const forward_plan *plan) {
  return plan->block_q - plan->tile + plan->band_keys;
}

/* Keys of a segment that has them wherever the block begins in a chunk. */
static int64_t band_segment(const forward_plan *plan) {
  return base_round_up(band_reach(plan), plan->block_k) + plan->block_k;
}

/* How many keys before a tile of rows its window reaches, how many that makes
 * with the tile and what is beyond, and which blocks have them. */
static bool measure_band(const attention_problem *p, forward_plan *plan) {
  attention_window window = p->window;
  bool any = false, causal = window.right == 0 && is_causal_aligned(p, plan);
  /* blocks that are as causal ones see no key after `left` */
  if (plan->segment) causal &= window.left < plan->streamed;
  plan->band_before = base_round_up(window.left, plan->align);
  plan->band_keys =
      base_round_up(plan->band_before + plan->tile + window.right, LANES);
  int64_t beyond = band_reach(plan) - plan->band_before;
  /* keys beyond Sk are hidden from rows that exist if nobody sees ahead */
  plan->band_last = window.right ? p->Sk - beyond : p->Sk;
  plan->band_causal = plan->band_position = false;
  if (plan->segment) plan->band_last = plan->streamed - beyond;
  for (int64_t i = 0; i < plan->q_blocks; i++) {
    int64_t first = p->offset + i * plan->block_q;
    if (first >= plan->band_before && first <= plan->band_last)
      any = true;
    else if (causal && first + plan->block_q - 1 <= window.left)
      plan->band_causal = true;
    else
      plan->band_position = true;
  }
  return any && plan->band_keys <= BAND_MOST &&
         (!plan->segment || plan->segment >= band_segment(plan));
}

static void choose_walk(const attention_problem *p, forward_plan *plan) {
  attention_window window = p->window;
  plan->walk = FORWARD_POSITION;
  plan->keys = base_round_up(p->Sk, plan->block_k);
  if (window.left == ATTENTION_OPEN && window.right == ATTENTION_OPEN) {
    if (plan->keys == p->Sk) plan->walk = FORWARD_FULL;
  } else if (window.left == ATTENTION_OPEN) {
    if (window.right == 0 && !plan->segment && is_causal_aligned(p, plan))
      plan->walk = FORWARD_CAUSAL;
  } else if (is_narrow(window) && p->offset % plan->align == 0) {
    if (measure_band(p, plan)) plan->walk = FORWARD_BAND;
  }
  int64_t reach = p->offset + plan->q_blocks * plan->block_q;
  if (plan->walk == FORWARD_BAND)
    reach += plan->band_keys - plan->band_before - plan->tile;
  if (plan->segment) return;
  if (plan->walk == FORWARD_CAUSAL || plan->walk == FORWARD_BAND)
    plan->keys = base_max(plan->keys, base_round_up(reach, plan->block_k));
}

/* Ids of so many keys: a row, held twice. */
static int64_t ids_bytes(int64_t keys) { return 2 * 8 * 4 * keys; }

/* Windows and segments are held twice, state once; what the compiler spills
 * comes on top. */
static int64_t count_vmem(const kernels_request *request,
                          const forward_plan *plan) {
  const attention_problem *p = request->problem;
  int64_t size = (int64_t)pfl_dtype_size(p->dtype);
  int64_t windows = 0, d[] = {p->D, p->Dv};
  int64_t in_vmem = plan->segment ? plan->segment + plan->block_k : plan->keys;
  for (int i = 0; i < 2; i++)
    windows += sequence_bytes(plan->block_q + in_vmem, d[i],
                              sequence_swaps(d[i]), size);
  int64_t state =
      plan->block_q * 2 * LANES * 4 +
      sequence_bytes(plan->block_q, p->Dv, sequence_swaps(p->Dv), 4) +
      sequence_bytes(plan->block_q, p->D, false, size);
  int64_t keys = base_max(plan->block_k, plan->band_keys);
  int64_t spills = 12 * plan->block_q * keys;
  int64_t ids = request->segment_ids
                    ? 4 * LANES * plan->block_q + ids_bytes(plan->keys)
                    : 0;
  return 2 * windows + state + spills + ids + (4 << 20);
}

static pfl_status check_tiles(const forward_plan *plan, pfl_error *error) {
  PFL_TRY(flash_plan_check_tiles(plan->block_q, plan->block_k, plan->unroll,
                                 plan->tile, plan->block_q, error));
  if (plan->rows < LANES || plan->rows % LANES || plan->block_q % plan->rows ||
      plan->ahead >= FORWARD_AHEAD_MAX)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "rows is %lld, ahead %d: rows must be a multiple of %d that "
              "divides %lld, ahead at most %d",
              (long long)plan->rows, plan->ahead + 1, LANES,
              (long long)plan->block_q, FORWARD_AHEAD_MAX);
  return PFL_STATUS_OK;
}

/* With the tiles it has and K and V in segments of so many keys; 0: whole. */
static bool fits(const kernels_request *request, const kernels_chip *chip,
                 int64_t segment, forward_plan *plan) {
  plan->segment = segment;
  choose_walk(request->problem, plan);
  plan->vmem_bytes = count_vmem(request, plan);
  return plan->vmem_bytes <= chip->vmem_bytes;
}

/* Whether a band's segment comes while the block before is worked on. A head
 * that comes whole is waited for, since one such step hides little of it. */
static bool hides_segment(const kernels_request *request,
                          const forward_plan *plan) {
  const attention_problem *p = request->problem;
  int64_t size = (int64_t)pfl_dtype_size(p->dtype);
  int64_t bytes = (band_segment(plan) + plan->block_q) * (p->D + p->Dv) * size;
  int64_t cycles = count_bundles(request, plan->block_q, plan->band_keys);
  return bytes / BYTES_A_CYCLE < cycles &&
         2 * band_segment(plan) <= plan->streamed;
}

/* Whole, if that fits, or in segments, as large as need be: of a band's block,
 * or of what the copy of a few MiB and the MXU's filling take no time beside.
 */
static bool choose_segment(const kernels_request *request,
                           const kernels_chip *chip, forward_plan *plan) {
  int64_t most = plan->streamed, keys = plan->block_k;
  int64_t size = (int64_t)pfl_dtype_size(request->problem->dtype);
  int64_t width = request->problem->D + request->problem->Dv;
  bool whole = fits(request, chip, 0, plan);
  if (plan->walk == FORWARD_BAND &&
      (hides_segment(request, plan) || (!whole && band_segment(plan) <= most)))
    if (fits(request, chip, band_segment(plan), plan)) return true;
  if (fits(request, chip, 0, plan)) return true;
  while (2 * keys * width * size <= SEGMENT_BYTES) keys *= 2;
  for (keys = base_min(keys, most); keys >= plan->block_k;
       keys = keys / 2 / plan->block_k * plan->block_k)
    if (fits(request, chip, keys, plan)) return true;
  return false;
}

/* A segment size that is asked for. */
static pfl_status take_segment(const kernels_request *request,
                               const kernels_chip *chip, int64_t keys,
                               forward_plan *plan, bool *out_fits,
                               pfl_error *error) {
  if (keys % plan->block_k)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "segment is %lld: must be a multiple of block_k, %lld",
              (long long)keys, (long long)plan->block_k);
  *out_fits = fits(request, chip, keys < plan->streamed ? keys : 0, plan);
  return PFL_STATUS_OK;
}

pfl_status forward_plan_make(const kernels_request *request,
                             const kernels_chip *chip, forward_plan *out_plan,
                             pfl_error *error) {
  const attention_problem *p = request->problem;
  int64_t asked = kernels_tile_of(request, "segment", 0);
  forward_plan plan = {0};
  bool done = false;
  PFL_TRY(flash_plan_check_problem(p, error));
  for (int64_t most = BLOCK_MOST; !done && most >= LANES; most /= 2) {
    choose_tiles(request, most, &plan);
    PFL_TRY(check_tiles(&plan, error));
    plan.q_blocks = base_ceil_div(p->Sq, plan.block_q);
    plan.streamed = p->Sk / plan.block_k * plan.block_k;
    if (asked)
      PFL_TRY(take_segment(request, chip, asked, &plan, &done, error));
    else
      done = choose_segment(request, chip, &plan);
    bool chosen = request->tile_count || most == LANES;
    done &= chosen || longest_body(request, &plan) <= BUNDLES_MOST;
  }
  plan.blind = request->segment_ids || p->offset + p->window.right < 0;
  int64_t over = plan.vmem_bytes - chip->vmem_bytes;
  if (!done && request->segment_ids && ids_bytes(plan.keys) > over)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "segment ids of %lld keys are too many for the VMEM of %s: it "
              "has room for those of %lld",
              (long long)p->Sk, chip->name,
              (long long)(plan.keys - over / ids_bytes(1)));
  if (!done)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "blocks of %lld queries and %lld keys need %lld bytes of VMEM: "
              "%s has %lld",
              (long long)plan.block_q, (long long)plan.block_k,
              (long long)plan.vmem_bytes, chip->name,
              (long long)chip->vmem_bytes);
  *out_plan = plan;
  return PFL_STATUS_OK;
}

void forward_plan_tell(const forward_plan *plan, kernels_program *program) {
  static const char *const words[] = {
#define FORWARD_WALK_WORDS(name, text) [FORWARD_##name] = text,
      FORWARD_WALK_LIST(FORWARD_WALK_WORDS)
#undef FORWARD_WALK_WORDS
  };
  kernels_tile_add(program, "block_q", plan->block_q);
  kernels_tile_add(program, "block_k", plan->block_k);
  kernels_tile_add(program, "unroll", plan->unroll);
  kernels_tile_add(program, "tile", plan->tile);
  kernels_tile_add(program, "rows", plan->rows);
  kernels_tile_add(program, "ahead", plan->ahead + 1);
  kernels_tile_add(program, "segment",
                   plan->segment ? plan->segment : plan->keys);
  int used = snprintf(program->plan, sizeof program->plan,
                      "%s; %lld queries a step, %lld x %lld keys a body, ",
                      words[plan->walk], (long long)plan->block_q,
                      (long long)plan->unroll, (long long)plan->block_k);
  char *rest = program->plan + used;
  size_t room = sizeof program->plan - (size_t)used;
  if (plan->segment)
    snprintf(rest, room, "K and V in segments of %lld keys",
             (long long)plan->segment);
  else
    snprintf(rest, room, "K and V in VMEM");
}
