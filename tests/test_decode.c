/* Decode of every instruction set against the fp64 reference, within bounds
 * that docs/numerics.md derives. Groups times positions reach from 1 to 256
 * rows, so that both ways through src/cpu/decode.c are taken. */
#include "decode_case.h"

static void check_every_isa(decode_case *c) {
  size_t length = strlen(call_text);
  for (int isa = PFL_ISA_PORTABLE; isa <= (int)pfl_isa_best(); isa++) {
    int threads = (int)check_between(1, 5);
    snprintf(call_text + length, sizeof call_text - length, " %s x %d",
             pfl_isa_name((pfl_isa)isa), threads);
    decode_call(c, call_context((pfl_isa)isa, threads));
    decode_check(c, decode_pairs(c, (pfl_isa)isa));
    guarded_check();
  }
}

static void test_grid(void) {
  int cases = check_cases(400);
  for (int round = 0; round < cases; round++) {
    decode_options options = decode_random_options(round);
    decode_case c = decode_make(decode_draw(&options, 5e6, 1600), &options);
    check_every_isa(&c);
    decode_free(&c);
  }
}

/* Caches long enough to be cut into many parts, with scores of every size whose
 * largest may be in any of them. */
static void test_many_parts(void) {
  static const double magnitudes[] = {1e-6, 1e-3, 1, 30, 1000};
  int cases = check_cases(90);
  for (int round = 0; round < cases; round++) {
    decode_options options = decode_random_options(round);
    options.call.pattern = (call_pattern)(round % CALL_PATTERNS);
    options.call.magnitude = magnitudes[round % COUNT(magnitudes)];
    int64_t tokens = check_between(2000, 20000), page = check_between(1, 300);
    pfl_decode d = {
        .struct_size = sizeof d,
        .batch = 1,
        .q_heads = round % 3 ? 2 : 9,
        .kv_heads = 1,
        .q_length = 1,
        .head_dim = check_between(1, 6),
        .dtype = options.call.dtype,
        .cache_dtype = options.int8 ? PFL_DTYPE_I8 : PFL_DTYPE_DEFAULT,
        .cache_length = options.paged ? 0 : tokens,
        .page_length = options.paged ? page : 0,
        .pages_per_sequence = options.paged ? base_ceil_div(tokens, page) : 0,
        .page_count = options.paged ? base_ceil_div(tokens, page) + 1 : 0};
    options.full = round % 2;
    decode_case c = decode_make(d, &options);
    check_every_isa(&c);
    decode_free(&c);
  }
}

/* No token at all: zeros and -inf, and nothing read. */
static void test_empty_caches(void) {
  for (int round = 0; round < 24; round++) {
    decode_options options = decode_random_options(round);
    decode_case c = decode_make(decode_draw(&options, 1e5, 100), &options);
    const attention_decode_problem *p = &c.problem;
    for (int64_t b = 0; b < p->B; b++) c.lengths[b] = 0;
    memset(c.q, 0xff, (size_t)(c.rows * p->D) * pfl_dtype_size(p->dtype));
    decode_run_reference(&c);
    check_every_isa(&c);
    for (int64_t i = 0; i < c.rows; i++)
      CHECK(c.lse[i] == -INFINITY, "lse[%d] is %g; %s", (int)i, c.lse[i],
            call_text);
    decode_free(&c);
  }
}

/* Row `row` of q is NaN: no other row changes by a bit. */
static void check_nan_in_row(decode_case *c, pfl_context *context,
                             int64_t row) {
  const attention_decode_problem *p = &c->problem;
  size_t size = pfl_dtype_size(p->dtype), bytes = (size_t)p->Dv * size;
  char *before = case_allocate(c->rows, bytes), *o = c->o;
  decode_call(c, context);
  memcpy(before, o, (size_t)c->rows * bytes);
  bool empty = c->lse[row] == -INFINITY;
  memset(
      (char *)c->q + (size_t)(row * p->D + check_between(0, p->D - 1)) * size,
      0xff, size);
  decode_call(c, context);
  for (int64_t i = 0; i < c->rows; i++)
    if (i != row)
      CHECK(!memcmp(o + (size_t)i * bytes, before + (size_t)i * bytes, bytes) &&
                !isnan(c->lse[i]),
            "row %d has changed with row %d; %s", (int)i, (int)row, call_text);
  CHECK(empty ? c->lse[row] == -INFINITY : isnan(c->lse[row]),
        "lse[%d] is %g; %s", (int)row, c->lse[row], call_text);
  for (int64_t d = row * p->Dv; d < (row + 1) * p->Dv; d++) {
    float x = base_element_get(o, p->dtype, d);
    CHECK(empty ? x == 0 : isnan(x), "row %d: o is %g; %s", (int)row, x,
          call_text);
  }
  free(before);
}

static void test_nan_in_a_query(void) {
  int cases = check_cases(96);
  for (int round = 0; round < cases; round++) {
    decode_options options = decode_random_options(round);
    decode_case c = decode_make(decode_draw(&options, 1e6, 1600), &options);
    pfl_isa isa = (pfl_isa)check_between(PFL_ISA_PORTABLE, pfl_isa_best());
    check_nan_in_row(&c, call_context(isa, (int)check_between(1, 5)),
                     check_between(0, c.rows - 1));
    decode_free(&c);
  }
}

int main(void) {
  int failed = CHECK_RUN(test_grid, test_many_parts, test_empty_caches,
                         test_nan_in_a_query);
  call_print_worst();
  call_contexts_destroy();
  return failed;
}
