/* A cache that stays on simulated chips: tokens appended some at a time, decode
 * between, against the fp64 reference, the CPU's decode and a plain copy; what
 * is refused, and what is lost. */
#include "decode_case.h"
#include "device/chip_cache.h"

static const pfl_allocator heap;
static device_slice slice;
static pfl_error error;

static void open_slice(void) {
  device_options options = {.kind = DEVICE_SIM,
                            .seed = check_between(1, INT64_MAX)};
  pfl_status status = device_open(&options, &heap, &slice, &error);
  CHECK(!status, "%s", error.message);
  CHECK_NEED(!status);
}

/* The device's cache beside a call, whose cache is filled to the end: it gets
 * the same tokens. */
typedef struct chip_case {
  decode_case call;
  device_cache *cache;
  int chips;
  bool by_tokens;
  int32_t *now, *counts; /* [B]: tokens it has, and gets */
} chip_case;

static device_cache_options options_of(const chip_case *c) {
  const attention_decode_problem *p = &c->call.problem;
  return (device_cache_options){.kv_heads = p->Hkv,
                                .head_dim = p->D,
                                .v_head_dim = p->Dv,
                                .dtype = p->dtype,
                                .cache_dtype = p->cache_dtype,
                                .page_length = p->page_length,
                                .page_count = p->page_count,
                                .batch = p->paged ? 0 : p->B,
                                .sequence_length = p->paged ? 0 : p->Smax,
                                .chips = c->chips,
                                .by_tokens = c->by_tokens};
}

static device_cache_rows rows_of(const chip_case *c) {
  const attention_decode_problem *p = &c->call.problem;
  return (device_cache_rows){.batch = p->B,
                             .lengths = c->now,
                             .table = c->call.block_table,
                             .columns = p->pages_per_sequence};
}

/* Rows of the tokens from `now` on, [B Hkv, T, row], out of the call's cache.
 */
static void *take_tokens(const chip_case *c, const void *cache, size_t row,
                         int64_t T) {
  const attention_decode_problem *p = &c->call.problem;
  char *out = case_allocate(p->B * p->Hkv * T, row);
  for (int64_t b = 0; b < p->B; b++)
    for (int64_t head = 0; head < p->Hkv; head++)
      for (int64_t t = 0; t < c->counts[b]; t++) {
        int64_t from = decode_slot(&c->call, b, head, c->now[b] + t);
        memcpy(out + (size_t)((b * p->Hkv + head) * T + t) * row,
               (const char *)cache + (size_t)from * row, row);
      }
  return out;
}

static bool append(chip_case *c, int64_t T) {
  const attention_decode_problem *p = &c->call.problem;
  size_t item = pfl_dtype_size(p->cache_dtype);
  void *k = take_tokens(c, c->call.k, (size_t)p->D * item, T);
  void *v = take_tokens(c, c->call.v, (size_t)p->Dv * item, T);
  float *k_scale = NULL, *v_scale = NULL;
  if (c->call.k_scale) {
    k_scale = take_tokens(c, c->call.k_scale, sizeof *k_scale, T);
    v_scale = take_tokens(c, c->call.v_scale, sizeof *v_scale, T);
  }
  pfl_status status =
      device_cache_append(c->cache,
                          &(device_cache_append_args){.rows = rows_of(c),
                                                      .tokens = T,
                                                      .counts = c->counts,
                                                      .k = k,
                                                      .v = v,
                                                      .k_scale = k_scale,
                                                      .v_scale = v_scale},
                          &error);
  CHECK(!status, "%s; %s", error.message, call_text);
  for (int64_t b = 0; b < p->B; b++) c->now[b] += c->counts[b];
  free(k);
  free(v);
  free(k_scale);
  free(v_scale);
  return !status;
}

/* Up to T of what each sequence lacks; all of it, at the end. */
static int64_t draw_counts(chip_case *c, bool last) {
  static const int64_t most[] = {1, 2, 5, 8, 13, 40, 300};
  const attention_decode_problem *p = &c->call.problem;
  int64_t T = PICK(most), largest = 1;
  for (int64_t b = 0; b < p->B; b++) {
    int64_t left = c->call.lengths[b] - c->now[b];
    if (!last) left = base_min(left, check_between(0, 3) ? T : 0);
    c->counts[b] = (int32_t)left;
    largest = base_max(largest, left);
  }
  return largest;
}

