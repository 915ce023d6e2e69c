/* The reference forward and decode: examples worked by hand, an independent
 * formula with an explicit mask, and what attention must satisfy. */
#include "attention_case.h"

/* One head, one query q = 1, scale 1, so that the keys are the scores. */
static attention_problem scores_problem(int64_t keys) {
  return (attention_problem){
      .B = 1,
      .Hq = 1,
      .Hkv = 1,
      .Sq = 1,
      .Sk = keys,
      .D = 1,
      .Dv = 1,
      .group = 1,
      .offset = keys - 1,
      .scale = 1,
      .window = {ATTENTION_OPEN, ATTENTION_OPEN},
  };
}

static void check_example(const attention_problem *problem, const double *k,
                          const double *v, const double *sinks, double o,
                          double lse) {
  double q = 1, got_o = NAN, got_lse = NAN;
  CHECK_NEED(reference_forward(problem,
                               &(reference_forward_args){.q = &q,
                                                         .k = k,
                                                         .v = v,
                                                         .sinks = sinks,
                                                         .out_o = &got_o,
                                                         .out_lse = &got_lse}));
  /* 1e-14 is 45 roundings, more than there are */
  CHECK(fabs(got_o - o) <= 1e-14 * fabs(o), "o is %.17g, not %.17g", got_o, o);
  CHECK(fabs(got_lse - lse) <= 1e-14 * fabs(lse), "lse is %.17g, not %.17g",
        got_lse, lse);
}

static void test_by_hand(void) {
  const double ln2 = 0.69314718055994531, ln5 = 1.6094379124341003,
               ln8 = 2.0794415416798357, ln3 = 1.0986122886681098;
  attention_problem p = scores_problem(3);
  const double k[] = {0, ln2, ln5}, v[] = {8, 16, 24};
  /* p = 1/8, 2/8, 5/8; with a sink of 8 that is halved */
  check_example(&p, k, v, NULL, 20, ln8);
  check_example(&p, k, v, &ln8, 10, 2.7725887222397811);
  /* a sink that outweighs every key: p is e^-998 and less */
  check_example(&p, k, v, &(double){1000}, 0, 1000);
  /* the running maximum: first, in between, last; 1000 + ln 2 */
  check_example(&p, (double[]){1000, -1000, 1000}, v, NULL, 16,
                1000.69314718055994531);
  check_example(&p, (double[]){-1000, 1000, 999}, (double[]){1, 0, 1}, NULL,
                0.26894142136999512, 1000.3132616875182);
  /* 2 tanh(ln 3 / 2) = 1, so that p = 1 / (1 + e), e / (1 + e) */
  p = scores_problem(2);
  p.softcap = 2;
  check_example(&p, (double[]){0, ln3}, (double[]){0, 1}, NULL,
                0.73105857863000488, 1.3132616875182228);
}

/* attention.h in one formula, the sums not shifted by a maximum. */
static void naive_row(const attention_case *c, int64_t b, int64_t h, int64_t i,
                      double *out_o, double *out_lse) {
  const attention_problem *p = &c->problem;
  int64_t kv = b * p->Hkv + h / (p->Hq / p->Hkv);
  double sum = 0;
  memset(out_o, 0, (size_t)p->Dv * sizeof *out_o);
  for (int64_t j = 0; j < p->Sk; j++) {
    if (!case_row_sees(c, b, i, j)) continue;
    double s = 0;
    for (int64_t d = 0; d < p->D; d++)
      s += c->q[((b * p->Hq + h) * p->Sq + i) * p->D + d] *
           c->k[(kv * p->Sk + j) * p->D + d];
    s *= c->attention.scoring.scale;
    double cap = c->attention.scoring.softcap;
    double weight = exp(cap > 0 ? cap * tanh(s / cap) : s);
    sum += weight;
    for (int64_t d = 0; d < p->Dv; d++)
      out_o[d] += weight * c->v[(kv * p->Sk + j) * p->Dv + d];
  }
  if (sum > 0 && c->sinks) sum += exp(c->sinks[h]);
  *out_lse = log(sum);
  for (int64_t d = 0; sum > 0 && d < p->Dv; d++) out_o[d] /= sum;
}

