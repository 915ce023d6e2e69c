/* Each function of the kernel tables, for every instruction set of this CPU:
 * what moves numbers against the plain loop, bit by bit; what computes against
 * fp64, within the errors that docs/numerics.md states. Portable C is one of
 * them. Arrays end at memory that cannot be touched, and the gaps between their
 * rows hold NaN that must neither leak in nor be written. */
#include <float.h>

#include "attention/reference.h"
#include "base/dtype.h"
#include "call_bound.h"
#include "cpu/kernels.h"
#include "guarded.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))
#define PICK(array) ((array)[check_between(0, COUNT(array) - 1)])
#define LN2 0.6931471805599453

static const int64_t sizes[] = {0,  1,  2,  3,  5,  6,  7,  11, 12, 13, 15, 16,
                                17, 18, 19, 31, 32, 33, 47, 61, 63, 64, 65, 97};

static const char *isa_name; /* the set under test, for messages */

/* Runs `body` `count` times for each table, called k. */
#define EACH_TABLE(count, body)                                               \
  for (int isa = PFL_ISA_PORTABLE; isa <= (int)cpu_isa_best(); isa++) {       \
    cpu_kernels k = cpu_kernels_for((pfl_isa)isa);                            \
    isa_name = pfl_isa_name((pfl_isa)isa);                                    \
    for (int round = 0, rounds = check_cases(count); round < rounds; round++) \
      body;                                                                   \
  }

/* ---- Numbers ------------------------------------------------------------ */

/* Mostly normal; some 0, -0, denormal, tiny or big. */
static float draw(void) {
  static const float odd[] = {0, -0.0f, 1e-40f, -3e-45f, 1e-20f, 1e6f, 1, -1};
  return check_between(0, 15) ? (float)check_normal() : PICK(odd);
}

static float *draw_floats(int64_t count) {
  float *array = guarded_allocate(count, sizeof *array);
  for (int64_t i = 0; i < count; i++) array[i] = draw();
  return array;
}

/* `rows` rows of `width` floats at `stride`, NaN between them. */
static float *draw_matrix(int64_t rows, int64_t width, int64_t stride) {
  int64_t count = rows && width ? (rows - 1) * stride + width : 0;
  float *array = guarded_allocate(count, sizeof *array);
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < width; c++) array[r * stride + c] = draw();
  return array;
}

static void check_close(const char *name, int64_t at, double got, double want,
                        double bound) {
  if (isnan(want))
    CHECK(isnan(got), "%s %s[%d] is %g, not NaN", isa_name, name, (int)at, got);
  else if (isinf(want))
    CHECK(got == want, "%s %s[%d] is %g, not %g", isa_name, name, (int)at, got,
          want);
  else
    CHECK(fabs(got - want) <= bound, "%s %s[%d] is %.9g, not %.9g, bound %.3g",
          isa_name, name, (int)at, got, want, bound);
}

static void check_gaps(const char *name, const float *array, int64_t rows,
                       int64_t width, int64_t stride) {
  for (int64_t r = 0; r + 1 < rows; r++)
    CHECK(guarded_is_untouched(array + r * stride + width,
                               (size_t)(stride - width) * sizeof *array),
          "%s wrote behind row %d of %s", isa_name, (int)r, name);
}

/* ---- Products ----------------------------------------------------------- */

/* Element number `element` of a word: an f32, or a bf16 of two. */
static double operand(const void *words, int64_t word, bool pairs, int half) {
  if (!pairs) return ((const cpu_element *)words)[word];
  uint16_t bits;
  memcpy(&bits, (const char *)words + word * 4 + half * 2, sizeof bits);
  return base_bf16_to_f32(bits);
}

static void check_product_element(const cpu_product *x, bool pairs, int64_t i,
                                  int64_t j, double before, double got) {
  double sum = 0, size = 0, lost = 0, terms = (double)(x->k * (pairs ? 2 : 1));
  for (int64_t p = 0; p < x->k; p++)
    for (int half = 0; half <= pairs; half++) {
      double a = operand(x->a, i * x->a_row + p * x->a_step, pairs, half);
      double b = operand(x->b, p * x->b_row + j, pairs, half);
      sum += a * b;
      size += fabs(a * b);
      lost += (fabs(a) + fabs(b) + 1) * FLT_MIN; /* denormals may count as 0 */
    }
  double kept = 0;
  if (x->keep) kept = before * (x->rescale ? x->rescale[j] : 1);
  double bound = (terms + 3) * UNIT_F32 * size * fabs(x->alpha) +
                 lost * (1 + fabs(x->alpha)) + 3 * UNIT_F32 * fabs(kept) +
                 FLT_MIN;
  check_close("C", i * x->n + j, got, kept + x->alpha * sum, bound);
}