static void check_decoded(chip_case *c) {
  decode_case *call = &c->call;
  const attention_decode_problem *p = &call->problem;
  memset(call->o, 0xff,
         (size_t)(call->rows * p->Dv) * pfl_dtype_size(p->dtype));
  memset(call->lse, 0xff, (size_t)call->rows * sizeof *call->lse);
  pfl_status status = device_cache_decode(
      c->cache,
      &(device_cache_decode_args){.rows = rows_of(c),
                                  .q_heads = p->Hq,
                                  .q_length = p->T,
                                  .scoring = call->decode.scoring,
                                  .q = call->q,
                                  .sinks = call->sinks,
                                  .out_o = call->o,
                                  .out_lse = call->lse},
      &error);
  CHECK(!status, "%s; %s", error.message, call_text);
  /* Q in two int8, of which 16256 are its row's largest */
  bool integers = call->k_scale && p->dtype == PFL_DTYPE_BF16;
  call->q_rounding = integers ? (0.5 + 0.01) / 16256 : 0;
  call->end = 4;
  if (!status) decode_check(call, p->dtype == PFL_DTYPE_BF16);
}

/* With the tokens that the cache has now. */
static void check_now(chip_case *c) {
  int32_t *all = c->call.lengths;
  c->call.lengths = c->now;
  decode_run_reference(&c->call);
  check_decoded(c);
  c->call.lengths = all;
}

/* Every token of the call's cache is in the device's, and zeros elsewhere. */
static void check_content(const chip_case *c) {
  const decode_case *call = &c->call;
  const attention_decode_problem *p = &call->problem;
  int64_t slots =
      (p->paged ? p->page_count * p->page_length : p->B * p->Smax) * p->Hkv;
  size_t item = pfl_dtype_size(p->cache_dtype);
  const size_t rows[] = {(size_t)p->D * item, (size_t)p->Dv * item, 4, 4};
  const void *const is[] = {call->k, call->v, call->k_scale, call->v_scale};
  char *must[4], *read[4];
  for (int i = 0; i < 4; i++) {
    must[i] = case_allocate(slots, rows[i]);
    read[i] = case_allocate(slots, rows[i]);
    memset(must[i], 0, (size_t)slots * rows[i]);
  }
  for (int64_t b = 0; b < p->B; b++)
    for (int64_t head = 0; head < p->Hkv; head++)
      for (int64_t x = 0; x < c->now[b]; x++) {
        size_t slot = (size_t)decode_slot(call, b, head, x);
        for (int i = 0; i < (call->k_scale ? 4 : 2); i++)
          memcpy(must[i] + slot * rows[i], (const char *)is[i] + slot * rows[i],
                 rows[i]);
      }
  pfl_status status = device_cache_read(
      c->cache,
      &(device_cache_content){read[0], read[1], (float *)read[2],
                              (float *)read[3]},
      &error);
  CHECK(!status, "%s", error.message);
  for (int i = 0; i < (call->k_scale ? 4 : 2) && !status; i++)
    CHECK(!memcmp(must[i], read[i], (size_t)slots * rows[i]),
          "tensor %d is not what was appended; %s", i, call_text);
  for (int i = 0; i < 4; i++) {
    free(must[i]);
    free(read[i]);
  }
}

/* ---- Any sequence of calls ------------------------------------------------
 */

static pfl_decode draw(const decode_options *options, int64_t turn) {
  static const int64_t dims[] = {32, 64, 96, 128, 128, 192, 256};
  static const int64_t groups[] = {1, 2, 4, 8};
  static const int64_t pages[] = {16, 32, 64, 128};
  int64_t kv_heads = check_between(1, 5), length = check_between(1, 600);
  pfl_decode d = {
      .struct_size = sizeof d,
      .batch = check_between(1, 4),
      .q_heads = kv_heads * PICK(groups),
      .kv_heads = kv_heads,
      .q_length = check_between(0, 1) ? 1 : check_between(1, 8),
      .head_dim = PICK(dims),
      .cache_length = length,
      .dtype = options->call.dtype,
      .cache_dtype = options->int8 ? PFL_DTYPE_I8 : PFL_DTYPE_DEFAULT};
  if (check_between(0, 3) == 0) d.v_head_dim = PICK(dims);
  if (options->paged) {
    do d.page_length = PICK(pages);
    while (options->int8 && d.page_length < 32);
    d.pages_per_sequence = base_ceil_div(length, d.page_length);
    d.page_count = turn * d.batch * base_ceil_div(d.pages_per_sequence, turn) +
                   check_between(0, 3);
    d.cache_length = 0;
  }
  d.scoring = call_draw_scoring(options->call.mask);
  return d;
}

