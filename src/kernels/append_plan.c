#include <stdio.h>

#include "base/memory.h"
#include "kernels/append_kernel.h"

static int64_t size_of(pfl_dtype dtype) {
  return (int64_t)pfl_dtype_size(dtype);
}

/* Rows of a tile of HBM: copies begin and end between two. */
static int64_t tile_rows(const decode_plan *cache) {
  return 8 * 4 / size_of(cache->cache_dtype);
}

/* What is brought covers a block's tokens from a whole tile on. */
static pfl_status plan_window(append_plan *plan, pfl_error *error) {
  int64_t T = plan->cache.T, tile = tile_rows(&plan->cache);
  plan->window = base_min(T, plan->block[APPEND_ROWS] + tile);
  plan->joined = plan->window == T;
  if (T > plan->window && T % tile)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "%lld tokens at once: more than %lld must be a multiple of %lld",
              (long long)T, (long long)plan->window, (long long)tile);
  return PFL_STATUS_OK;
}

static pfl_status plan_list(append_plan *plan, pfl_error *error) {
  int64_t T = plan->cache.T, rows = T / plan->block[APPEND_ROWS] + 2, all;
  int64_t scales = plan->cache.scaled ? T / plan->block[APPEND_SCALES] + 2 : 0;
  if (!base_multiply(plan->cache.B, base_max(rows, scales), &all) ||
      all > APPEND_LISTED_MAX)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "%lld tokens of %lld sequences at once: the TPU's scalar memory "
              "has room for %d blocks of %lld",
              (long long)T, (long long)plan->cache.B, APPEND_LISTED_MAX,
              (long long)plan->block[APPEND_ROWS]);
  plan->listed = all;
  return PFL_STATUS_OK;
}

static int64_t slot_bytes(const append_plan *plan) {
  const decode_plan *c = &plan->cache;
  int64_t size = size_of(c->cache_dtype), rows = tile_rows(c), bytes = 0;
  const int64_t widths[] = {c->width, c->v_width};
  for (int v = 0; v < 2; v++) {
    bytes += decode_vmem_bytes(c->Hkv, rows, widths[v], size);
    bytes +=
        decode_vmem_bytes(append_heads(plan), append_rows(plan, plan->window),
                          plan->lanes[v], size);
    if (c->scaled) bytes += c->Hkv * (128 + plan->all_scales) * 4;
  }
  return bytes;
}

static pfl_status plan_slots(const kernels_chip *chip, append_plan *plan,
                             pfl_error *error) {
  int64_t rows = append_rows(plan, plan->window) + 2 * plan->block[APPEND_ROWS];
  int64_t staged = decode_vmem_bytes(1, rows, plan->lanes[0], 4) +
                   decode_vmem_bytes(1, rows, plan->lanes[1], 4);
  int64_t room = chip->vmem_bytes - chip->vmem_bytes / 8 - staged;
  int64_t slot = slot_bytes(plan);
  plan->slots = APPEND_SLOTS_MAX;
  while (plan->slots > 2 && plan->slots * slot > room) plan->slots /= 2;
  plan->vmem_bytes = plan->slots * slot + staged;
  if (plan->slots * slot > room)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "%lld heads at a time take %lld KiB of VMEM: %s has %lld for "
              "them",
              (long long)plan->cache.Hkv, (long long)(plan->vmem_bytes >> 10),
              chip->name, (long long)(room >> 10));
  return PFL_STATUS_OK;
}

pfl_status append_plan_make(const kernels_request *request,
                            const kernels_chip *chip, append_plan *out_plan,
                            pfl_error *error) {
  decode_plan cache;
  PFL_TRY(decode_plan_cache(request, chip, &cache, error));
  int64_t scales = cache.page ? base_min(cache.page, 128) : 128;
  append_plan plan = {
      .cache = cache,
      .block = {cache.granule, scales},
      .lanes = {base_round_up(cache.head_dim, 128),
                base_round_up(cache.v_head_dim, 128)},
      .all_scales = cache.scaled ? base_round_up(cache.T, 128) : 0};
  if (cache.T > 4096)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "%lld tokens at once: append takes at most 4096",
              (long long)cache.T);
  PFL_TRY(plan_window(&plan, error));
  PFL_TRY(plan_list(&plan, error));
  PFL_TRY(plan_slots(chip, &plan, error));
  *out_plan = plan;
  return PFL_STATUS_OK;
}

void append_plan_describe(const append_plan *plan, kernels_program *program) {
  base_text words = {0};
  const decode_plan *cache = &plan->cache;
  if (cache->over > 1)
    kernels_tile_add(program, "head_chips", cache->by_heads ? cache->over : 1);
  base_text_format(&words,
                   "%d chip%s, in place: blocks of %lld tokens, %lld on their "
                   "way; %lld KiB of VMEM",
                   cache->over, cache->over > 1 ? "s" : "",
                   (long long)plan->block[APPEND_ROWS], (long long)plan->slots,
                   (long long)(plan->vmem_bytes >> 10));
  snprintf(program->plan, sizeof program->plan, "%s", base_text_get(&words));
  base_text_release(&words);
}
