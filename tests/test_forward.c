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

/* Whatever v holds, a row that sees no key is 0, also where it shares a panel
 * with rows that see some: here the first 80 rows see none. */
static void test_empty_rows_with_nan_values(void) {
  for (int round = 0; round < 12; round++) {
    call_options options = {.dtype = call_dtypes[round % 3], .magnitude = 1};
    pfl_attention a = {.struct_size = sizeof a,
                       .batch = 1,
                       .q_heads = 1,
                       .kv_heads = 1,
                       .q_length = 150,
                       .kv_length = 70,
                       .head_dim = 16 + round,
                       .dtype = options.dtype,
                       .scoring = {.causal = 1}};
    call_case c = call_make(a, &options);
    const attention_problem *p = &c.exact.problem;
    memset(c.v, 0xff, (size_t)(c.keys * p->Dv) * pfl_dtype_size(p->dtype));
    for (int isa = PFL_ISA_PORTABLE; isa <= (int)pfl_isa_best(); isa++) {
      call_forward(&c, call_context((pfl_isa)isa, 2));
      for (int64_t i = 0; i < c.rows; i++) {
        float x = base_element_get(c.o, p->dtype, i * p->Dv + round);
        CHECK(i < 80 ? x == 0 && c.lse[i] == -INFINITY : isnan(x),
              "row %d: o %g, lse %g; %s", (int)i, x, c.lse[i], call_text);
      }
    }
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

/* Rows that `poisoned` marks must now be NaN, unless they see no key, and no
 * other row may have changed by a bit. */
static void check_poisoned(const call_case *c, const char *o, const float *lse,
                           const bool *poisoned) {
  const attention_problem *p = &c->exact.problem;
  size_t bytes = (size_t)p->Dv * pfl_dtype_size(p->dtype);
  for (int64_t i = 0; i < c->rows; i++) {
    const char *row = (const char *)c->o + (size_t)i * bytes;
    bool nan = poisoned[i] && lse[i] != -INFINITY;
    for (int64_t d = 0; nan && d < p->Dv; d++)
      CHECK(isnan(base_element_get(row, p->dtype, d)), "o[%d][%d] is %g; %s",
            (int)i, (int)d, base_element_get(row, p->dtype, d), call_text);
    CHECK(nan ? isnan(c->lse[i]) : c->lse[i] == lse[i],
          "lse[%d] is %g and was %g; %s", (int)i, c->lse[i], lse[i], call_text);
    CHECK(nan || !memcmp(row, o + (size_t)i * bytes, bytes),
          "row %d of o has changed; %s", (int)i, call_text);
  }
}

/* Calls, puts NaN into an element of row `row` of `tensor`, calls again. */
static void check_nan(call_case *c, void *tensor, int64_t row,
                      const bool *poisoned) {
  const attention_problem *p = &c->exact.problem;
  pfl_isa isa = (pfl_isa)check_between(PFL_ISA_PORTABLE, pfl_isa_best());
  pfl_context *context = call_context(isa, (int)check_between(1, 5));
  size_t size = pfl_dtype_size(p->dtype);
  char *o = case_allocate(c->rows * p->Dv, size);
  float *lse = case_allocate(c->rows, sizeof *lse);
  int64_t element = row * p->D + check_between(0, p->D - 1);
  call_forward(c, context);
  memcpy(o, c->o, (size_t)(c->rows * p->Dv) * size);
  memcpy(lse, c->lse, (size_t)c->rows * sizeof *lse);
  memset((char *)tensor + (size_t)element * size, 0xff, size);
  call_forward(c, context);
  check_poisoned(c, o, lse, poisoned);
  free(o);
  free(lse);
}

/* A NaN in a query stays in its row; one in a key reaches those that see it. */
static void test_nan_in_a_row(void) {
  int cases = check_cases(160);
  for (int round = 0; round < cases; round++) {
    call_case c = call_random(round, 1e6);
    const attention_problem *p = &c.exact.problem;
    bool *poisoned = case_allocate(c.rows, sizeof *poisoned);
    bool in_key = check_between(0, 1);
    int64_t row = check_between(0, base_max(0, (in_key ? c.keys : c.rows) - 1));
    for (int64_t i = 0; i < c.rows; i++) {
      int64_t head = i / p->Sq, b = head / p->Hq;
      poisoned[i] =
          !in_key ? i == row
                  : p->Sk && head / p->group == row / p->Sk &&
                        case_row_sees(&c.exact, b, i % p->Sq, row % p->Sk);
    }
    if (in_key ? c.keys : c.rows)
      check_nan(&c, in_key ? c.k : c.q, row, poisoned);
    free(poisoned);
    call_free(&c);
  }
}

int main(void) {
  int failed = CHECK_RUN(test_grid, test_running_maximum, test_empty_rows,
                         test_empty_rows_with_nan_values, test_lse_not_wanted,
                         test_nan_in_a_row);
  call_print_worst();
  call_contexts_destroy();
  return failed;
}