/* Scores of a case are below |scale| D <= D. */
static void test_against_explicit_mask(void) {
  for (unsigned round = 0; round < 640; round++) {
    attention_case c = case_random(round % (CASE_ALL + 1));
    const attention_problem *p = &c.problem;
    double tolerance = 2 * case_tolerance(p, (double)p->D);
    case_forward(&c);
    for (int64_t row = 0; row < p->B * p->Hq * p->Sq; row++) {
      double o[5], lse;
      naive_row(&c, row / p->Sq / p->Hq, row / p->Sq % p->Hq, row % p->Sq, o,
                &lse);
      case_compare("o", c.o + row * p->Dv, o, p->Dv, tolerance);
      case_compare("lse", c.lse + row, &lse, 1, tolerance);
    }
    case_free(&c);
  }
}

/* Puts vector order[j] of each of `heads` heads in place j. */
static void permute(double *array, int64_t heads, const int64_t *order,
                    int64_t keys, int64_t length) {
  size_t bytes = (size_t)(heads * keys * length) * sizeof *array;
  double *old = case_allocate(heads * keys * length, sizeof *old);
  memcpy(old, array, bytes);
  for (int64_t h = 0; h < heads; h++)
    for (int64_t j = 0; j < keys; j++)
      memcpy(array + (h * keys + j) * length,
             old + (h * keys + order[j]) * length,
             (size_t)length * sizeof *array);
  free(old);
}

static void shuffle(int64_t *order, int64_t count) {
  for (int64_t i = 0; i < count; i++) order[i] = i;
  for (int64_t i = count - 1; i > 0; i--) {
    int64_t other = check_between(0, i), kept = order[i];
    order[i] = order[other];
    order[other] = kept;
  }
}

static double *copy(const double *array, int64_t count) {
  double *made = case_allocate(count, sizeof *made);
  memcpy(made, array, (size_t)count * sizeof *made);
  return made;
}

static void test_order_of_keys(void) {
  for (int round = 0; round < 200; round++) {
    attention_case c =
        case_random((unsigned)check_between(0, 1) * CASE_SOFTCAP + CASE_SINKS);
    const attention_problem *p = &c.problem;
    int64_t order[8], rows = p->B * p->Hq * p->Sq, heads = p->B * p->Hkv;
    shuffle(order, p->Sk);
    case_forward(&c);
    double *o = copy(c.o, rows * p->Dv), *lse = copy(c.lse, rows);
    permute(c.k, heads, order, p->Sk, p->D);
    permute(c.v, heads, order, p->Sk, p->Dv);
    case_forward(&c);
    double tolerance = 2 * case_tolerance(p, (double)p->D);
    case_compare("o", c.o, o, rows * p->Dv, tolerance);
    case_compare("lse", c.lse, lse, rows, tolerance);
    free(o);
    free(lse);
    case_free(&c);
  }
}

/* One more component, 1 in every q and `shift` in every k. */
static void test_shifted_scores(void) {
  for (unsigned round = 0; round < 200; round++) {
    attention_case c = case_random(round & (CASE_CAUSAL | CASE_WINDOW));
    attention_problem *p = &c.problem;
    int64_t rows = p->B * p->Hq * p->Sq, keys = p->B * p->Hkv * p->Sk;
    double shift = round % 2 ? 1000 : -1000, change = shift * p->scale;
    double tolerance = 2 * case_tolerance(p, 1010);
    for (int64_t i = 0; i < rows; i++) c.q[i * p->D] = 1;
    for (int64_t j = 0; j < keys; j++) c.k[j * p->D] = 0;
    case_forward(&c);
    double *o = copy(c.o, rows * p->Dv), *lse = copy(c.lse, rows);
    for (int64_t j = 0; j < keys; j++) c.k[j * p->D] = shift;
    for (int64_t i = 0; i < rows; i++) lse[i] += change;
    case_forward(&c);
    case_compare("o", c.o, o, rows * p->Dv, tolerance);
    case_compare("lse", c.lse, lse, rows, tolerance);
    free(o);
    free(lse);
    case_free(&c);
  }
}

