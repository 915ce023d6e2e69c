#include "kernels/backward_plan.h"

#include <stdio.h>

#include "kernels/columns.h"
#include "kernels/sequences.h"

/* Keys of a block: with 512 queries the five products of a chunk keep the MXU
 * for 5120 cycles. */
enum { BLOCK_MOST = 1024 };

/* Blocks of about `most` keys. */
static void choose_tiles(const kernels_request *request, int64_t most,
                         backward_plan *plan) {
  const attention_problem *p = request->problem;
  int64_t blocks = base_ceil_div(p->Sk, most);
  int64_t keys = base_round_up(base_ceil_div(p->Sk, blocks), LANES);
  plan->block_k = kernels_tile_of(request, "block_k", keys);
  int64_t rows = base_min(most / 2, base_round_up(p->Sq, LANES));
  plan->block_q = kernels_tile_of(request, "block_q", rows);
  int64_t part = plan->block_k % 1024 ? plan->block_k : plan->block_k / 2;
  plan->part = kernels_tile_of(request, "part", part);
  int64_t ahead = sequence_swaps(p->Dv) ? 2 : 1;
  plan->ahead = (int)kernels_tile_of(request, "ahead", ahead) - 1;
  plan->unroll = kernels_tile_of(request, "unroll", 2);
  int64_t tile = plan->block_k % 256 ? LANES : 256;
  plan->tile = kernels_tile_of(request, "tile", tile);
}

static void choose_walk(const kernels_request *request, backward_plan *plan) {
  const attention_problem *p = request->problem;
  attention_window window = p->window;
  plan->k_blocks = base_ceil_div(p->Sk, plan->block_k);
  plan->rows = base_round_up(p->Sq, plan->block_q);
  plan->walk = BACKWARD_POSITION;
  if (window.left == ATTENTION_OPEN && window.right == ATTENTION_OPEN &&
      p->Sq == plan->rows && p->Sk % plan->block_k == 0)
    plan->walk = BACKWARD_FULL;
  if (window.left == ATTENTION_OPEN && window.right == 0 && p->offset == 0 &&
      plan->block_k % plan->block_q == 0) {
    plan->walk = BACKWARD_CAUSAL;
    plan->rows = plan->k_blocks * plan->block_k;
  }
  bool causal = plan->walk == BACKWARD_CAUSAL;
  plan->o_rows = causal ? plan->block_k : plan->rows;
  plan->fresh = causal && p->group == 1;
  plan->end_rows = plan->block_q;
  while (plan->end_rows < 1024 && plan->rows % (2 * plan->end_rows) == 0)
    plan->end_rows *= 2;
}

/* Windows are held twice, sums once; what the compiler spills comes on top. */
static int64_t count_vmem(const kernels_request *request,
                          const backward_plan *plan) {
  const attention_problem *p = request->problem;
  int64_t size = (int64_t)pfl_dtype_size(p->dtype);
  int64_t keys = plan->block_k * (p->group > 1 ? plan->k_blocks : 1);
  bool d = sequence_swaps(p->D), dv = sequence_swaps(p->Dv);
  int64_t rows = 2 * sequence_bytes(plan->rows, p->D, d, size) +
                 sequence_bytes(plan->rows + plan->o_rows, p->Dv, dv, size) +
                 plan->rows * 4 * 8 * (request->d_lse ? 2 : 1);
  int64_t blocks = 3 * (sequence_bytes(plan->block_k, p->D, d, size) +
                        sequence_bytes(plan->block_k, p->Dv, dv, size));
  int64_t sums = sequence_bytes(plan->rows + keys, p->D, d, 4) +
                 sequence_bytes(keys, p->Dv, dv, 4) + 64 * plan->rows;
  int64_t spills = 20 * plan->block_q * plan->block_k;
  int64_t ids =
      request->segment_ids ? 4 * (LANES * plan->block_k + 16 * plan->rows) : 0;
  return 2 * (rows + blocks) + sums + spills + ids + (4 << 20);
}

pfl_status backward_plan_make(const kernels_request *request,
                              const kernels_chip *chip, backward_plan *out_plan,
                              pfl_error *error) {
  const attention_problem *p = request->problem;
  backward_plan plan = {0};
  PFL_TRY(flash_plan_check_problem(p, error));
  for (int64_t most = BLOCK_MOST; most >= 2 * LANES; most /= 2) {
    choose_tiles(request, most, &plan);
    PFL_TRY(flash_plan_check_tiles(plan.block_q, plan.block_k, plan.unroll,
                                   plan.tile, plan.block_k, error));
    if (plan.part < LANES || plan.part % LANES || plan.block_k % plan.part)
      PFL_RAISE(error, INVALID_ARGUMENT,
                "part is %lld: must be a multiple of %d that divides %lld",
                (long long)plan.part, LANES, (long long)plan.block_k);
    if (plan.ahead >= FORWARD_AHEAD_MAX)
      PFL_RAISE(error, INVALID_ARGUMENT, "ahead is %d: at most %d",
                plan.ahead + 1, FORWARD_AHEAD_MAX);
    choose_walk(request, &plan);
    plan.vmem_bytes = count_vmem(request, &plan);
    if (plan.vmem_bytes <= chip->vmem_bytes) break;
  }
  if (plan.vmem_bytes > chip->vmem_bytes)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "Q, O and dO of a head of %lld queries need %lld bytes of VMEM "
              "with these tiles: %s has %lld",
              (long long)p->Sq, (long long)plan.vmem_bytes, chip->name,
              (long long)chip->vmem_bytes);
  *out_plan = plan;
  return PFL_STATUS_OK;
}

void backward_plan_tell(const backward_plan *plan, kernels_program *program) {
  static const char *const words[] = {
#define BACKWARD_WALK_WORDS(name, text) [BACKWARD_##name] = text,
      BACKWARD_WALK_LIST(BACKWARD_WALK_WORDS)
#undef BACKWARD_WALK_WORDS
  };
  kernels_tile_add(program, "block_q", plan->block_q);
  kernels_tile_add(program, "block_k", plan->block_k);
  kernels_tile_add(program, "part", plan->part);
  kernels_tile_add(program, "ahead", plan->ahead + 1);
  kernels_tile_add(program, "unroll", plan->unroll);
  kernels_tile_add(program, "tile", plan->tile);
  snprintf(
      program->plan, sizeof program->plan,
      "%s; %lld keys a step, %lld x %lld queries a body, a head's Q and dO "
      "in VMEM",
      words[plan->walk], (long long)plan->block_k, (long long)plan->unroll,
      (long long)plan->block_q);
}
