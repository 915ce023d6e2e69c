#include "kernels/decode_plan.h"

#include <stdio.h>

#include "kernels/decode_kernel.h"

#define KIB ((int64_t)1 << 10)

/* Key-value heads whose queries are made ready while the first tile is on its
 * way. */
enum { QUERIES_READY = 16, ENTRIES_MOST = 1 << 14 };

static int64_t round_up(int64_t x, int64_t multiple) {
  return (x + multiple - 1) / multiple * multiple;
}

static int64_t power_below(int64_t x) {
  int64_t power = 1;
  while (2 * power <= x) power *= 2;
  return power;
}

static int64_t size_of(pfl_dtype dtype) {
  return dtype == PFL_DTYPE_F32 ? 4 : dtype == PFL_DTYPE_I8 ? 1 : 2;
}

/* ---- What is supported ----------------------------------------------------
 */

static pfl_status check_cache(const attention_decode_problem *p, int chips,
                              pfl_error *error) {
  if (chips != 1 && chips != 4)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "chips is %d: decode runs on 1 or on the 4 of a 2x2 mesh", chips);
  if (p->dtype != PFL_DTYPE_BF16 && p->dtype != PFL_DTYPE_F32)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "dtype is f16: the TPU kernel takes bf16 and f32");
  if (!p->B || !p->Hkv || !p->T || !p->Smax || !p->Dv)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "nothing to decode: B %lld, Hkv %lld, T %lld, Smax %lld",
              (long long)p->B, (long long)p->Hkv, (long long)p->T,
              (long long)p->Smax);
  if (p->B * p->Hkv > 65536 || p->Smax > 1 << 28)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "B Hkv is %lld and Smax %lld: at most 65536 and %d",
              (long long)(p->B * p->Hkv), (long long)p->Smax, 1 << 28);
  return PFL_STATUS_OK;
}

static pfl_status check_rows(const attention_decode_problem *p,
                             pfl_error *error) {
  if (p->T > 64 || p->group * p->T > 256)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "%lld query heads share a key-value head at %lld positions: "
              "together they may have at most 256 rows",
              (long long)p->group, (long long)p->T);
  return PFL_STATUS_OK;
}

/* Pages must be whole tiles of memory, and positions must be shifts away. */
static pfl_status check_pages(const attention_decode_problem *p,
                              pfl_error *error) {
  int64_t least = 8 * 4 / size_of(p->cache_dtype);
  if (!p->paged) return PFL_STATUS_OK;
  if (p->page_length < least || p->page_length > 4096 ||
      power_below(p->page_length) != p->page_length)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "page_length is %lld: the TPU kernel takes powers of two, %lld "
              "to 4096",
              (long long)p->page_length, (long long)least);
  if (p->B * p->pages_per_sequence > 1 << 17)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "block_table has %lld entries: the TPU's scalar memory has room "
              "for %d",
              (long long)(p->B * p->pages_per_sequence), 1 << 17);
  return PFL_STATUS_OK;
}

/* ---- The plan -------------------------------------------------------------
 */

/* Heads of their own need no exchange, and both ways read the same bytes on
 * each chip; but a chip can have rows to spare along one dimension alone. */
static pfl_status plan_chips(const kernels_request *request, decode_plan *plan,
                             pfl_error *error) {
  const attention_decode_problem *p = request->decode;
  int64_t multiple = p->paged                         ? 1
                     : p->cache_dtype == PFL_DTYPE_I8 ? 128
                                                      : plan->granule;
  bool can = p->Hkv % plan->over == 0 && p->Smax % multiple == 0;
  int64_t most = can ? plan->over : 1;
  int64_t wanted = kernels_tile_of(request, "head_chips", most);
  if (wanted != 1 && wanted != most)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "head_chips is %lld: must be 1, or %d where that divides Hkv, "
              "%lld, and Smax, %lld, is a multiple of %lld tokens",
              (long long)wanted, plan->over, (long long)p->Hkv,
              (long long)p->Smax, (long long)multiple);
  plan->by_heads = wanted > 1;
  plan->chips = plan->by_heads ? 1 : plan->over;
  if (plan->by_heads) plan->Hkv /= plan->over;
  plan->page_count = base_ceil_div(p->page_count, plan->chips);
  return PFL_STATUS_OK;
}