/* Keys begin .. end - 1 alone, for B = Hkv = 1. */
static void forward_of_keys(const attention_case *c, int64_t begin, int64_t end,
                            double *out_o, double *out_lse) {
  attention_problem p = c->problem;
  p.Sk = end - begin;
  CHECK_NEED(
      reference_forward(&p, &(reference_forward_args){.q = c->q,
                                                      .k = c->k + begin * p.D,
                                                      .v = c->v + begin * p.Dv,
                                                      .out_o = out_o,
                                                      .out_lse = out_lse}));
}

static void test_split_keys_merge(void) {
  for (unsigned round = 0; round < 200; round++) {
    pfl_attention a = case_attention(round & CASE_SOFTCAP);
    a.q_heads /= a.kv_heads;
    a.batch = a.kv_heads = 1;
    attention_case c = case_of(a, 0);
    const attention_problem *p = &c.problem;
    int64_t rows = p->Hq * p->Sq, cut = check_between(0, p->Sk);
    double *o[] = {case_output(rows * p->Dv), case_output(rows * p->Dv)};
    double *lse[] = {case_output(rows), case_output(rows)};
    case_forward(&c);
    forward_of_keys(&c, 0, cut, o[0], lse[0]);
    forward_of_keys(&c, cut, p->Sk, o[1], lse[1]);
    double tolerance = 3 * case_tolerance(p, (double)p->D);
    for (int64_t i = 0; p->Sk > 0 && i < rows; i++) {
      double weights[] = {exp(lse[0][i]), exp(lse[1][i])};
      double sum = weights[0] + weights[1], merged_lse = log(sum);
      case_compare("lse", c.lse + i, &merged_lse, 1, tolerance);
      for (int64_t d = i * p->Dv; d < (i + 1) * p->Dv; d++) {
        double merged = (weights[0] * o[0][d] + weights[1] * o[1][d]) / sum;
        case_compare("o", c.o + d, &merged, 1, tolerance);
      }
    }
    for (int half = 0; half < 2; half++) {
      free(o[half]);
      free(lse[half]);
    }
    case_free(&c);
  }
}

/* Rows that see nothing: o = 0 and lse = -inf, the others untouched by that. */
static void check_empty_rows(const attention_case *c) {
  const attention_problem *p = &c->problem;
  case_forward(c);
  for (int64_t row = 0; row < p->B * p->Hq * p->Sq; row++) {
    bool empty = true;
    for (int64_t j = 0; j < p->Sk; j++)
      empty &= !case_row_sees(c, row / p->Sq / p->Hq, row % p->Sq, j);
    CHECK(empty ? c->lse[row] == -INFINITY : isfinite(c->lse[row]),
          "row %d: lse is %g", (int)row, c->lse[row]);
    for (int64_t d = row * p->Dv; d < (row + 1) * p->Dv; d++)
      CHECK(empty ? c->o[d] == 0 : isfinite(c->o[d]), "row %d: o is %g",
            (int)row, c->o[d]);
  }
}

static void test_empty_rows(void) {
  for (unsigned round = 0; round < 320; round++) {
    unsigned kinds = round % (CASE_ALL + 1);
    pfl_attention a = case_attention(kinds);
    if (round % 3 == 0) a.kv_length = 0;
    if (round % 3 == 1) a.q_length = a.kv_length + 3;
    attention_case c = case_of(a, kinds);
    check_empty_rows(&c);
    case_free(&c);
  }
}