/* Words of random numbers; in bf16 they need not be aligned to more than 2. */
static void *draw_words(int64_t rows, int64_t width, int64_t stride,
                        bool pairs) {
  if (!pairs) return draw_matrix(rows, width, stride);
  int64_t count = rows && width ? (rows - 1) * stride + width : 0;
  uint16_t *words = guarded_allocate(2 * count + check_between(0, 1), 2);
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < 2 * width; c++)
      words[2 * r * stride + c] = base_f32_to_bf16(draw());
  return words;
}

static void check_product(void (*product)(const cpu_product *), bool pairs) {
  cpu_product x = {.m = PICK(sizes),
                   .n = CPU_LANES_MAX * check_between(1, 9),
                   .k = PICK(sizes),
                   .alpha = check_between(0, 1) ? 1 : (float)check_normal(),
                   .keep = check_between(0, 1)};
  bool turned = check_between(0, 1);
  int64_t lines = turned ? x.k : x.m, across = turned ? x.m : x.k;
  int64_t stride = across + check_between(0, 5);
  x.a_row = turned ? 1 : stride;
  x.a_step = turned ? stride : 1;
  x.b_row = x.n + check_between(0, 20);
  x.c_row = x.n + check_between(0, 20);
  x.a = draw_words(lines, across, stride, pairs);
  x.b = draw_words(x.k, x.n, x.b_row, pairs);
  x.c = draw_matrix(x.m, x.n, x.c_row);
  if (x.keep && check_between(0, 1)) x.rescale = draw_floats(x.n);
  if (!pairs && lines && across && check_between(0, 3) == 0)
    ((float *)x.a)[check_between(0, lines - 1) * stride] =
        check_between(0, 1) ? NAN : INFINITY;
  double *before = malloc((size_t)(x.m * x.n + 1) * sizeof *before);
  CHECK_NEED(before);
  for (int64_t i = 0; i < x.m; i++)
    for (int64_t j = 0; j < x.n; j++) {
      before[i * x.n + j] = x.c[i * x.c_row + j];
      if (!x.keep) x.c[i * x.c_row + j] = NAN; /* must count as 0 */
    }
  product(&x);
  for (int64_t i = 0; i < x.m; i++)
    for (int64_t j = 0; j < x.n; j++)
      check_product_element(&x, pairs, i, j, before[i * x.n + j],
                            x.c[i * x.c_row + j]);
  check_gaps("C", x.c, x.m, x.n, x.c_row);
  free(before);
  guarded_release();
}

static void test_product_f32(void) {
  EACH_TABLE(120, check_product(k.product_f32, false));
}

static void test_product_bf16(void) {
  EACH_TABLE(120, if (k.product_bf16) check_product(k.product_bf16, true));
}

/* ---- Moving numbers ----------------------------------------------------- */

static void check_transpose(const cpu_kernels *k) {
  int64_t rows = check_between(0, CPU_PANEL), columns = PICK(sizes);
  int64_t in_row = columns + check_between(0, 9);
  int64_t out_row = rows + check_between(0, 9);
  int64_t in_count = rows && columns ? (rows - 1) * in_row + columns : 0;
  int64_t out_count = rows && columns ? (columns - 1) * out_row + rows : 0;
  /* words of two bf16 may lie at any multiple of 2 bytes */
  char *in = guarded_allocate(4 * in_count + 2 * check_between(0, 1), 1);
  for (int64_t i = 0; i < 4 * in_count; i++) in[i] = (char)check_random();
  cpu_word *out = guarded_allocate(out_count, sizeof *out);
  k->transpose(out, out_row, (const cpu_word *)in, in_row, rows, columns);
  for (int64_t c = 0; c < columns; c++)
    for (int64_t r = 0; r < rows; r++)
      CHECK(out[c * out_row + r] == ((cpu_word *)in)[r * in_row + c],
            "%s: row %d, column %d of %d x %d", isa_name, (int)r, (int)c,
            (int)rows, (int)columns);
  if (rows) check_gaps("out", (float *)out, columns, rows, out_row);
  guarded_release();
}

static void test_transpose(void) { EACH_TABLE(200, check_transpose(&k)); }

static void check_interleave(const cpu_kernels *k) {
  int64_t count = PICK(sizes);
  uint16_t *a = guarded_allocate(count, 2), *b = guarded_allocate(count, 2);
  uint32_t *out = guarded_allocate(count, 4);
  for (int64_t i = 0; i < count; i++) a[i] = (uint16_t)check_random();
  for (int64_t i = 0; i < count; i++) b[i] = (uint16_t)check_random();
  bool single = check_between(0, 2) == 0;
  k->interleave(out, a, single ? NULL : b, count);
  for (int64_t i = 0; i < count; i++)
    CHECK(out[i] == (a[i] | (single ? 0 : (uint32_t)b[i] << 16)), "%s: [%d]",
          isa_name, (int)i);
  guarded_release();
}

