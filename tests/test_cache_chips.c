/* The cache of sequences on simulated chips, one and four: the same object
 * holds the same tokens as on the CPU, bit for bit, and decode is within what
 * docs/numerics.md derives of fp64. What fails leaves it as it was. */
#include "cache_steps.h"
#include "decode_case.h"
#include "directory.h"

/* What docs/numerics.md says of a row's end on a chip. */
enum { CHIP_END = 4 };

static pfl_context *open_chips(int32_t chips) {
  pfl_context_options options = {.struct_size = sizeof options,
                                 .threads = 2,
                                 .device = PFL_DEVICE_SIM,
                                 .chips = chips};
  pfl_context *context = NULL;
  pfl_status status = pfl_context_create(&options, &context, &cache_error);
  CHECK(!status, "%s", cache_error.message);
  CHECK_NEED(!status);
  return context;
}

/* ---- Results against the copy's in fp64 ------------------------------------
 */

static double *widen_rows(const cache_case *c, const int *which, int64_t batch,
                          bool values) {
  int64_t width = values ? c->Dv : c->D, at = 0;
  double *wide = call_zeros(batch * c->Hkv * PLAIN_TOKENS * width);
  for (int64_t b = 0; b < batch; b++)
    for (int64_t head = 0; head < c->Hkv; head++)
      for (int64_t t = 0; t < PLAIN_TOKENS; t++) {
        const plain_sequence *s = &c->plain[which[b]];
        const plain_row *row = &(values ? s->v : s->k)[t * c->Hkv + head];
        bool scaled = c->cache_dtype == PFL_DTYPE_I8;
        for (int64_t d = 0; d < width; d++, at++)
          if (t < s->length)
            wide[at] = (double)base_element_get(row->bytes, c->cache_dtype, d) *
                       (scaled ? (double)row->scale : 1);
      }
  return wide;
}

static void compare_bounds(const cache_case *c, const int *which,
                           const pfl_cache_decode_args *args) {
  bool bf16 = c->dtype == PFL_DTYPE_BF16;
  bool integers = bf16 && c->cache_dtype == PFL_DTYPE_I8;
  int32_t lengths[PLAIN_SEQUENCES];
  decode_case d = {.decode = {.struct_size = sizeof d.decode,
                              .batch = args->batch,
                              .q_heads = args->q_heads,
                              .kv_heads = c->Hkv,
                              .q_length = args->q_length,
                              .head_dim = c->D,
                              .v_head_dim = c->Dv,
                              .cache_length = PLAIN_TOKENS,
                              .dtype = c->dtype,
                              .cache_dtype = c->cache_dtype,
                              .scoring = args->scoring},
                   .lengths = lengths,
                   .o = args->out_o,
                   .lse = args->out_lse,
                   .end = CHIP_END,
                   .q_rounding = integers ? (0.5 + 0.01) / 16256 : 0};
  CHECK_NEED(!attention_decode_problem_init(&d.decode, &d.problem, NULL));
  d.rows = args->batch * args->q_heads * args->q_length;
  for (int64_t b = 0; b < args->batch; b++)
    lengths[b] = (int32_t)c->plain[which[b]].length;
  d.exact_q = call_zeros(d.rows * c->D);
  for (int64_t i = 0; i < d.rows * c->D; i++)
    d.exact_q[i] = base_element_get(args->q, c->dtype, i);
  d.exact_k = widen_rows(c, which, args->batch, false);
  d.exact_v = widen_rows(c, which, args->batch, true);
  d.exact_o = call_zeros(d.rows * c->Dv);
  d.exact_lse = call_zeros(d.rows);
  decode_run_reference(&d);
  decode_check(&d, bf16);
  double *arrays[] = {d.exact_q, d.exact_k, d.exact_v, d.exact_o, d.exact_lse};
  for (int i = 0; i < COUNT(arrays); i++) free(arrays[i]);
}

/* ---- Soak ------------------------------------------------------------------
 */

typedef struct chip_cache_case {
  int32_t chips;
  bool spread; /* by pages: chips do not divide the heads */
  pfl_cache_options options;
} chip_cache_case;

static const chip_cache_case soaked[] = {{1,
                                          false,
                                          {.kv_heads = 1,
                                           .head_dim = 16,
                                           .v_head_dim = 8,
                                           .page_length = 16,
                                           .page_count = 30,
                                           .sequence_count = 8}},
                                         {4,
                                          false,
                                          {.kv_heads = 4,
                                           .head_dim = 16,
                                           .dtype = PFL_DTYPE_BF16,
                                           .page_length = 16,
                                           .page_count = 30,
                                           .sequence_count = 8}},
                                         {4,
                                          true,
                                          {.kv_heads = 2,
                                           .head_dim = 16,
                                           .dtype = PFL_DTYPE_BF16,
                                           .page_length = 16,
                                           .page_count = 41,
                                           .sequence_count = 8}}};

/* What chips hold is a file that a CPU reads, and the other way. */
static void move_through_file(cache_case *c, pfl_context *to) {
  pfl_cache *loaded = NULL;
  CACHE_OK(pfl_cache_save(c->cache, in_directory("cache"), &cache_error));
  CACHE_OK(pfl_cache_load(to, &c->options, in_directory("cache"), &loaded,
                          &cache_error));
  CHECK_NEED(loaded && !remove(in_directory("cache")));
  pfl_cache_destroy(c->cache);
  c->cache = loaded;
  c->context = to;
  plain_compare(c);
}