/* NaN where the mask below says that it must have come, the rest as before. */
static void check_poisoned(const char *name, const double *got,
                           const double *before, bool poisoned, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    CHECK(poisoned ? isnan(got[i]) : got[i] == before[i],
          "%s: %g, before %g, NaN due: %d", name, got[i], before[i], poisoned);
}

/* A NaN in one key reaches the rows that see it and no other. */
static void test_nan_in_a_key(void) {
  for (unsigned round = 0; round < 320; round++) {
    attention_case c = case_random(round % (CASE_ALL + 1));
    const attention_problem *p = &c.problem;
    int64_t rows = p->B * p->Hq * p->Sq;
    if (p->Sk) {
      case_forward(&c);
      double *o = copy(c.o, rows * p->Dv), *lse = copy(c.lse, rows);
      int64_t kv = check_between(0, p->B * p->Hkv - 1),
              j = check_between(0, p->Sk - 1);
      c.k[(kv * p->Sk + j) * p->D + check_between(0, p->D - 1)] = NAN;
      case_forward(&c);
      for (int64_t row = 0; row < rows; row++) {
        int64_t bh = row / p->Sq;
        bool poisoned = bh / p->group == kv &&
                        case_row_sees(&c, bh / p->Hq, row % p->Sq, j);
        check_poisoned("o", c.o + row * p->Dv, o + row * p->Dv, poisoned,
                       p->Dv);
        check_poisoned("lse", c.lse + row, lse + row, poisoned, 1);
      }
      free(o);
      free(lse);
    }
    case_free(&c);
  }
}

/* A NaN in a value, in a query or in a sink, where every key is seen. */
static void test_nan_elsewhere(void) {
  attention_problem p = scores_problem(2);
  double q = 1, k[] = {1, 2}, v[] = {1, NAN}, sink = 0, o = 0, lse = 0;
  reference_forward_args args = {
      .q = &q, .k = k, .v = v, .sinks = &sink, .out_o = &o, .out_lse = &lse};
  CHECK_NEED(reference_forward(&p, &args));
  CHECK(isnan(o) && isfinite(lse), "v: o %g, lse %g", o, lse);
  v[1] = 1;
  q = NAN;
  CHECK_NEED(reference_forward(&p, &args));
  CHECK(isnan(o) && isnan(lse), "q: o %g, lse %g", o, lse);
  q = 1;
  sink = NAN;
  CHECK_NEED(reference_forward(&p, &args));
  CHECK(isnan(o) && isnan(lse), "sink: o %g, lse %g", o, lse);
}

static void test_unwanted_outputs(void) {
  attention_case c = case_random(CASE_ALL);
  const attention_problem *p = &c.problem;
  int64_t rows = p->B * p->Hq * p->Sq;
  case_forward(&c);
  double *o = c.o, *lse = c.lse;
  c.o = NULL;
  c.lse = case_output(rows);
  case_forward(&c);
  case_compare("lse", c.lse, lse, rows, 0);
  free(c.lse);
  c.lse = NULL;
  c.o = case_output(rows * p->Dv);
  case_forward(&c);
  case_compare("o", c.o, o, rows * p->Dv, 0);
  free(o);
  free(lse);
  case_free(&c);
}

typedef struct decode_case {
  attention_decode_problem problem;
  double *q, *k, *v, *sinks, *o, *lse;
  int32_t lengths[3];
} decode_case;

