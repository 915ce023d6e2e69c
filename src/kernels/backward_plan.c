#include "kernels/backward_plan.h"

#include <stdio.h>

#include "kernels/columns.h"
#include "kernels/sequences.h"

/* Keys of a block: with 512 queries the five products of a chunk keep the MXU
 * for 5120 cycles. */
enum { BLOCK_MOST = 1024 };

/* Queries of a panel: as many as a tile may be. */
enum { PANEL_MOST = 1 << 16 };

/* A body of the loop may be as long as that of two chunks of 512 queries with
 * 1024 keys of D = 128 in bf16, 8,900 bundles: longer ones take minutes to
 * compile, and the instruction memory of a chip is small. Counted in products
 * of bf16 of 1024 numbers; f32 takes six of them. */
enum { BODY_MOST = 1024 * 640, PASSES_F32 = 6 };

static int64_t weigh_body(const attention_problem *p, int64_t queries,
                          int64_t keys) {
  int64_t passes = p->dtype == PFL_DTYPE_F32 ? PASSES_F32 : 1;
  return queries * keys / 1024 * (3 * p->D + 2 * p->Dv) * passes;
}

/* Blocks of about `most` keys; of queries chunks that divide them, where the
 * positions of both are the same. */
static void choose_tiles(const kernels_request *request, int64_t most,
                         backward_plan *plan) {
  const attention_problem *p = request->problem;
  bool square = p->window.right != ATTENTION_OPEN && p->offset == 0;
  int64_t blocks = base_ceil_div(p->Sk, most);
  int64_t keys = base_ceil_div(p->Sk, blocks);
  keys = base_round_up(keys, square && keys > 512 ? 2 * LANES : LANES);
  plan->block_k = kernels_tile_of(request, "block_k", keys);
  int64_t rows = base_min(most / 2, base_round_up(p->Sq, LANES));
  while (square && rows > LANES && plan->block_k % rows) rows -= LANES;
  plan->block_q = kernels_tile_of(request, "block_q", rows);
  int64_t part = plan->block_k % 1024 ? plan->block_k : plan->block_k / 2;
  plan->part = kernels_tile_of(request, "part", part);
  int64_t ahead = sequence_swaps(p->Dv) ? 2 : 1;
  plan->ahead = (int)kernels_tile_of(request, "ahead", ahead) - 1;
  bool heavy = weigh_body(p, 2 * plan->block_q, plan->block_k) > BODY_MOST;
  plan->unroll = kernels_tile_of(request, "unroll", heavy ? 1 : 2);
  bool odd = plan->block_q % 256 || plan->block_k % 256;
  bool narrow = p->window.left + p->window.right <= BLOCK_MOST;
  int64_t tile = odd || heavy || narrow ? LANES : 256;
  plan->tile = kernels_tile_of(request, "tile", tile);
}

static pfl_status check_tiles(const backward_plan *plan, pfl_error *error) {
  PFL_TRY(flash_plan_check_tiles(plan->block_q, plan->block_k, plan->unroll,
                                 plan->tile, plan->block_k, error));
  if (plan->part < LANES || plan->part % LANES || plan->block_k % plan->part)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "part is %lld: must be a multiple of %d that divides %lld",
              (long long)plan->part, LANES, (long long)plan->block_k);
  if (plan->ahead >= FORWARD_AHEAD_MAX)
    PFL_RAISE(error, INVALID_ARGUMENT, "ahead is %d: at most %d",
              plan->ahead + 1, FORWARD_AHEAD_MAX);
  return PFL_STATUS_OK;
}

/* A block of keys then begins a tile of queries at its own position. */
static bool is_banded(const attention_problem *p, const backward_plan *plan) {
  return p->window.right != ATTENTION_OPEN && p->offset >= 0 &&
         p->offset % plan->block_k == 0 && plan->block_k % plan->block_q == 0 &&
         plan->block_q % plan->tile == 0;
}

static int64_t round_down(int64_t x, int64_t to) {
  return x >= 0 ? x / to * to : -base_round_up(-x, to);
}