static void test_interleave(void) { EACH_TABLE(100, check_interleave(&k)); }

/* Every bf16, f16 and int8 there is, from an odd place on; and short arrays. */
static void check_widen(const cpu_kernels *k, pfl_dtype dtype) {
  size_t size = pfl_dtype_size(dtype);
  int64_t most = size == 1 ? 256 : 65536;
  int64_t count = check_between(0, 1) ? most : PICK(sizes);
  unsigned char *in = guarded_allocate(count, size);
  float *out = guarded_allocate(count, sizeof *out);
  for (int64_t i = 0; i < count; i++) {
    uint32_t bits = size == 4 ? (uint32_t)check_random() : (uint32_t)i;
    memcpy(in + (size_t)i * size, &bits, size);
  }
  k->widen[dtype](out, in, count);
  for (int64_t i = 0; i < count; i++) {
    float want = base_element_get(in, dtype, i);
    CHECK(base_f32_bits(out[i]) == base_f32_bits(want), "%s %s: %d is %g, %g",
          isa_name, pfl_dtype_name(dtype), (int)i, out[i], want);
  }
  guarded_release();
}

static void test_widen(void) {
  EACH_TABLE(8, {
    for (int dtype = PFL_DTYPE_F32; dtype <= PFL_DTYPE_I8; dtype++)
      check_widen(&k, (pfl_dtype)dtype);
  });
}

/* Every number of `dtype` and, between it and the next, the middle and its
 * neighbours in f32: all places where rounding changes. */
static float near_bits(pfl_dtype dtype, int64_t i) {
  uint16_t half = (uint16_t)(i / 4);
  float value = base_element_get(&half, dtype, 0);
  if (i % 4 == 0) return value;
  half++;
  float next = base_element_get(&half, dtype, 0);
  double middle = ((double)value + next) / 2;
  if (isinf(next)) middle = dtype == PFL_DTYPE_F16 ? 65520 : 0x1.ffp127;
  if (isinf(next) && value < 0) middle = -middle;
  uint32_t bits = base_f32_bits((float)middle) + (uint32_t)(i % 4) - 2;
  return base_f32_from_bits(bits);
}

static void check_narrow(const cpu_kernels *k, pfl_dtype dtype) {
  int64_t count = check_between(0, 1) ? 4 * 65536 : PICK(sizes);
  uint16_t *out = guarded_allocate(count, sizeof *out);
  float *in = guarded_allocate(count, sizeof *in);
  for (int64_t i = 0; i < count; i++) in[i] = near_bits(dtype, i);
  k->narrow[dtype](out, in, count);
  for (int64_t i = 0; i < count; i++) {
    uint16_t want = dtype == PFL_DTYPE_BF16 ? base_f32_to_bf16(in[i])
                                            : base_f32_to_f16(in[i]);
    CHECK(out[i] == want, "%s %s: %.9g (%08x) is %04x, not %04x", isa_name,
          pfl_dtype_name(dtype), in[i], base_f32_bits(in[i]), out[i], want);
  }
  guarded_release();
}

static void check_narrow_f32(const cpu_kernels *k) {
  int64_t count = PICK(sizes);
  float *in = draw_floats(count), *out = guarded_allocate(count, sizeof *out);
  k->narrow[PFL_DTYPE_F32](out, in, count);
  CHECK(!memcmp(in, out, (size_t)count * sizeof *in), "%s: f32", isa_name);
  guarded_release();
}

static void test_narrow(void) {
  EACH_TABLE(6, {
    check_narrow(&k, PFL_DTYPE_BF16);
    check_narrow(&k, PFL_DTYPE_F16);
    check_narrow_f32(&k);
  });
}

/* ---- Masks -------------------------------------------------------------- */

static void check_masks(const cpu_kernels *k) {
  int64_t keys = check_between(0, 192);
  float *scores = draw_floats(keys * CPU_PANEL);
  float *before = malloc((size_t)(keys * CPU_PANEL + 1) * sizeof *before);
  CHECK_NEED(before);
  memcpy(before, scores, (size_t)(keys * CPU_PANEL) * sizeof *before);
  int32_t *begin = guarded_allocate(CPU_PANEL, 4);
  int32_t *end = guarded_allocate(CPU_PANEL, 4);
  int32_t *ids = guarded_allocate(CPU_PANEL, 4);
  int32_t *key_ids = guarded_allocate(keys, 4);
  static const int32_t some_ids[] = {INT32_MIN, -1, 0, 1, INT32_MAX};
  for (int i = 0; i < CPU_PANEL; i++) {
    begin[i] = (int32_t)check_between(0, keys);
    end[i] = (int32_t)check_between(0, keys);
    ids[i] = PICK(some_ids);
  }
  for (int64_t j = 0; j < keys; j++) key_ids[j] = PICK(some_ids);
  bool windows = check_between(0, 1), segments = check_between(0, 1);
  if (windows) k->mask(scores, keys, begin, end);
  if (segments) k->mask_segments(scores, keys, key_ids, ids);
  for (int64_t at = 0; at < keys * CPU_PANEL; at++) {
    int64_t j = at / CPU_PANEL, i = at % CPU_PANEL;
    bool seen = (!windows || (begin[i] <= j && j < end[i])) &&
                (!segments || key_ids[j] == ids[i]);
    CHECK(seen ? base_f32_bits(scores[at]) == base_f32_bits(before[at])
               : scores[at] == -INFINITY,
          "%s: key %d, query %d", isa_name, (int)j, (int)i);
  }
  free(before);
  guarded_release();
}