static decode_case decode_random(unsigned kinds) {
  pfl_attention a = case_attention(kinds);
  pfl_decode decode = {.struct_size = sizeof decode,
                       .batch = check_between(1, 3),
                       .q_heads = a.q_heads,
                       .kv_heads = a.kv_heads,
                       .q_length = check_between(1, 4),
                       .head_dim = a.head_dim,
                       .v_head_dim = a.v_head_dim,
                       .cache_length = check_between(1, 4) * 3,
                       .scoring = a.scoring};
  decode_case c = {.lengths = {0}};
  CHECK_NEED(!attention_decode_problem_init(&decode, &c.problem, NULL));
  const attention_decode_problem *p = &c.problem;
  c.q = case_input(p->B * p->Hq * p->T * p->D);
  c.k = case_input(p->B * p->Hkv * p->Smax * p->D);
  c.v = case_input(p->B * p->Hkv * p->Smax * p->Dv);
  c.sinks = kinds & CASE_SINKS ? case_input(p->Hq) : NULL;
  c.o = case_output(p->B * p->Hq * p->T * p->Dv);
  c.lse = case_output(p->B * p->Hq * p->T);
  for (int64_t b = 0; b < p->B; b++)
    c.lengths[b] = (int32_t)check_between(0, p->Smax);
  return c;
}

static void decode_free(decode_case *c) {
  double *arrays[] = {c->q, c->k, c->v, c->sinks, c->o, c->lse};
  for (int i = 0; i < 6; i++) free(arrays[i]);
}

static void decode_forward(const decode_case *c, const int32_t *block_table) {
  CHECK_NEED(reference_decode(
      &c->problem,
      &(reference_decode_args){c->q, c->k, c->v, c->sinks, c->lengths,
                               block_table, c->o, c->lse}));
}

/* Query head h of sequence b as a causal forward over all its positions, of
 * which the last T are compared. */
static void check_decode_head(const decode_case *c, int64_t b, int64_t h) {
  const attention_decode_problem *p = &c->problem;
  int64_t length = c->lengths[b], kv = b * p->Hkv + h / p->group,
          Sq = base_max(length, p->T), earlier = Sq - p->T,
          first = (b * p->Hq + h) * p->T;
  attention_problem whole = {.B = 1,
                             .Hq = 1,
                             .Hkv = 1,
                             .Sq = Sq,
                             .Sk = length,
                             .D = p->D,
                             .Dv = p->Dv,
                             .group = 1,
                             .offset = length - Sq,
                             .scale = p->scale,
                             .softcap = p->softcap,
                             .window = p->window};
  double *q = case_input(Sq * p->D), *o = case_output(Sq * p->Dv),
         *lse = case_output(Sq);
  memcpy(q + earlier * p->D, c->q + first * p->D,
         (size_t)(p->T * p->D) * sizeof *q);
  CHECK_NEED(reference_forward(
      &whole, &(reference_forward_args){.q = q,
                                        .k = c->k + kv * p->Smax * p->D,
                                        .v = c->v + kv * p->Smax * p->Dv,
                                        .sinks = c->sinks ? c->sinks + h : NULL,
                                        .out_o = o,
                                        .out_lse = lse}));
  case_compare("o", c->o + first * p->Dv, o + earlier * p->Dv, p->T * p->Dv, 0);
  case_compare("lse", c->lse + first, lse + earlier, p->T, 0);
  free(q);
  free(o);
  free(lse);
}

static void test_decode_is_last_rows_of_forward(void) {
  for (unsigned round = 0; round < 320; round++) {
    decode_case c = decode_random(round % (CASE_ALL + 1));
    const attention_decode_problem *p = &c.problem;
    decode_forward(&c, NULL);
    for (int64_t bh = 0; bh < p->B * p->Hq; bh++)
      check_decode_head(&c, bh / p->Hq, bh % p->Hq);
    decode_free(&c);
  }
}

static void test_decode_without_lengths(void) {
  decode_case c = decode_random(CASE_SINKS);
  const attention_decode_problem *p = &c.problem;
  int64_t rows = p->B * p->Hq * p->T;
  double *o = case_output(rows * p->Dv);
  for (int64_t b = 0; b < p->B; b++) c.lengths[b] = (int32_t)p->Smax;
  decode_forward(&c, NULL);
  CHECK_NEED(reference_decode(
      p, &(reference_decode_args){
             .q = c.q, .k = c.k, .v = c.v, .sinks = c.sinks, .out_o = o}));
  case_compare("o", o, c.o, rows * p->Dv, 0);
  free(o);
  decode_free(&c);
}