static void run_case(int round) {
  decode_options options = decode_random_options(round);
  options.call.dtype = round % 2 ? PFL_DTYPE_BF16 : PFL_DTYPE_F32;
  options.int8 = round % 3 == 0;
  options.paged = round / 2 % 2;
  chip_case c = {.chips = round / 4 % 2 ? 4 : 1,
                 .by_tokens = check_between(0, 1)};
  options.turn = c.chips;
  c.call = decode_make(draw(&options, c.chips), &options);
  int64_t B = c.call.problem.B;
  c.now = case_allocate(B, sizeof *c.now);
  c.counts = case_allocate(B, sizeof *c.counts);
  memset(c.now, 0, (size_t)B * sizeof *c.now);
  const device_cache_options made = options_of(&c);
  pfl_status status = device_cache_create(&slice, &made, &c.cache, &error);
  CHECK(!status, "%s; %s", error.message, call_text);
  CHECK_NEED(!status);
  int steps = (int)check_between(1, 4);
  for (int i = 0; i < steps; i++) {
    if (!append(&c, draw_counts(&c, i == steps - 1))) break;
    if (i == steps - 1 || check_between(0, 2) == 0) check_now(&c);
  }
  check_content(&c);
  decode_call(&c.call, call_context(pfl_isa_best(), 1));
  decode_check(&c.call, decode_pairs(&c.call, pfl_isa_best()));
  device_cache_destroy(c.cache);
  free(c.now);
  free(c.counts);
  decode_free(&c.call);
}

static void test_any(void) {
  open_slice();
  for (int i = 0; i < check_cases(24); i++) run_case(i);
  device_close(&slice);
}

/* ---- Pages that several have, what is refused, what is lost --------------
 */

enum { B = 2, HKV = 2, PAGE = 16, PAGES = 8, COLUMNS = 3, DIM = 128 };

static device_cache *small_cache(void) {
  const device_cache_options options = {.kv_heads = HKV,
                                        .head_dim = DIM,
                                        .dtype = PFL_DTYPE_F32,
                                        .page_length = PAGE,
                                        .page_count = PAGES};
  device_cache *cache;
  pfl_status status = device_cache_create(&slice, &options, &cache, &error);
  CHECK(!status, "%s", error.message);
  CHECK_NEED(!status);
  return cache;
}

static float tokens[B * HKV * 20 * DIM];

static pfl_status add(device_cache *cache, const int32_t *lengths,
                      const int32_t *counts, const int32_t *table,
                      const int32_t *sources) {
  for (int i = 0; i < COUNT(tokens); i++) tokens[i] = (float)check_normal();
  error = (pfl_error){PFL_STATUS_OK, ""};
  return device_cache_append(
      cache,
      &(device_cache_append_args){.rows = {B, lengths, table, COLUMNS},
                                  .tokens = 20,
                                  .counts = counts,
                                  .k = tokens,
                                  .v = tokens,
                                  .sources = sources},
      &error);
}

static const size_t page_bytes = HKV * PAGE * DIM * sizeof(float);

static char *read_k(const device_cache *cache) {
  char *k = case_allocate(PAGES, page_bytes);
  float *v = case_allocate(PAGES, page_bytes);
  CHECK_NEED(!device_cache_read(cache, &(device_cache_content){.k = k, .v = v},
                                &error));
  CHECK(!memcmp(k, v, PAGES * page_bytes), "k and v got the same");
  free(v);
  return k;
}

/* Sequence 1 begins as sequence 0: its page is copied before it is written. */
static void test_copied_page(void) {
  static const int32_t table[] = {0, 1, -1, 2, 3, -1};
  static const int32_t shared[] = {0, 1, -1, 0, 5, -1};
  open_slice();
  device_cache *cache = small_cache();
  CHECK(!add(cache, (int32_t[]){0, 0}, (int32_t[]){20, 0}, table, NULL), "%s",
        error.message);
  char *before = read_k(cache);
  CHECK(!add(cache, (int32_t[]){20, 20}, (int32_t[]){0, 3}, shared,
             (int32_t[]){-1, 1}),
        "%s", error.message);
  char *after = read_k(cache);
  CHECK(!memcmp(before, after, 5 * page_bytes), "page 5 alone is written to");
  const size_t row = DIM * sizeof(float);
  for (size_t head = 0; head < HKV; head++) {
    const char *from = before + page_bytes + head * PAGE * row;
    const char *to = after + 5 * page_bytes + head * PAGE * row;
    CHECK(!memcmp(from, to, 4 * row), "what it had");
    CHECK(!memcmp(tokens + ((HKV + head) * 20) * DIM, to + 4 * row, 3 * row),
          "what it got");
    CHECK(!memcmp(from + 7 * row, to + 7 * row, 9 * row), "the rest");
  }
  free(before);
  free(after);
  device_cache_destroy(cache);
  device_close(&slice);
}