static void test_masks(void) { EACH_TABLE(60, check_masks(&k)); }

/* ---- exp2 and tanh ------------------------------------------------------ */

/* f32 numbers by their bits, so many at a time; 1 of `step` of them all. */
enum { SWEEP = 64 * CPU_PANEL };

static uint32_t sweep_step(void) {
  return (uint32_t)(2003.0 * 1000 / check_cases(1000));
}

/* 2^x through the gradient's P, with LSE 0: every sign and size of x. */
static void sweep_exp2(const cpu_kernels *k) {
  float *scores = guarded_allocate(SWEEP, 4), *zeros = draw_floats(SWEEP);
  float *lse = draw_floats(CPU_PANEL), worst = 0;
  memset(zeros, 0, SWEEP * sizeof *zeros);
  memset(lse, 0, CPU_PANEL * sizeof *lse);
  uint64_t step = sweep_step();
  for (uint64_t first = 0; first < UINT32_MAX; first += step * SWEEP) {
    float x[SWEEP];
    for (int i = 0; i < SWEEP; i++)
      scores[i] = x[i] = base_f32_from_bits((uint32_t)(first + step * i));
    k->gradient_f32(&(cpu_gradient){.scores = scores,
                                    .d_weights = zeros,
                                    .keys = 64,
                                    .lse = lse,
                                    .delta = lse,
                                    .scale = 1});
    for (int i = 0; i < SWEEP; i++) {
      if (x[i] > 127) continue; /* not stated */
      double want = exp2(x[i]), off = fabs(scores[i] - want);
      if (want >= FLT_MIN) worst = fmaxf(worst, (float)(off / want * 0x1p23));
      check_close("exp2", i, scores[i], want,
                  want >= FLT_MIN ? want * 0x1p-22 : FLT_MIN);
      if (x[i] < -150) CHECK(scores[i] == 0, "exp2(%g): %g", x[i], scores[i]);
      if (x[i] == 0) CHECK(scores[i] == 1, "exp2(0): %g", scores[i]);
    }
  }
  printf("%s: exp2 within %.2f ulp\n", isa_name, worst);
  guarded_release();
}

static void sweep_tanh(const cpu_kernels *k) {
  float *s = guarded_allocate(SWEEP, 4), worst = 0;
  uint64_t step = sweep_step();
  for (uint64_t first = 0; first < UINT32_MAX; first += step * SWEEP) {
    float x[SWEEP];
    for (int i = 0; i < SWEEP; i++)
      s[i] = x[i] = base_f32_from_bits((uint32_t)(first + step * i));
    k->softcap(s, SWEEP, 1);
    for (int i = 0; i < SWEEP; i++) {
      double want = tanh(x[i]), off = fabs(s[i] - want);
      if (fabs(want) >= FLT_MIN)
        worst = fmaxf(worst, (float)(off / fabs(want) * 0x1p23));
      check_close("tanh", i, s[i], want, fmax(fabs(want) * 0x1p-21, 0x1p-149));
      CHECK(!(fabsf(s[i]) > 1), "%s: |tanh(%g)| > 1", isa_name, x[i]);
    }
  }
  printf("%s: tanh within %.2f ulp\n", isa_name, worst);
  guarded_release();
}

static void test_exp2_sweep(void) { EACH_TABLE(1, sweep_exp2(&k)); }

static void test_tanh_sweep(void) { EACH_TABLE(1, sweep_tanh(&k)); }

static void check_softcap(const cpu_kernels *k) {
  int64_t count = CPU_LANES_MAX * check_between(0, 30);
  float *s = draw_floats(count), cap = (float)exp(3 * check_normal());
  float *x = malloc((size_t)(count + 1) * sizeof *x);
  CHECK_NEED(x);
  memcpy(x, s, (size_t)count * sizeof *x);
  k->softcap(s, count, cap);
  for (int64_t i = 0; i < count; i++) {
    double want = cap * tanh(x[i]);
    check_close("softcap", i, s[i], want, 9 * UNIT_F32 * fabs(want) + FLT_MIN);
  }
  free(x);
  guarded_release();
}