/* Copies the tokens in use of a contiguous cache to the pages that
 * block_table names; the rest of the pages is NaN. */
static double *paged_copy(const decode_case *c, const double *cache,
                          int64_t page_count, int64_t page_length,
                          const int32_t *block_table, int64_t D) {
  const attention_decode_problem *p = &c->problem;
  double *pages = case_output(page_count * p->Hkv * page_length * D);
  for (int64_t b = 0; b < p->B; b++)
    for (int64_t h = 0; h < p->Hkv; h++)
      for (int64_t j = 0; j < c->lengths[b]; j++) {
        int64_t page =
            block_table[b * (p->Smax / page_length) + j / page_length];
        memcpy(
            pages + ((page * p->Hkv + h) * page_length + j % page_length) * D,
            cache + ((b * p->Hkv + h) * p->Smax + j) * D,
            (size_t)D * sizeof *pages);
      }
  return pages;
}

static void test_paged_is_contiguous(void) {
  for (unsigned round = 0; round < 200; round++) {
    decode_case c = decode_random(round % (CASE_ALL + 1));
    attention_decode_problem *p = &c.problem;
    int64_t rows = p->B * p->Hq * p->T,
            page_length = check_between(0, 1) * 2 + 1,
            columns = p->Smax / page_length, count = p->B * columns,
            page_count = count + check_between(0, 3), order[64];
    int32_t block_table[64];
    decode_forward(&c, NULL);
    double *o = copy(c.o, rows * p->Dv), *lse = copy(c.lse, rows);
    shuffle(order, page_count);
    for (int64_t i = 0; i < count; i++) block_table[i] = (int32_t)order[i];
    double *k = paged_copy(&c, c.k, page_count, page_length, block_table, p->D);
    double *v =
        paged_copy(&c, c.v, page_count, page_length, block_table, p->Dv);
    for (int64_t i = 0; i < count; i++) /* past the length: no page at all */
      if (i % columns * page_length >= c.lengths[i / columns])
        block_table[i] = -1;
    free(c.k);
    free(c.v);
    c.k = k;
    c.v = v;
    p->paged = true;
    p->page_count = page_count;
    p->page_length = page_length;
    p->pages_per_sequence = columns;
    decode_forward(&c, block_table);
    case_compare("o", c.o, o, rows * p->Dv, 0);
    case_compare("lse", c.lse, lse, rows, 0);
    free(o);
    free(lse);
    decode_free(&c);
  }
}

static void check_widened(const void *array, pfl_dtype dtype, double second) {
  double *wide = reference_widen(array, dtype, 2);
  CHECK_NEED(wide);
  CHECK(wide[0] == 1 && wide[1] == second, "%s: %g, %g", pfl_dtype_name(dtype),
        wide[0], wide[1]);
  free(wide);
}

static void test_widen(void) {
  check_widened((float[]){1, 0.1f}, PFL_DTYPE_F32, (double)0.1f);
  check_widened((uint16_t[]){0x3f80, 0xbfc0}, PFL_DTYPE_BF16, -1.5);
  check_widened((uint16_t[]){0x3c00, 0xbe00}, PFL_DTYPE_F16, -1.5);
  check_widened((int8_t[]){1, -128}, PFL_DTYPE_I8, -128);
  free(reference_widen(NULL, PFL_DTYPE_F32, 0));
}

int main(void) {
  return CHECK_RUN(test_by_hand, test_against_explicit_mask, test_order_of_keys,
                   test_shifted_scores, test_split_keys_merge, test_empty_rows,
                   test_nan_in_a_key, test_nan_elsewhere, test_unwanted_outputs,
                   test_decode_is_last_rows_of_forward,
                   test_decode_without_lengths, test_paged_is_contiguous,
                   test_widen);
}