static void plan_cache(const kernels_chip *chip, decode_plan *plan) {
  int64_t size = size_of(plan->cache_dtype), rows = 8 * 4 / size;
  plan->scaled = plan->cache_dtype == PFL_DTYPE_I8;
  plan->integer =
      plan->scaled && plan->dtype == PFL_DTYPE_BF16 && chip->mxu_int8;
  plan->q_low = round_up(plan->rows, 16);
  /* scales lie token by token, and stay so; a page has whole tiles of memory */
  bool packs = !plan->scaled && plan->D == plan->Dv && plan->D < 128 &&
               128 % plan->D == 0 &&
               (!plan->page || plan->page * plan->D >= rows * 128);
  plan->pack = packs ? 128 / plan->D : 1;
  /* XLA would copy a tensor of other rows, to fill its own lanes */
  if (!packs) plan->D = round_up(plan->D, 128);
  if (!packs) plan->Dv = round_up(plan->Dv, 128);
  plan->rows_all = plan->pack * plan->rows;
  plan->width = plan->pack * plan->D;
  plan->v_width = plan->pack * plan->Dv;
  /* rows of a tile of memory: 8 words of 32 bits on top of each other */
  plan->granule = plan->pack * rows;
}

static void plan_spread(decode_plan *plan) {
  plan->q_made = plan->integer || plan->pack > 1;
  plan->q_ready = plan->q_made && plan->B * plan->Hkv <= QUERIES_READY;
  plan->unit = plan->page ? plan->page : plan->granule;
  int64_t shared = plan->unit * plan->chips;
  plan->local = round_up(plan->Smax, shared) / plan->chips;
  if (plan->scaled && !plan->page) plan->local = round_up(plan->local, 128);
  plan->pages = plan->page ? plan->local / plan->page : 0;
}

/* Asking for a page takes the scalar unit as long as 6 KiB take to come, with
 * scales as long as 12: small ones are brought for several heads at once. */
static int64_t heads_of(const decode_plan *plan) {
  int64_t heads = 1, most = plan->scaled ? 4 : DECODE_HEADS_MAX;
  int64_t bytes = plan->page * plan->D * size_of(plan->cache_dtype);
  int64_t enough =
      (plan->B * plan->Hkv < 4 ? 16 : 24) * KIB; /* 2 jobs at least */
  most = base_min(plan->Hkv, most);
  if (plan->scaled) enough = 64 * KIB;
  while (plan->page && heads < most && heads * bytes < enough) heads++;
  while (plan->Hkv % heads) heads--;
  return heads;
}

static void plan_tiles(const kernels_request *request, decode_plan *plan) {
  int64_t row =
      (plan->width > 128 ? plan->width : 128) * size_of(plan->cache_dtype);
  int64_t lanes = 128 * plan->pack; /* tokens that fill a register's lanes */
  int64_t tile = power_below(256 * KIB / row) * plan->pack;
  plan->heads = kernels_tile_of(request, "heads", heads_of(plan));
  if (plan->heads > 1)
    tile = base_max(2 * tile / power_below(plan->heads), lanes);
  lanes = base_max(lanes, plan->page);
  tile = base_min(base_max(tile, lanes), round_up(plan->local, lanes));
  plan->tile = kernels_tile_of(request, "tile", tile);
  plan->ring = kernels_tile_of(request, "ring", 4);
  plan->segment = kernels_tile_of(request, "segment", 0);
  if (plan->segment >= plan->local) plan->segment = 0;
}