static void test_softcap(void) { EACH_TABLE(40, check_softcap(&k)); }

/* 2^x in f32 from x, itself a rounded difference. */
static double exp2_bound(double x) {
  if (x == -INFINITY) return 0;
  return exp2(x) * (4 + fabs(x) * LN2) * UNIT_F32 * 1.001 + FLT_MIN;
}

/* ---- Softmax ------------------------------------------------------------ */

/* What a column of scores is like. */
enum { SMALL, LARGE, HUGE_SCORES, HIDDEN, PARTLY_HIDDEN, WITH_NAN, COLUMNS };

static float draw_score(int kind) {
  switch (kind) {
    case SMALL: return (float)(1e-3 * check_normal());
    case LARGE: return (float)(1e3 * check_normal());
    case HUGE_SCORES: return (float)(1e38 * check_normal());
    case HIDDEN: return -INFINITY;
    case PARTLY_HIDDEN: return check_between(0, 1) ? -INFINITY : draw();
    default: return check_between(0, 30) ? draw() : NAN;
  }
}

typedef struct softmax_case {
  cpu_softmax x;
  float *scores, m[CPU_PANEL], l[CPU_PANEL]; /* as they were before */
} softmax_case;

static softmax_case draw_softmax(int64_t keys) {
  softmax_case c = {.x = {.scores = guarded_allocate(keys * CPU_PANEL, 4),
                          .keys = keys,
                          .m = guarded_allocate(CPU_PANEL, 4),
                          .l = guarded_allocate(CPU_PANEL, 4),
                          .rescale = guarded_allocate(CPU_PANEL, 4)}};
  c.scores = malloc((size_t)(keys * CPU_PANEL + 1) * sizeof *c.scores);
  CHECK_NEED(c.scores);
  for (int i = 0; i < CPU_PANEL; i++) {
    int kind = (int)check_between(0, COLUMNS - 1);
    bool first = check_between(0, 1);
    c.x.m[i] = c.m[i] = first ? -FLT_MAX : (float)(10 * check_normal());
    c.x.l[i] = c.l[i] = first ? 0 : (float)(1 + 100 * check_uniform());
    for (int64_t j = 0; j < keys; j++)
      c.x.scores[j * CPU_PANEL + i] = c.scores[j * CPU_PANEL + i] =
          draw_score(kind);
  }
  return c;
}

/* P of key j, query i, out of what is in the place of the scores. */
static double weight_at(const softmax_case *c, bool pairs, int64_t j, int i) {
  if (!pairs) return c->x.scores[j * CPU_PANEL + i];
  return operand(c->x.scores, j / 2 * CPU_PANEL + i, true, (int)(j % 2));
}

/* m, l, rescale and P of one query. */
static void check_softmax_column(const softmax_case *c, bool pairs, int i) {
  double most = c->m[i], sum = 0, sum_bound = 0;
  bool has_nan = false;
  for (int64_t j = 0; j < c->x.keys; j++) {
    double s = c->scores[j * CPU_PANEL + i];
    has_nan |= isnan(s);
    most = s > most ? s : most;
  }
  if (has_nan) {
    CHECK(isnan(c->x.l[i]), "%s: NaN is lost: l %g", isa_name, c->x.l[i]);
    return;
  }
  CHECK(c->x.m[i] == most, "%s: m %g, not %g", isa_name, c->x.m[i], most);
  double rescale = exp2(c->m[i] - most);
  check_close("rescale", i, c->x.rescale[i], rescale,
              exp2_bound(c->m[i] - most));
  if (c->m[i] == most)
    CHECK(c->x.rescale[i] == 1, "%s: rescale %.9g without a new maximum",
          isa_name, c->x.rescale[i]);
  for (int64_t j = 0; j < c->x.keys; j++) {
    double x = c->scores[j * CPU_PANEL + i] - most, p = exp2(x);
    double bound = exp2_bound(x);
    sum += p;
    sum_bound += bound;
    if (pairs && bound > 0) bound = bound * 1.01 + p * UNIT_BF16;
    check_close("P", j * CPU_PANEL + i, weight_at(c, pairs, j, i), p, bound);
  }
  double want = c->l[i] * rescale + sum;
  check_close("l", i, c->x.l[i], want,
              c->l[i] * exp2_bound(c->m[i] - most) + sum_bound +
                  (double)(c->x.keys + 3) * UNIT_F32 * want);
}