static void refused(device_cache *cache, const int32_t *lengths,
                    const int32_t *counts, const int32_t *table,
                    const int32_t *sources, const char *why) {
  char *before = read_k(cache);
  pfl_status status = add(cache, lengths, counts, table, sources);
  CHECK(status == PFL_STATUS_OUT_OF_RANGE && strstr(error.message, why),
        "%d, '%s' does not say '%s'", status, error.message, why);
  char *after = read_k(cache);
  CHECK(!memcmp(before, after, PAGES * page_bytes), "the cache as it was");
  free(before);
  free(after);
}

static void test_refusals(void) {
  static const int32_t table[] = {0, 1, -1, 2, 8, -1};
  static const int32_t twice[] = {0, 1, -1, 2, 1, -1};
  open_slice();
  device_cache *cache = small_cache();
  CHECK(!add(cache, (int32_t[]){0, 0}, (int32_t[]){20, 16}, table, NULL), "%s",
        error.message);
  refused(cache, (int32_t[]){-1, 0}, NULL, table, NULL, "lengths[0] is -1");
  refused(cache, (int32_t[]){0, 49}, NULL, table, NULL, "lengths[1] is 49");
  refused(cache, (int32_t[]){0, 40}, NULL, table, NULL,
          "sequence 1 has 40 tokens and gets 20");
  refused(cache, (int32_t[]){0, 0}, (int32_t[]){0, 21}, table, NULL,
          "gets 21 of 20");
  refused(cache, (int32_t[]){0, 16}, (int32_t[]){0, 1}, table, NULL,
          "block_table[1, 1] is 8: must be one of 8 pages");
  refused(cache, (int32_t[]){16, 16}, (int32_t[]){1, 1}, twice, NULL,
          "sequence 0 writes to it too");
  refused(cache, (int32_t[]){16, 0}, (int32_t[]){1, 1}, twice,
          (int32_t[]){8, -1}, "sources[0] is 8");
  float o[B * HKV * DIM];
  device_cache_decode_args args = {
      .rows = {B, (int32_t[]){1, 17}, table, COLUMNS},
      .q_heads = HKV,
      .q_length = 1,
      .q = tokens,
      .out_o = o};
  pfl_status status = device_cache_decode(cache, &args, &error);
  CHECK(status == PFL_STATUS_OUT_OF_RANGE &&
            strstr(error.message, "block_table[1, 1] is 8"),
        "%d, %s", status, error.message);
  args.rows.lengths = (int32_t[]){1, 16};
  status = device_cache_decode(cache, &args, &error);
  CHECK(!status, "%s", error.message);
  device_cache_destroy(cache);
  device_close(&slice);
}

/* A chip that stops in the middle of an append. */
static void test_lost(void) {
  static const int32_t table[] = {0, 1, -1, 2, 3, -1};
  CHECK_NEED(!setenv("PFLASH_SIM_STEP_LIMIT", "50", 1));
  open_slice();
  CHECK_NEED(!unsetenv("PFLASH_SIM_STEP_LIMIT"));
  device_cache *cache = small_cache();
  for (int i = 0; i < 2; i++) {
    pfl_status status =
        add(cache, (int32_t[]){0, 0}, (int32_t[]){20, 3}, table, NULL);
    CHECK(status == PFL_STATUS_FAILED_PRECONDITION &&
              strstr(error.message, i ? "was lost" : "endless"),
          "%d, %s", status, error.message);
  }
  device_cache_destroy(cache);
  device_close(&slice);
}

int main(void) {
  CHECK_NEED(!setenv("PFLASH_CACHE", "", 1));
  int failed = CHECK_RUN(test_any, test_copied_page, test_refusals, test_lost);
  call_print_worst();
  call_contexts_destroy();
  return failed;
}