static pfl_status check_tiles(const decode_plan *plan, pfl_error *error) {
  int64_t multiple = base_max(128 * plan->pack, plan->page);
  if (plan->tile < 1 || plan->tile % multiple || plan->tile > 8192)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "tile is %lld: must be a multiple of %lld tokens, at most 8192",
              (long long)plan->tile, (long long)multiple);
  if (plan->ring < 2 || plan->ring > 64 ||
      power_below(plan->ring) != plan->ring)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "ring is %lld: must be a power of two, 2 to 64",
              (long long)plan->ring);
  if (plan->segment % plan->tile)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "segment is %lld: must be a multiple of tile, %lld",
              (long long)plan->segment, (long long)plan->tile);
  if (plan->heads < 1 || plan->heads > DECODE_HEADS_MAX ||
      plan->Hkv % plan->heads)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "heads is %lld: must divide Hkv, %lld, and be at most %d",
              (long long)plan->heads, (long long)plan->Hkv, DECODE_HEADS_MAX);
  return PFL_STATUS_OK;
}

int64_t decode_vmem_bytes(int64_t count, int64_t rows, int64_t lanes,
                          int64_t size) {
  return count * round_up(rows, 8 * 4 / size) * round_up(lanes, 128) * size;
}

int64_t decode_scale_lanes(const decode_plan *plan) {
  if (!plan->page) return plan->tiles * plan->tile;
  return plan->tile / plan->page * round_up(plan->page, 128);
}

/* A hop takes about a microsecond, a step as little as half of one; and 2 lag +
 * 2 parts of one axis are somewhere, see decode_merge.c. */
static void plan_exchange(decode_plan *plan) {
  plan->lag = plan->chips > 1 ? 3 : 0;
  plan->slots = plan->chips > 1 ? 8 : 2;
}

static void plan_memory(decode_plan *plan) {
  int64_t rows = plan->rows, heads = plan->heads;
  int64_t kv = size_of(plan->cache_dtype), q = size_of(plan->dtype);
  int64_t tokens = plan->segment ? plan->segment : plan->local;
  int64_t columns = round_up(tokens, plan->tile) / plan->pack;
  int64_t made = base_max(heads, plan->q_ready ? QUERIES_READY : 0);
  int64_t tiles = plan->ring * heads, depth = plan->tile / plan->pack;
  plan->tiles = (tokens + plan->tile - 1) / plan->tile;
  plan->entries = plan->B * ((plan->local + tokens - 1) / tokens);
  plan->vmem_bytes =
      decode_vmem_bytes(tiles, depth, plan->width, kv) +
      decode_vmem_bytes(tiles, depth, plan->v_width, kv) +
      decode_vmem_bytes(2 * heads, plan->rows_all, columns, 4) +
      decode_vmem_bytes(plan->B * plan->Hkv, rows, plan->D, q) +
      decode_vmem_bytes(made, plan->rows_all, plan->width, q) +
      decode_vmem_bytes(made, 4 * plan->q_low, plan->width, 4) +
      decode_vmem_bytes(2 * heads + plan->Hkv, rows, plan->Dv, q) +
      decode_vmem_bytes(1, plan->B * plan->Hkv, rows, 4);
  if (plan->scaled)
    plan->vmem_bytes += 2 * (plan->page ? plan->ring : DECODE_SCALE_SLOTS) *
                        heads * decode_scale_lanes(plan) * 4;
  if (plan->segment)
    plan->vmem_bytes += decode_vmem_bytes(plan->Hkv, rows, 256 + plan->Dv, 4);
  if (plan->chips > 1)
    plan->vmem_bytes +=
        decode_vmem_bytes(4 * plan->slots * heads, rows, 256 + plan->Dv, 4);
}

pfl_status decode_plan_cache(const kernels_request *request,
                             const kernels_chip *chip, decode_plan *out_plan,
                             pfl_error *error) {
  const attention_decode_problem *p = request->decode;
  int chips = request->chips ? request->chips : 1;
  PFL_TRY(check_cache(p, chips, error));
  PFL_TRY(check_pages(p, error));
  *out_plan = (decode_plan){.B = p->B,
                            .Hkv = p->Hkv,
                            .G = p->group,
                            .T = p->T,
                            .D = p->D,
                            .Dv = p->Dv,
                            .head_dim = p->D,
                            .v_head_dim = p->Dv,
                            .Smax = p->Smax,
                            .dtype = p->dtype,
                            .cache_dtype = p->cache_dtype,
                            .scale = p->scale,
                            .softcap = p->softcap,
                            .left = p->window.left,
                            .lse = request->lse,
                            .sinks = request->sinks,
                            .rows = p->group * p->T,
                            .page = p->paged ? p->page_length : 0,
                            .over = chips};
  plan_cache(chip, out_plan);
  PFL_TRY(plan_chips(request, out_plan, error));
  plan_spread(out_plan);
  return PFL_STATUS_OK;
}