static void check_softmax(void (*softmax)(const cpu_softmax *), bool pairs) {
  int64_t keys = check_between(0, 2) ? PICK(sizes) : check_between(0, 192);
  softmax_case c = draw_softmax(keys);
  softmax(&c.x);
  for (int i = 0; i < CPU_PANEL; i++) check_softmax_column(&c, pairs, i);
  if (pairs && keys % 2) /* nothing beside the last key */
    for (int i = 0; i < CPU_PANEL; i++)
      CHECK(operand(c.x.scores, keys / 2 * CPU_PANEL + i, true, 1) == 0,
            "%s: %d keys, query %d", isa_name, (int)keys, i);
  free(c.scores);
  guarded_release();
}

static void test_softmax_f32(void) {
  EACH_TABLE(80, check_softmax(k.softmax_f32, false));
}

static void test_softmax_bf16(void) {
  EACH_TABLE(80, if (k.product_bf16) check_softmax(k.softmax_bf16, true));
}

static void check_softmax_row(const cpu_kernels *k) {
  int64_t count = CPU_LANES_MAX * check_between(0, 20);
  int kind = (int)check_between(0, PARTLY_HIDDEN);
  float *x = guarded_allocate(count, 4), before = -FLT_MAX;
  if (check_between(0, 1)) before = (float)(10 * check_normal());
  float m = before, *s = malloc((size_t)(count + 1) * sizeof *s);
  CHECK_NEED(s);
  double most = before, sum = 0, bound = 0;
  for (int64_t i = 0; i < count; i++) {
    s[i] = x[i] = draw_score(kind);
    most = s[i] > most ? s[i] : most;
  }
  float got = k->softmax_row(x, count, &m);
  CHECK(m == most, "%s: m %g, not %g", isa_name, m, most);
  for (int64_t i = 0; i < count; i++) {
    check_close("p", i, x[i], exp2(s[i] - most), exp2_bound(s[i] - most));
    sum += exp2(s[i] - most);
    bound += exp2_bound(s[i] - most);
  }
  check_close("sum", 0, got, sum, bound + (double)count * UNIT_F32 * sum);
  if (count > 0) {
    x[check_between(0, count - 1)] = NAN;
    CHECK(isnan(k->softmax_row(x, count, &m)), "%s: NaN is lost", isa_name);
  }
  free(s);
  guarded_release();
}

static void test_softmax_row(void) { EACH_TABLE(80, check_softmax_row(&k)); }

/* ---- Gradient ----------------------------------------------------------- */

typedef struct gradient_case {
  cpu_gradient x;
  float *scores, *d_weights; /* as they were before */
  bool pairs;
} gradient_case;

static gradient_case draw_gradient(int64_t keys, bool pairs) {
  int64_t count = keys * CPU_PANEL;
  float cap = check_between(0, 1) ? (float)(1 + 9 * check_uniform()) : 0;
  float *lse = guarded_allocate(CPU_PANEL, 4);
  gradient_case c = {
      .x = {.scores = guarded_allocate(count, 4),
            .d_weights = draw_floats(count),
            .ds_pairs = guarded_allocate((keys + 1) / 2 * CPU_PANEL, 4),
            .keys = keys,
            .lse = lse,
            .delta = draw_floats(CPU_PANEL),
            .inv_cap = cap > 0 ? 1 / cap : 0,
            .scale = (float)check_normal()},
      .scores = malloc((size_t)(count + 1) * sizeof(float)),
      .d_weights = malloc((size_t)(count + 1) * sizeof(float)),
      .pairs = pairs};
  CHECK_NEED(c.scores && c.d_weights);
  for (int i = 0; i < CPU_PANEL; i++)
    lse[i] = check_between(0, 9) ? (float)(5 + check_normal()) : INFINITY;
  for (int64_t at = 0; at < count; at++) {
    float s = (float)(cap > 0 ? cap * tanh(check_normal()) : check_normal());
    c.x.scores[at] = check_between(0, 9) ? s : -INFINITY;
  }
  memcpy(c.scores, c.x.scores, (size_t)count * sizeof(float));
  memcpy(c.d_weights, c.x.d_weights, (size_t)count * sizeof(float));
  return c;
}

/* Element [j][i] of what replaces the scores or the weights' gradient. */
static double replaced(const gradient_case *c, const float *array, int64_t j,
                       int i) {
  if (!c->pairs) return array[j * CPU_PANEL + i];
  return operand(array, j * (CPU_PANEL / 2) + i / 2, true, i % 2);
}