static backward_band measure_band(const attention_problem *p,
                                  const backward_plan *plan) {
  attention_window window = p->window;
  int64_t block = plan->block_k, chunk = plan->block_q;
  backward_band band = {.begin = -base_round_up(window.right, plan->tile)};
  band.seen = -round_down(window.right - (block - 1), chunk);
  band.seen_end = band.end = ATTENTION_OPEN;
  if (window.left != ATTENTION_OPEN) {
    band.seen_end = round_down(window.left + 1, chunk);
    band.end = base_round_up(block + window.left, plan->tile);
  }
  return band;
}

static void choose_walk(const kernels_request *request, backward_plan *plan) {
  const attention_problem *p = request->problem;
  plan->k_blocks = base_ceil_div(p->Sk, plan->block_k);
  plan->rows = base_round_up(p->Sq, plan->block_q);
  plan->walk = BACKWARD_POSITION;
  if (p->window.left == ATTENTION_OPEN && p->window.right == ATTENTION_OPEN &&
      p->Sk % plan->block_k == 0)
    plan->walk = BACKWARD_FULL;
  if (is_banded(p, plan)) {
    plan->walk = BACKWARD_BAND;
    plan->rows = plan->k_blocks * plan->block_k - p->offset;
    plan->band = measure_band(p, plan);
  }
  plan->descending = plan->walk == BACKWARD_BAND && p->window.right == 0;
}

/* ---- Panels ---------------------------------------------------------------
 */

static int64_t block_at(const attention_problem *p, const backward_plan *plan,
                        int64_t position) {
  int64_t key = base_min(base_max(position, 0), p->Sk - 1);
  return key / plan->block_k;
}

/* As backward_blocks.c has it at run time. */
attention_range backward_plan_blocks(const attention_problem *p,
                                     const backward_plan *plan, int64_t panel) {
  attention_range blocks = {0, plan->k_blocks};
  int64_t first = panel * plan->panel + p->offset;
  if (panel > 0 && p->window.left != ATTENTION_OPEN)
    blocks.begin = block_at(p, plan, first - p->window.left);
  if (panel < plan->panels - 1 && p->window.right != ATTENTION_OPEN) {
    int64_t last = first + plan->panel - 1 + p->window.right;
    blocks.end = block_at(p, plan, last) + 1;
  }
  return blocks;
}

static void set_panels(const attention_problem *p, int64_t panel,
                       backward_plan *plan) {
  plan->panel = panel;
  plan->panels = base_ceil_div(plan->rows, panel);
  plan->o_rows = plan->descending ? plan->block_k : panel;
  plan->end_rows = plan->block_q;
  while (plan->end_rows < 1024 && panel % (2 * plan->end_rows) == 0)
    plan->end_rows *= 2;
  plan->steps = 0;
  for (int64_t i = 0; i < plan->panels; i++) {
    attention_range blocks = backward_plan_blocks(p, plan, i);
    plan->steps = base_max(plan->steps, blocks.end - blocks.begin);
  }
}

/* Windows are held twice, sums once; what the compiler spills comes on top. */
static int64_t count_vmem(const kernels_request *request,
                          const backward_plan *plan) {
  const attention_problem *p = request->problem;
  int64_t size = (int64_t)pfl_dtype_size(p->dtype);
  int64_t keys = plan->block_k;
  if (plan->sums == BACKWARD_SUMS_VMEM) keys *= plan->k_blocks;
  if (plan->sums == BACKWARD_SUMS_HBM) keys *= 3;
  bool d = sequence_swaps(p->D), dv = sequence_swaps(p->Dv);
  int64_t rows = 2 * sequence_bytes(plan->panel, p->D, d, size) +
                 sequence_bytes(plan->panel + plan->o_rows, p->Dv, dv, size) +
                 plan->panel * 4 * 8 * (request->d_lse ? 2 : 1);
  int64_t blocks = 3 * (sequence_bytes(plan->block_k, p->D, d, size) +
                        sequence_bytes(plan->block_k, p->Dv, dv, size));
  int64_t sums = sequence_bytes(plan->panel + keys, p->D, d, 4) +
                 sequence_bytes(keys, p->Dv, dv, 4) + 64 * plan->panel;
  int64_t spills = 20 * plan->block_q * plan->block_k;
  int64_t ids =
      request->segment_ids ? 4 * (LANES * plan->block_k + 16 * plan->panel) : 0;
  return 2 * (rows + blocks) + sums + spills + ids + (4 << 20);
}