/* Scores that do not fit are made a segment at a time, the largest that fits;
 * a part is held from one to the next. */
static void plan_segments(decode_plan *plan, int64_t room) {
  plan_memory(plan);
  if (plan->segment || plan->vmem_bytes <= room) return;
  int64_t segment = plan->tile;
  while (2 * segment < plan->local) segment *= 2;
  do {
    plan->segment = segment;
    plan_memory(plan);
    segment /= 2;
  } while (plan->vmem_bytes > room && segment >= plan->tile);
}

pfl_status decode_plan_make(const kernels_request *request,
                            const kernels_chip *chip, decode_plan *out_plan,
                            pfl_error *error) {
  decode_plan plan;
  PFL_TRY(decode_plan_cache(request, chip, &plan, error));
  PFL_TRY(check_rows(request->decode, error));
  plan_tiles(request, &plan);
  PFL_TRY(check_tiles(&plan, error));
  plan.eager = plan.B == 1 && plan.left >= ATTENTION_OPEN && !plan.page;
  plan_exchange(&plan);
  int64_t room = chip->vmem_bytes - chip->vmem_bytes / 8;
  plan_segments(&plan, room);
  if (plan.vmem_bytes > room)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "a tile of %lld tokens and the scores of %lld take %lld KiB of "
              "VMEM: %s has %lld for them",
              (long long)plan.tile,
              (long long)(plan.segment ? plan.segment : plan.local),
              (long long)(plan.vmem_bytes / KIB), chip->name,
              (long long)(room / KIB));
  if (plan.segment && plan.entries > ENTRIES_MOST)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "%lld sequences in segments of %lld tokens are %lld: the TPU's "
              "scalar memory has room for %d",
              (long long)plan.B, (long long)plan.segment,
              (long long)plan.entries, ENTRIES_MOST);
  *out_plan = plan;
  return PFL_STATUS_OK;
}

void decode_plan_sharing(const decode_plan *plan, base_text *words) {
  if (plan->over == 1)
    base_text_add_string(words, "one chip");
  else if (plan->by_heads)
    base_text_format(words,
                     "%d chips with %lld key-value heads each: no exchange, as "
                     "they divide",
                     plan->over, (long long)plan->Hkv);
  else
    base_text_format(
        words,
        "split-KV over %d chips, %lld tokens a turn: level at every "
        "length, parts exchanged behind the stream",
        plan->over, (long long)plan->unit);
}

void decode_plan_describe(const decode_plan *plan,
                          const kernels_request *request,
                          kernels_program *program) {
  base_text words = {0};
  kernels_tile_add(program, "tile", plan->tile);
  kernels_tile_add(program, "ring", plan->ring);
  kernels_tile_add(program, "heads", plan->heads);
  if (plan->segment || kernels_tile_of(request, "segment", 0))
    kernels_tile_add(program, "segment",
                     plan->segment ? plan->segment : plan->local);
  if (plan->over > 1)
    kernels_tile_add(program, "head_chips", plan->by_heads ? plan->over : 1);
  decode_plan_sharing(plan, &words);
  if (plan->segment)
    base_text_format(&words, "; scores of %lld tokens at a time",
                     (long long)plan->segment);
  base_text_format(&words,
                   "; %lld head%s at a time, tiles of %lld tokens, %lld ahead; "
                   "%lld KiB of VMEM",
                   (long long)plan->heads, plan->heads > 1 ? "s" : "",
                   (long long)plan->tile, (long long)(plan->ring - 1),
                   (long long)(plan->vmem_bytes / KIB));
  snprintf(program->plan, sizeof program->plan, "%s", base_text_get(&words));
  base_text_release(&words);
}
