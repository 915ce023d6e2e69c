/* Backward of every instruction set against the fp64 reference, within bounds
 * that docs/numerics.md derives; o and lse are those that forward gave. */
#include "call_case.h"

static void forget_gradients(const call_case *c) {
  const attention_problem *p = &c->exact.problem;
  size_t size = pfl_dtype_size(p->dtype);
  memset(c->dq, 0xff, (size_t)(c->rows * p->D) * size);
  memset(c->dk, 0xff, (size_t)(c->keys * p->D) * size);
  memset(c->dv, 0xff, (size_t)(c->keys * p->Dv) * size);
  memset(c->dsinks, 0xff, (size_t)p->Hq * sizeof *c->dsinks);
}

/* Every instruction set, on one thread (whole heads) and on some (whole or
 * split, as the heads divide). */
static void check_every_isa(call_case *c) {
  const attention_problem *p = &c->exact.problem;
  size_t length = strlen(call_text);
  case_forward(&c->exact);
  case_backward(&c->exact);
  for (int isa = PFL_ISA_PORTABLE; isa <= (int)pfl_isa_best(); isa++) {
    int threads = (int)check_between(1, 5);
    pfl_context *context = call_context((pfl_isa)isa, threads);
    snprintf(call_text + length, sizeof call_text - length, " %s x %d",
             pfl_isa_name((pfl_isa)isa), threads);
    forget_gradients(c);
    call_forward(c, context);
    call_backward(c, context);
    call_check_backward(c, call_pairs((pfl_isa)isa, p->dtype));
    guarded_check();
  }
}

static void test_grid(void) {
  int cases = check_cases(240);
  for (int round = 0; round < cases; round++) {
    call_case c = call_random_backward(round, 4e6);
    check_every_isa(&c);
    call_free(&c);
  }
}

/* dLSE of a row that sees no key is not looked at. */
static void spoil_unseeing(call_case *c) {
  const attention_problem *p = &c->exact.problem;
  for (int64_t row = 0; row < c->rows; row++) {
    int64_t seen = 0;
    for (int64_t j = 0; j < p->Sk; j++)
      seen += case_row_sees(&c->exact, row / p->Sq / p->Hq, row % p->Sq, j);
    if (!seen) c->d_lse[row] = NAN;
  }
}

/* Rows that see nothing and keys that nobody sees get zeros: bounds of 0. */
static void test_unseen_is_zero(void) {
  int cases = check_cases(60);
  for (int round = 0; round < cases; round++) {
    call_options options = {.dtype = call_dtypes[round % 3],
                            .magnitude = 1,
                            .sinks = round % 2 == 0,
                            .d_lse = true};
    pfl_attention a = {
        .struct_size = sizeof a,
        .batch = 1,
        .q_heads = 2,
        .kv_heads = 1,
        .q_length = round % 5 ? check_between(60, 200) : 0,
        .kv_length = round % 4 ? check_between(1, 200) : 0,
        .head_dim = check_between(1, 40),
        .dtype = options.dtype,
        .scoring = {.windowed = 1, .window_left = 5, .window_right = 0}};
    call_case c = call_make(a, &options);
    spoil_unseeing(&c);
    check_every_isa(&c);
    call_free(&c);
  }
}

/* A NaN in dO reaches dq of its own row and no other row's. */
static void check_nan_in_row(call_case *c, pfl_context *context, int64_t row) {
  const attention_problem *p = &c->exact.problem;
  size_t size = pfl_dtype_size(p->dtype), bytes = (size_t)p->D * size;
  char *before = case_allocate(c->rows, bytes), *dq = c->dq;
  call_forward(c, context);
  call_backward(c, context);
  memcpy(before, dq, (size_t)c->rows * bytes);
  bool empty = c->lse[row] == -INFINITY;
  memset((char *)c->d_o +
             (size_t)(row * p->Dv + check_between(0, p->Dv - 1)) * size,
         0xff, size);
  call_backward(c, context);
  for (int64_t i = 0; i < c->rows; i++)
    if (i != row)
      CHECK(!memcmp(dq + (size_t)i * bytes, before + (size_t)i * bytes, bytes),
            "dq of row %d has changed with row %d; %s", (int)i, (int)row,
            call_text);
  for (int64_t d = row * p->D; !empty && d < (row + 1) * p->D; d++)
    CHECK(isnan(base_element_get(dq, p->dtype, d)), "dq of row %d is %g; %s",
          (int)row, base_element_get(dq, p->dtype, d), call_text);
  free(before);
}

static void test_nan_in_d_o(void) {
  int cases = check_cases(96);
  for (int round = 0; round < cases; round++) {
    call_case c = call_random_backward(round, 1e6);
    pfl_isa isa = (pfl_isa)check_between(PFL_ISA_PORTABLE, pfl_isa_best());
    if (c.rows > 0)
      check_nan_in_row(&c, call_context(isa, (int)check_between(1, 5)),
                       check_between(0, c.rows - 1));
    call_free(&c);
  }
}

/* dsinks is given if it is wanted, and the rest does not depend on that. */
static void test_dsinks_not_wanted(void) {
  call_options options = {
      .dtype = PFL_DTYPE_F32, .magnitude = 1, .sinks = true};
  pfl_attention a = {.struct_size = sizeof a,
                     .batch = 2,
                     .q_heads = 2,
                     .kv_heads = 1,
                     .q_length = 70,
                     .kv_length = 101,
                     .head_dim = 24};
  call_case c = call_make(a, &options);
  pfl_context *context = call_context(pfl_isa_best(), 2);
  call_forward(&c, context);
  call_backward(&c, context);
  double *dq = reference_widen(c.dq, PFL_DTYPE_F32, c.rows * 24);
  forget_gradients(&c);
  pfl_backward_args args = {.struct_size = sizeof args,
                            .q = c.q,
                            .k = c.k,
                            .v = c.v,
                            .o = c.o,
                            .lse = c.lse,
                            .d_o = c.d_o,
                            .sinks = c.sinks,
                            .out_dq = c.dq,
                            .out_dk = c.dk,
                            .out_dv = c.dv};
  CHECK_NEED(!pfl_attention_backward(context, &a, &args, NULL));
  call_compare("dq", c.dq, PFL_DTYPE_F32, dq, NULL, c.rows * 24);
  CHECK(guarded_is_untouched(c.dsinks, 2 * sizeof(float)), "dsinks written");
  free(dq);
  call_free(&c);
}

int main(void) {
  int failed = CHECK_RUN(test_grid, test_unseen_is_zero, test_nan_in_d_o,
                         test_dsinks_not_wanted);
  call_print_worst();
  call_contexts_destroy();
  return failed;
}
