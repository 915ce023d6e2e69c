#include "kernels/flash_plan.h"

#include "kernels/columns.h"

static int64_t padded(int64_t d) { return base_round_up(d, LANES); }

/* Tiles and unrolling beyond these are no plan but a mistake, which would take
 * for ever to write out. */
enum { BLOCK_MOST = 1 << 16, UNROLL_MOST = 64 };

static pfl_status check_problem(const kernels_request *request,
                                pfl_error *error) {
  const attention_problem *p = request->problem;
  if (p->softcap > 0 || request->segment_ids || request->sinks)
    PFL_RAISE(error, UNIMPLEMENTED,
              "the TPU forward kernel has no softcap, segment ids and sinks "
              "yet");
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

static pfl_status check_tiles(const forward_plan *plan, pfl_error *error) {
  if (plan->block_q < LANES || plan->block_q % LANES || plan->block_k < LANES ||
      plan->block_k % LANES || plan->block_q > BLOCK_MOST ||
      plan->block_k > BLOCK_MOST)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "block_q is %lld, block_k %lld: each must be a multiple of %d, "
              "at most %d",
              (long long)plan->block_q, (long long)plan->block_k, LANES,
              BLOCK_MOST);
  if (plan->unroll < 1 || plan->unroll & (plan->unroll - 1) ||
      plan->unroll > UNROLL_MOST)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "unroll is %lld: must be a power of two, at most %d",
              (long long)plan->unroll, UNROLL_MOST);
  if (plan->tile < LANES || plan->tile % LANES || plan->block_q % plan->tile)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "tile is %lld: must be a multiple of %d that divides block_q",
              (long long)plan->tile, LANES);
  return PFL_STATUS_OK;
}

/* Windows are held twice, state once; what the compiler spills comes on top. */
static int64_t count_vmem(const attention_problem *p,
                          const forward_plan *plan) {
  int64_t size = (int64_t)pfl_dtype_size(p->dtype);
  int64_t widths = padded(p->D) + padded(p->Dv);
  int64_t windows = (plan->block_q + plan->keys) * widths * size;
  int64_t state = plan->block_q * (2 * LANES + padded(p->Dv)) * 4;
  int64_t spills = 8 * plan->block_q * plan->block_k;
  return 2 * windows + state + spills + (2 << 20);
}

pfl_status forward_plan_make(const kernels_request *request,
                             const kernels_chip *chip, forward_plan *out_plan,
                             pfl_error *error) {
  const attention_problem *p = request->problem;
  PFL_TRY(check_problem(request, error));
  int64_t blocks = base_ceil_div(p->Sq, 1024);
  forward_plan plan = {
      .block_q = base_round_up(base_ceil_div(p->Sq, blocks), LANES),
      .block_k = base_min(512, base_round_up(p->Sk, LANES)),
      .unroll = 4,
      .tile = LANES};
  if (plan.block_q % 256 == 0) plan.tile = 256;
  plan.block_q = kernels_tile_of(request, "block_q", plan.block_q);
  plan.block_k = kernels_tile_of(request, "block_k", plan.block_k);
  plan.unroll = kernels_tile_of(request, "unroll", plan.unroll);
  plan.tile = kernels_tile_of(request, "tile", plan.tile);
  PFL_TRY(check_tiles(&plan, error));
  plan.q_blocks = base_ceil_div(p->Sq, plan.block_q);
  plan.triangle = p->window.right == 0 && p->window.left == ATTENTION_OPEN &&
                  !request->segment_ids && p->offset >= 0 &&
                  p->offset % plan.block_k == 0 &&
                  plan.block_q % plan.block_k == 0;
  plan.keys = base_round_up(p->Sk, plan.block_k);
  if (plan.triangle)
    plan.keys = base_max(plan.keys, p->offset + plan.q_blocks * plan.block_q);
  plan.vmem_bytes = count_vmem(p, &plan);
  if (plan.vmem_bytes > chip->vmem_bytes)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "K and V of a head of %lld keys need %lld bytes of VMEM with "
              "these tiles: %s has %lld",
              (long long)p->Sk, (long long)plan.vmem_bytes, chip->name,
              (long long)chip->vmem_bytes);
  *out_plan = plan;
  return PFL_STATUS_OK;
}