/* Whether it fits with panels of so many queries. */
static bool fit(const kernels_request *request, const kernels_chip *chip,
                int64_t panel, backward_plan *plan) {
  const attention_problem *p = request->problem;
  set_panels(p, panel, plan);
  bool alone = p->group == 1 && plan->panels == 1;
  plan->sums = alone               ? BACKWARD_SUMS_STEP
               : plan->panels == 1 ? BACKWARD_SUMS_VMEM
                                   : BACKWARD_SUMS_HBM;
  plan->vmem_bytes = count_vmem(request, plan);
  if (plan->sums == BACKWARD_SUMS_VMEM && plan->vmem_bytes > chip->vmem_bytes) {
    plan->sums = BACKWARD_SUMS_HBM;
    plan->vmem_bytes = count_vmem(request, plan);
  }
  plan->fresh = alone && plan->descending && p->offset == 0 &&
                p->window.left >= plan->k_blocks * plan->block_k;
  return plan->vmem_bytes <= chip->vmem_bytes && panel <= PANEL_MOST;
}

/* The fewest panels for which there is room. */
static bool choose_panels(const kernels_request *request,
                          const kernels_chip *chip, backward_plan *plan) {
  int64_t unit = plan->block_k % plan->block_q ? plan->block_q : plan->block_k;
  int64_t panel = plan->rows;
  int64_t asked = kernels_tile_of(request, "panel", 0);
  if (asked) {
    panel = base_min(panel, base_round_up(asked, unit));
    return fit(request, chip, panel, plan);
  }
  for (int64_t count = 1; !fit(request, chip, panel, plan); count++) {
    if (panel <= unit) return false;
    panel = base_round_up(base_ceil_div(plan->rows, count + 1), unit);
  }
  return true;
}

/* ---- The plan -------------------------------------------------------------
 */

pfl_status backward_plan_make(const kernels_request *request,
                              const kernels_chip *chip, backward_plan *out_plan,
                              pfl_error *error) {
  const attention_problem *p = request->problem;
  backward_plan plan = {0};
  bool fits = false;
  PFL_TRY(flash_plan_check_problem(p, error));
  int64_t most = BLOCK_MOST;
  while (most > 2 * LANES && weigh_body(p, most / 2, most) > BODY_MOST)
    most /= 2;
  for (; !fits && most >= 2 * LANES; most /= 2) {
    choose_tiles(request, most, &plan);
    PFL_TRY(check_tiles(&plan, error));
    choose_walk(request, &plan);
    fits = choose_panels(request, chip, &plan);
  }
  if (!fits)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "%lld queries and %lld keys of a head need %lld bytes of VMEM "
              "with these tiles: %s has %lld",
              (long long)plan.panel, (long long)plan.block_k,
              (long long)plan.vmem_bytes, chip->name,
              (long long)chip->vmem_bytes);
  *out_plan = plan;
  return PFL_STATUS_OK;
}

void backward_plan_tell(const backward_plan *plan, kernels_program *program) {
  static const char *const walks[] = {
#define BACKWARD_WALK_WORDS(name, text) [BACKWARD_##name] = text,
      BACKWARD_WALK_LIST(BACKWARD_WALK_WORDS)
#undef BACKWARD_WALK_WORDS
  };
  static const char *const sums[] = {
#define BACKWARD_SUMS_WORDS(name, text) [BACKWARD_SUMS_##name] = text,
      BACKWARD_SUMS_LIST(BACKWARD_SUMS_WORDS)
#undef BACKWARD_SUMS_WORDS
  };
  kernels_tile_add(program, "block_q", plan->block_q);
  kernels_tile_add(program, "block_k", plan->block_k);
  kernels_tile_add(program, "part", plan->part);
  kernels_tile_add(program, "ahead", plan->ahead + 1);
  kernels_tile_add(program, "unroll", plan->unroll);
  kernels_tile_add(program, "tile", plan->tile);
  kernels_tile_add(program, "panel", plan->panel);
  snprintf(program->plan, sizeof program->plan,
           "%s; %lld keys a step, %lld x %lld queries a body, Q and dO of %lld "
           "queries in VMEM; %s",
           walks[plan->walk], (long long)plan->block_k, (long long)plan->unroll,
           (long long)plan->block_q, (long long)plan->panel, sums[plan->sums]);
}