static void check_gradient_element(const gradient_case *c, int64_t j, int i) {
  double s = c->scores[j * CPU_PANEL + i];
  double x = s - c->x.lse[i], p = exp2(x), p_bound = exp2_bound(x);
  double tangent = s == -INFINITY ? 0 : s * c->x.inv_cap;
  double change = c->d_weights[j * CPU_PANEL + i] - (double)c->x.delta[i];
  double slope = (1 - tangent * tangent) * c->x.scale;
  double slope_bound = 8 * UNIT_F32 * fabs(c->x.scale);
  double ds = p * change * slope;
  double bound = (p + p_bound) * fabs(change) * (1 + 6 * UNIT_F32) *
                     (fabs(slope) + slope_bound) -
                 fabs(ds);
  if (c->pairs) { /* ds comes of P as it was before it was rounded */
    bound = bound * 1.01 + fabs(ds) * UNIT_BF16 + FLT_MIN;
    p_bound = p_bound * 1.01 + p * UNIT_BF16;
  }
  if (x == -INFINITY) p_bound = bound = 0;
  check_close("P", i, replaced(c, c->x.scores, j, i), p, p_bound);
  check_close("dS", i, replaced(c, c->x.d_weights, j, i), ds, bound + FLT_MIN);
  if (c->pairs)
    CHECK(operand(c->x.ds_pairs, j / 2 * CPU_PANEL + i, true, (int)(j % 2)) ==
              replaced(c, c->x.d_weights, j, i),
          "%s: dS of key %d, query %d differs in its two places", isa_name,
          (int)j, i);
}

static void check_gradient(void (*gradient)(const cpu_gradient *), bool pairs) {
  int64_t keys = check_between(0, 2) ? PICK(sizes) : check_between(0, 192);
  gradient_case c = draw_gradient(keys, pairs);
  gradient(&c.x);
  for (int64_t j = 0; j < keys; j++)
    for (int i = 0; i < CPU_PANEL; i++) check_gradient_element(&c, j, i);
  for (int i = 0; pairs && keys % 2 && i < CPU_PANEL; i++)
    CHECK(operand(c.x.ds_pairs, keys / 2 * CPU_PANEL + i, true, 1) == 0,
          "%s: %d keys, query %d", isa_name, (int)keys, i);
  free(c.scores);
  free(c.d_weights);
  guarded_release();
}

static void test_gradient_f32(void) {
  EACH_TABLE(80, check_gradient(k.gradient_f32, false));
}

static void test_gradient_bf16(void) {
  EACH_TABLE(80, if (k.product_bf16) check_gradient(k.gradient_bf16, true));
}

/* ---- Rows --------------------------------------------------------------- */

static void check_dot(const cpu_kernels *k) {
  int64_t count = check_between(0, 200);
  float *a = draw_floats(count), *b = draw_floats(count);
  double sum = 0, size = 0;
  for (int64_t i = 0; i < count; i++) {
    sum += (double)a[i] * b[i];
    size += fabs((double)a[i] * b[i]);
  }
  check_close("dot", count, k->dot(a, b, count), sum,
              (double)(count + 1) * (UNIT_F32 * size + FLT_MIN));
  guarded_release();
}

static void test_dot(void) { EACH_TABLE(100, check_dot(&k)); }

/* Rows of a cache of `dtype`, with no more alignment than an element's. */
static void *draw_rows(int64_t rows, int64_t width, pfl_dtype dtype) {
  size_t size = pfl_dtype_size(dtype);
  char *x = guarded_allocate(rows * width, size);
  for (int64_t i = 0; i < rows * width; i++) {
    float f = draw();
    uint16_t half =
        dtype == PFL_DTYPE_BF16 ? base_f32_to_bf16(f) : base_f32_to_f16(f);
    int8_t whole = (int8_t)check_between(-128, 127);
    const void *bytes = size == 4 ? (void *)&f : (void *)&half;
    memcpy(x + (size_t)i * size, size == 1 ? &whole : bytes, size);
  }
  return x;
}

/* Rows of f32 padded with zeros to whole vectors, NaN after that. */
static float *draw_padded(int64_t rows, int64_t width, int64_t stride) {
  int64_t padded = base_round_up(width, CPU_LANES_MAX);
  float *array = draw_matrix(rows, padded, stride);
  for (int64_t r = 0; r < rows; r++)
    for (int64_t d = width; d < padded; d++) array[r * stride + d] = 0;
  return array;
}

static cpu_rows draw_cpu_rows(pfl_dtype dtype) {
  cpu_rows x = {.rows = PICK(sizes),
                .width = check_between(1, 200),
                .q_rows = check_between(1, 9),
                .alpha = (float)check_normal()};
  x.q_row = base_round_up(x.width, CPU_LANES_MAX) + 16 * check_between(0, 1);
  x.s_row = x.rows + check_between(0, 9);
  x.x = draw_rows(x.rows, x.width, dtype);
  if (check_between(0, 1)) x.ahead = x.x; /* changes nothing but time */
  x.q_or_acc = draw_padded(x.q_rows, x.width, x.q_row);
  x.s = draw_matrix(x.q_rows, x.rows, x.s_row);
  if (dtype == PFL_DTYPE_BF16) /* its scores may be products of bf16 */
    for (int64_t r = 0; r < x.q_rows; r++)
      for (int64_t d = 0; d < x.width; d++) {
        float *q = x.q_or_acc + r * x.q_row + d;
        *q = base_bf16_to_f32(base_f32_to_bf16(*q));
      }
  return x;
}

