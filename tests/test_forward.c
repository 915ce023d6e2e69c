/* Forward of every instruction set against the fp64 reference, within bounds
 * that docs/numerics.md derives. */
#include "call_case.h"

/* Every instruction set, on some threads; results are NaN before each call. */
static void check_every_isa(call_case *c) {
  const attention_problem *p = &c->exact.problem;
  size_t length = strlen(call_text);
  case_forward(&c->exact);
  for (int isa = PFL_ISA_PORTABLE; isa <= (int)pfl_isa_best(); isa++) {
    int threads = (int)check_between(1, 5);
    snprintf(call_text + length, sizeof call_text - length, " %s x %d",
             pfl_isa_name((pfl_isa)isa), threads);
    memset(c->o, 0xff, (size_t)(c->rows * p->Dv) * pfl_dtype_size(p->dtype));
    memset(c->lse, 0xff, (size_t)c->rows * sizeof *c->lse);
    call_forward(c, call_context((pfl_isa)isa, threads));
    call_check_forward(c, call_pairs((pfl_isa)isa, p->dtype));
    guarded_check();
  }
}

static void test_grid(void) {
  int cases = check_cases(240);
  for (int round = 0; round < cases; round++) {
    call_case c = call_random(round, 1e7);
    check_every_isa(&c);
    call_free(&c);
  }
}

/* A few queries against many blocks of keys, so that the maximum moves often or
 * must be remembered long, at every size of scores. */
static void test_running_maximum(void) {
  static const double magnitudes[] = {1e-6, 1e-3, 1, 30, 1000};
  int cases = check_cases(CALL_PATTERNS * COUNT(magnitudes) * 3);
  for (int round = 0; round < cases; round++) {
    call_options options = {
        .dtype = call_dtypes[check_between(0, 2)],
        .pattern = (call_pattern)(round % CALL_PATTERNS),
        .magnitude = magnitudes[round / CALL_PATTERNS % COUNT(magnitudes)]};
    pfl_attention a = {.struct_size = sizeof a,
                       .batch = 1,
                       .q_heads = 1,
                       .kv_heads = 1,
                       .q_length = check_between(1, 5),
                       .kv_length = check_between(400, 2000),
                       .head_dim = check_between(2, 20),
                       .dtype = options.dtype};
    call_case c = call_make(a, &options);
    check_every_isa(&c);
    call_free(&c);
  }
}

/* No keys, or fewer keys than queries, or windows that pass the keys by: zeros
 * and -inf exactly, the bounds there being 0. */
static void test_empty_rows(void) {
  static const int64_t windows[][2] = {{0, 0}, {-1, 0}, {0, -1}, {2, 3}};
  int cases = check_cases(60);
  for (int round = 0; round < cases; round++) {
    call_options options = {.dtype = call_dtypes[round % 3],
                            .magnitude = 1,
                            .sinks = round % 2 == 0};
    const int64_t *window = PICK(windows);
    pfl_attention a = {
        .struct_size = sizeof a,
        .batch = 1,
        .q_heads = 2,
        .kv_heads = 1,
        .q_length = check_between(60, 200),
        .kv_length = round % 4 ? check_between(1, 70) : 0,
        .head_dim = check_between(1, 40),
        .dtype = options.dtype,
        .scoring = {.windowed = 1,
                    .window_left = window[0],
                    .window_right = window[1]},
    };
    call_case c = call_make(a, &options);
    check_every_isa(&c);
    call_free(&c);
  }
}

static void test_lse_not_wanted(void) {
  call_options options = {.dtype = PFL_DTYPE_F32, .magnitude = 1};
  pfl_attention a = {.struct_size = sizeof a,
                     .batch = 2,
                     .q_heads = 2,
                     .kv_heads = 1,
                     .q_length = 70,
                     .kv_length = 101,
                     .head_dim = 24};
  call_case c = call_make(a, &options);
  float *lse = c.lse;
  call_forward(&c, call_context(pfl_isa_best(), 2));
  double *o = reference_widen(c.o, PFL_DTYPE_F32, c.rows * 24);
  memset(c.o, 0xff, (size_t)(c.rows * 24) * sizeof(float));
  c.lse = NULL;
  call_forward(&c, call_context(pfl_isa_best(), 2));
  c.lse = lse;
  call_compare("o", c.o, PFL_DTYPE_F32, o, NULL, c.rows * 24);
  free(o);
  call_free(&c);
}

/* A NaN in a query makes its row NaN, unless the row sees no key, and no other
 * row is changed by a bit. */
static void check_nan_in_row(call_case *c, pfl_context *context, int64_t row) {
  const attention_problem *p = &c->exact.problem;
  size_t size = pfl_dtype_size(p->dtype), bytes = (size_t)p->Dv * size;
  size_t whole = (size_t)c->rows * bytes;
  char *before = case_allocate((int64_t)whole, 1), *o = c->o;
  call_forward(c, context);
  memcpy(before, o, whole);
  bool empty = c->lse[row] == -INFINITY;
  memset(
      (char *)c->q + (size_t)(row * p->D + check_between(0, p->D - 1)) * size,
      0xff, size);
  call_forward(c, context);
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
    call_case c = call_random(round, 1e6);
    pfl_isa isa = (pfl_isa)check_between(PFL_ISA_PORTABLE, pfl_isa_best());
    if (c.rows > 0)
      check_nan_in_row(&c, call_context(isa, (int)check_between(1, 5)),
                       check_between(0, c.rows - 1));
    call_free(&c);
  }
}

int main(void) {
  int failed = CHECK_RUN(test_grid, test_running_maximum, test_empty_rows,
                         test_lse_not_wanted, test_nan_in_a_query);
  call_print_worst();
  call_contexts_destroy();
  return failed;
}