static void soak(const chip_cache_case *soaked_case, int number, int steps) {
  pfl_context *chips = open_chips(soaked_case->chips);
  pfl_cache_options options = soaked_case->options;
  options.sequence_length = PLAIN_TOKENS;
  cache_case c = cache_case_make(chips, options);
  c.few_shapes = true;
  c.spread = soaked_case->spread;
  for (int step = 0; step < steps; step++) {
    snprintf(call_text, sizeof call_text, "cache %d, step %d", number, step);
    step_any(&c, compare_bounds);
    if (step % 20 == 0) plain_compare(&c);
  }
  move_through_file(&c, call_context(pfl_isa_best(), 2));
  for (int step = 0; step < steps; step++) step_any(&c, step_compare_bits);
  move_through_file(&c, chips);
  for (int step = 0; step < steps / 4; step++) step_any(&c, compare_bounds);
  plain_compare(&c);
  cache_case_free(&c);
  pfl_context_destroy(chips);
}

static void test_soak(void) {
  int steps = check_cases(120) / COUNT(soaked);
  for (int i = 0; i < COUNT(soaked); i++) soak(&soaked[i], i, steps);
}

/* ---- Failures --------------------------------------------------------------
 */

/* A step whose tokens are written and whose attention then fails, of sequences
 * that share the page they write to. */
static void test_taken_back(void) {
  pfl_context *chips = open_chips(1);
  pfl_cache_options options = soaked[0].options;
  cache_case c = cache_case_make(chips, options);
  pfl_sequence names[2] = {0};
  CACHE_OK(pfl_sequence_create(c.cache, &names[0], &cache_error));
  c.plain[0].name = names[0];
  for (int round = 0; round < 2; round++) {
    int64_t T = round ? 2 : 12, B = 1 + round;
    pfl_cache_append_args args = {.struct_size = sizeof args,
                                  .batch = B,
                                  .length = T,
                                  .sequences = names,
                                  .k = plain_numbers(B * T * c.D, c.dtype),
                                  .v = plain_numbers(B * T * c.Dv, c.dtype)};
    CACHE_OK(pfl_cache_append(c.cache, &args, &cache_error));
    for (int b = 0; b < B; b++) plain_append(&c, b, b, T, args.k, args.v);
    if (round) break;
    CACHE_OK(pfl_sequence_fork(c.cache, names[0], 0, &names[1], &cache_error));
    c.plain[1].name = names[1];
  }
  /* the second becomes a fork of the first, shorter, in the same page */
  CACHE_OK(pfl_sequence_destroy(c.cache, names[1], &cache_error));
  CACHE_OK(pfl_sequence_fork(c.cache, names[0], 5, &names[1], &cache_error));
  c.plain[1].name = names[1];
  c.plain[1].length = 5;
  memcpy(c.plain[1].k, c.plain[0].k, 5 * sizeof(plain_row));
  memcpy(c.plain[1].v, c.plain[0].v, 5 * sizeof(plain_row));
  pfl_cache_usage before = cache_usage(&c);
  float *o = guarded_allocate(2 * 2 * c.Dv, sizeof *o);
  pfl_cache_decode_args args = {.struct_size = sizeof args,
                                .batch = 2,
                                .q_heads = 1,
                                .q_length = 2,
                                .sequences = names,
                                .q = plain_numbers(4 * c.D, c.dtype),
                                .k = plain_numbers(4 * c.D, c.dtype),
                                .v = plain_numbers(4 * c.Dv, c.dtype),
                                .out_o = o};
  CHECK_NEED(!setenv("PFLASH_COMPILER", "no/such/compiler", 1));
  case_expect(pfl_cache_decode(c.cache, &args, &cache_error), &cache_error,
              PFL_STATUS_NOT_FOUND, "PFLASH_COMPILER");
  CHECK_NEED(!unsetenv("PFLASH_COMPILER"));
  CHECK(guarded_is_untouched(o, (size_t)(4 * c.Dv) * sizeof *o), "o");
  step_check_unchanged(&c, &before);
  CACHE_OK(pfl_cache_decode(c.cache, &args, &cache_error));
  for (int b = 0; b < 2; b++) plain_append(&c, b, b, 2, args.k, args.v);
  plain_compare(&c);
  guarded_release();
  cache_case_free(&c);
  pfl_context_destroy(chips);
}

static void test_no_kernel(void) {
  pfl_context *chips = open_chips(0);
  pfl_cache_options options = soaked[0].options;
  pfl_cache *cache = NULL;
  options.struct_size = sizeof options;
  options.dtype = PFL_DTYPE_F16;
  case_expect(pfl_cache_create(chips, &options, &cache, &cache_error),
              &cache_error, PFL_STATUS_INVALID_ARGUMENT, "f16");
  options.dtype = PFL_DTYPE_F32;
  options.page_length = 12;
  case_expect(pfl_cache_create(chips, &options, &cache, &cache_error),
              &cache_error, PFL_STATUS_INVALID_ARGUMENT, "page");
  CHECK(!cache, "a cache without a kernel");
  pfl_context_destroy(chips);
}

int main(void) {
  CHECK_NEED(!setenv("PFLASH_CACHE", "", 1));
  directory_make();
  int failed = CHECK_RUN(test_soak, test_taken_back, test_no_kernel);
  call_contexts_destroy();
  directory_remove();
  return failed;
}