static void check_scores(const cpu_kernels *k, pfl_dtype dtype) {
  cpu_rows x = draw_cpu_rows(dtype);
  for (int64_t r = 0; r < x.q_rows; r++) /* not to be read */
    for (int64_t j = 0; j < x.rows; j++) x.s[r * x.s_row + j] = NAN;
  k->scores[dtype](&x);
  for (int64_t r = 0; r < x.q_rows; r++)
    for (int64_t j = 0; j < x.rows; j++) {
      double sum = 0, size = 0, lost = 0;
      for (int64_t d = 0; d < x.width; d++) {
        double q = x.q_or_acc[r * x.q_row + d];
        double e = base_element_get(x.x, dtype, j * x.width + d);
        sum += q * e;
        size += fabs(q * e);
        lost += (fabs(q) + fabs(e) + 1) * FLT_MIN; /* as in a product */
      }
      double bound = (double)(x.width + 2) * UNIT_F32 * size + lost;
      check_close("score", j, x.s[r * x.s_row + j], x.alpha * sum,
                  fabs(x.alpha) * bound + FLT_MIN);
    }
  if (x.rows) check_gaps("s", x.s, x.q_rows, x.rows, x.s_row);
  guarded_release();
}

static void check_accumulate(const cpu_kernels *k, pfl_dtype dtype) {
  cpu_rows x = draw_cpu_rows(dtype);
  int64_t padded = base_round_up(x.width, CPU_LANES_MAX);
  int64_t count = (x.q_rows - 1) * x.q_row + padded;
  double *before = reference_widen(x.q_or_acc, PFL_DTYPE_F32, count);
  CHECK_NEED(before);
  k->accumulate[dtype](&x);
  for (int64_t r = 0; r < x.q_rows; r++)
    for (int64_t d = 0; d < padded; d++) {
      double sum = before[r * x.q_row + d], size = fabs(sum);
      for (int64_t j = 0; d < x.width && j < x.rows; j++) {
        double term = (double)x.s[r * x.s_row + j] *
                      base_element_get(x.x, dtype, j * x.width + d);
        sum += term;
        size += fabs(term);
      }
      double bound = (double)(x.rows + 2) * UNIT_F32 * size + FLT_MIN;
      check_close("acc", d, x.q_or_acc[r * x.q_row + d], sum,
                  d < x.width ? bound : 0);
    }
  check_gaps("acc", x.q_or_acc, x.q_rows, padded, x.q_row);
  free(before);
  guarded_release();
}

static void test_cache_rows(void) {
  EACH_TABLE(60, {
    for (int dtype = PFL_DTYPE_F32; dtype <= PFL_DTYPE_I8; dtype++) {
      check_scores(&k, (pfl_dtype)dtype);
      check_accumulate(&k, (pfl_dtype)dtype);
    }
  });
}

/* A NaN in row j of the cache is in its scores and in no others. */
static void check_nan_in_row(const cpu_kernels *k) {
  cpu_rows x = draw_cpu_rows(PFL_DTYPE_F32);
  if (x.rows) {
    int64_t bad = check_between(0, x.rows - 1);
    ((float *)x.x)[bad * x.width + check_between(0, x.width - 1)] = NAN;
    k->scores[PFL_DTYPE_F32](&x);
    for (int64_t r = 0; r < x.q_rows; r++)
      for (int64_t j = 0; j < x.rows; j++)
        CHECK(isnan(x.s[r * x.s_row + j]) == (j == bad),
              "%s: NaN in row %d, score of %d is %g", isa_name, (int)bad,
              (int)j, x.s[r * x.s_row + j]);
  }
  guarded_release();
}

static void test_nan_in_a_cache_row(void) {
  EACH_TABLE(40, check_nan_in_row(&k));
}

int main(void) {
  for (int isa = cpu_isa_best() + 1; isa <= PFL_ISA_AVX512BF16; isa++)
    printf("%s is not of this CPU: not tested\n", pfl_isa_name((pfl_isa)isa));
  return CHECK_RUN(test_product_f32, test_product_bf16, test_transpose,
                   test_interleave, test_widen, test_narrow, test_masks,
                   test_exp2_sweep, test_tanh_sweep, test_softcap,
                   test_softmax_f32, test_softmax_bf16, test_softmax_row,
                   test_gradient_f32, test_gradient_bf16, test_dot,
                   test_cache_rows, test_nan_in_a_cache_row);
}
