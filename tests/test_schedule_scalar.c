/* The scalar side: what it computes, where it goes, what it does not know. */

#include "listing_case.h"

#define WRONG_CYCLES 10000 /* what a wrong value costs in these listings */

/* Adds: if s`value` is not `expected`, a long delay. */
static void expect_value(listing_case *c, int number, uint32_t expected) {
  static int region = 1000;
  case_addf(c, "%%p90_p9 = scmp.eq.s32.totalorder %%s%d_s%d, %u", number,
            number, expected);
  case_addf(c, "%%91 = sbr.rel (%%p90_p9) target = $region%d", ++region);
  case_empty(c, 4);
  case_addf(c, "%%92 = vdelay %d", WRONG_CYCLES);
  char tail[64];
  snprintf(tail, sizeof tail, "Start region %d", region);
  case_add_with(c, "", tail);
}

static void check_values(listing_case *c, const char *what) {
  case_done(c);
  CHECK(c->result.cycles < WRONG_CYCLES, "%s is wrong %lld times\n%s", what,
        (long long)(c->result.cycles / WRONG_CYCLES), base_text_get(&c->text));
  case_release(c);
}

/* ---- Arithmetic ---------------------------------------------------------- */

typedef uint32_t operation(uint32_t a, uint32_t b);
static uint32_t add(uint32_t a, uint32_t b) { return a + b; }
static uint32_t subtract(uint32_t a, uint32_t b) { return a - b; }
static uint32_t multiply(uint32_t a, uint32_t b) { return a * b; }
static uint32_t multiply_high(uint32_t a, uint32_t b) {
  return (uint32_t)((uint64_t)a * b >> 32);
}
static uint32_t and (uint32_t a, uint32_t b) { return a & b; }
static uint32_t or (uint32_t a, uint32_t b) { return a | b; }
static uint32_t xor (uint32_t a, uint32_t b) { return a ^ b; } static uint32_t
    left(uint32_t a, uint32_t b) {
  return b < 32 ? a << b : 0;
}
static uint32_t right(uint32_t a, uint32_t b) { return b < 32 ? a >> b : 0; }
static uint32_t right_signed(uint32_t a, uint32_t b) {
  int64_t wide = (int32_t)a; /* one bit after the other: no shift of a sign */
  for (uint32_t i = 0; i < b && i < 32; i++) wide = (wide - (wide & 1)) / 2;
  return (uint32_t)wide;
}
static uint32_t largest(uint32_t a, uint32_t b) { return a > b ? a : b; }
static uint32_t smallest(uint32_t a, uint32_t b) { return a < b ? a : b; }
static uint32_t largest_signed(uint32_t a, uint32_t b) {
  return (int32_t)a > (int32_t)b ? a : b;
}
static uint32_t smallest_signed(uint32_t a, uint32_t b) {
  return (int32_t)a < (int32_t)b ? a : b;
}
static uint32_t divide(uint32_t a, uint32_t b) { return b ? a / b : 0; }
static uint32_t remain(uint32_t a, uint32_t b) { return b ? a % b : 0; }

static const struct {
  const char *word;
  operation *expected;
} operations[] = {{"sadd.s32", add},
                  {"ssub.s32", subtract},
                  {"smul.u32", multiply},
                  {"smulhi.u32", multiply_high},
                  {"sand.u32", and},
                  {"sor.u32", or },
                  {"sxor.u32", xor},
                  {"sshll.u32", left},
                  {"sshrl.u32", right},
                  {"sshra.s32", right_signed},
                  {"smax.u32", largest},
                  {"smin.u32", smallest},
                  {"smax.s32", largest_signed},
                  {"smin.s32", smallest_signed},
                  {"sdiv.u32", divide},
                  {"srem.u32", remain},
                  {"scalar_lea.vmem", add}};
#define OPERATIONS ((int)(sizeof operations / sizeof *operations))

/* Numbers at the edges as often as others. */
static uint32_t random_word(void) {
  static const uint32_t edges[] = {
      0,          1,          2,          31,         32,  33,
      0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, 4096};
  return check_between(0, 1) ? (uint32_t)check_random()
                             : edges[check_between(0, 10)];
}

static void test_arithmetic(void) {
  for (int i = 0; i < OPERATIONS; i++) {
    listing_case c = {0};
    for (int round = 0; round < 20; round++) {
      uint32_t a = random_word(), b = random_word();
      case_addf(&c, "%%s1_s1 = smov.u32 %u  ;;  %%s2_s2 = smov.u32 %u", a, b);
      case_addf(&c, "%%s3_s3 = %s %%s1_s1, %%s2_s2", operations[i].word);
      expect_value(&c, 3, operations[i].expected(a, b));
    }
    check_values(&c, operations[i].word);
  }
}

static void test_floats(void) {
  static const struct {
    const char *word;
    float a, b, expected;
  } rows[] = {{"sadd.f32", 1.5f, 2.25f, 3.75f},
              {"ssub.f32", 1.5f, 2.25f, -0.75f},
              {"smul.f32", 1.5f, -2.5f, -3.75f},
              {"smax.f32", -1.5f, -2.5f, -1.5f},
              {"smin.f32", -1.5f, -2.5f, -2.5f}};
  listing_case c = {0};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    uint32_t expected;
    memcpy(&expected, &rows[i].expected, sizeof expected);
    case_addf(&c, "%%s1_s1 = smov.f32 %.3f  ;;  %%s2_s2 = smov.f32 %.3f",
              (double)rows[i].a, (double)rows[i].b);
    case_addf(&c, "%%s3_s3 = %s %%s1_s1, %%s2_s2", rows[i].word);
    expect_value(&c, 3, expected);
  }
  check_values(&c, "float arithmetic");
}

static void test_leading_zeros(void) {
  listing_case c = {0};
  for (int zeros = 0; zeros <= 32; zeros++) {
    case_addf(&c, "%%s3_s3 = sclz %u", zeros == 32 ? 0 : 1u << (31 - zeros));
    expect_value(&c, 3, (uint32_t)zeros);
  }
  check_values(&c, "sclz");
}

/* ---- Comparisons, predicates, selection ---------------------------------- */

static bool holds(const char *name, int order) {
  if (!strcmp(name, "eq")) return order == 0;
  if (!strcmp(name, "ne")) return order != 0;
  if (!strcmp(name, "lt")) return order < 0;
  if (!strcmp(name, "le")) return order <= 0;
  return !strcmp(name, "gt") ? order > 0 : order >= 0;
}

static void test_comparisons(void) {
  static const char *const names[] = {"eq", "ne", "lt", "le", "gt", "ge"};
  for (int i = 0; i < 12; i++) {
    bool is_signed = i < 6;
    listing_case c = {0};
    for (int round = 0; round < 20; round++) {
      uint32_t a = random_word(), b = round % 3 ? random_word() : a;
      int order = is_signed
                      ? ((int32_t)a > (int32_t)b) - ((int32_t)a < (int32_t)b)
                      : (a > b) - (a < b);
      case_addf(&c, "%%p1_p1 = scmp.%s.%s.totalorder %u, %u", names[i % 6],
                is_signed ? "s32" : "u32", a, b);
      case_add(&c,
               "%s3_s3 = scalar_select /*predicate=*/%p1_p1, "
               "/*on_true=*/1, /*on_false=*/2");
      expect_value(&c, 3, holds(names[i % 6], order) ? 1 : 2);
    }
    check_values(&c, names[i % 6]);
  }
}

static void test_predicates(void) {
  static const struct {
    const char *word;
    int table; /* bit 2 a + b: the result */
  } rows[] = {{"por", 14}, {"pnor", 1}, {"pand", 8}, {"pnand", 7}, {"pxor", 6}};
  listing_case c = {0};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (int ab = 0; ab < 4; ab++) {
      case_addf(&c, "%%p1_p1 = pmov %d  ;;  %%p2_p2 = pmov %d", ab >> 1,
                ab & 1);
      case_addf(&c, "%%p3_p3 = %s %%p1_p1, %%p2_p2", rows[i].word);
      case_add(&c,
               "%s3_s3 = scalar_select /*predicate=*/%p3_p3, "
               "/*on_true=*/1, /*on_false=*/0");
      expect_value(&c, 3, rows[i].table >> ab & 1);
    }
  check_values(&c, "a predicate");
}

/* What is under a false predicate leaves its register as it is. */
static void test_predicated(void) {
  for (int p = 0; p < 2; p++)
    for (int negated = 0; negated < 2; negated++) {
      listing_case c = {0};
      case_addf(&c, "%%p1_p1 = pmov %d  ;;  %%s1_s3 = smov.u32 5", p);
      case_addf(&c, "%%s3_s3 = smov.u32 (%s%%p1_p1, %%s1_s3), 9",
                negated ? "!" : "");
      expect_value(&c, 3, p != negated ? 9 : 5);
      check_values(&c, "a predicated slot");
    }
}

/* All slots of a bundle read before any writes. */
static void test_bundles_are_parallel(void) {
  listing_case c = {0};
  case_add(&c, "%s1_s1 = smov.u32 11  ;;  %s2_s2 = smov.u32 22");
  case_add(&c, "%s3_s1 = smov.u32 %s2_s2  ;;  %s4_s2 = smov.u32 %s1_s1");
  case_add(&c, "%s5_s3 = smov.u32 %s3_s1  ;;  %s6_s4 = smov.u32 %s4_s2");
  case_add(&c, "%s3_s3 = smov.u32 %s5_s3  ;;  %s4_s4 = smov.u32 %s6_s4");
  expect_value(&c, 3, 22);
  expect_value(&c, 4, 11);
  check_values(&c, "an exchange");
}

static void test_smem(void) {
  listing_case c = {0};
  case_add(&c, "%s1_s1 = smov.u32 3  ;;  %s2_s2 = smov.u32 77");
  case_add(&c, "%9 = sst [smem:[#allocation4 + %s1_s1]] %s2_s2");
  case_add(&c, "%9 = sst [smem:[#allocation5_spill]] 4294967295");
  case_add(&c, "%s3_s3 = sld [smem:[#allocation4 + $0x3]]");
  expect_value(&c, 3, 77);
  case_add(&c, "%s3_s3 = sld [smem:[#allocation5_spill]]");
  expect_value(&c, 3, UINT32_MAX);
  check_values(&c, "SMEM");
}

/* ---- Branches ------------------------------------------------------------ */

/* A loop of `trips`: its body and the four delay slots each time. */
static void test_loop(void) {
  for (int trips = 1; trips < 40; trips += 13) {
    listing_case c = {0};
    case_add(&c, "%s1_s1 = smov.u32 0");
    case_add_with(&c, "%s2_s1 = sphi %s1_s1, %s3_s1", "Start region 7");
    case_add(&c, "%s3_s1 = sadd.s32 1, %s2_s1");
    case_addf(&c, "%%p4_p0 = scmp.lt.s32.totalorder %%s3_s1, %d", trips);
    case_empty(&c, 1);
    case_add(&c, "%5 = sbr.rel (%p4_p0) target = $region7");
    case_empty(&c, 4);
    case_done(&c);
    CHECK(c.result.cycles == 1 + trips * 9 + 1, "%d trips: %lld cycles", trips,
          (long long)c.result.cycles);
    CHECK(c.result.profiles[0].counts[2] == (uint64_t)trips, "trips");
    CHECK(c.result.warning_count == 0, "warnings");
    case_release(&c);
  }
}

static void test_endless(void) {
  listing_case c = {.limit = 1000};
  case_add_with(&c, "%1 = sbr.rel target = $region3", "Start region 3");
  case_empty(&c, 4);
  case_run(&c);
  CHECK(c.status == PFL_STATUS_DEADLINE_EXCEEDED, "%s", c.error.message);
  CHECK(strstr(c.error.message, "1000 cycles"), "%s", c.error.message);
  case_release(&c);
}

static void test_nowhere(void) {
  listing_case c = {0};
  case_add(&c, "%1 = sbr.rel target = $region3");
  case_empty(&c, 4);
  case_run(&c);
  CHECK(c.status == PFL_STATUS_INVALID_ARGUMENT, "%d", c.status);
  CHECK(strstr(c.error.message, "region 3"), "%s", c.error.message);
  case_release(&c);
}

/* ---- What is not known --------------------------------------------------- */

/* A branch on what the vector side computed is not taken, and told. */
static void test_vector_branch(void) {
  listing_case c = {0};
  case_add(&c, "%1 = vpush %v0_v0");
  case_add(&c, "%s2_s2 = spop %1");
  case_add(&c, "%p3_p0 = scmp.lt.s32.totalorder %s2_s2, 3");
  case_add(&c, "%4 = sbr.rel (%p3_p0) target = $region9");
  case_empty(&c, 10);
  case_add_with(&c, "", "Start region 9");
  case_done(&c);
  CHECK(case_warnings(&c, SCHEDULE_WARNING_BRANCH) == 1, "no warning");
  CHECK(c.result.profiles[0].counts[9] == 1, "taken");
  case_release(&c);
}

static void test_known_in_spite(void) {
  listing_case c = {0};
  case_add(&c, "%1 = vpush %v0_v0");
  case_add(&c, "%s2_s2 = spop %1");
  case_add(&c, "%p3_p0 = scmp.lt.s32.totalorder %s2_s2, 3");
  case_add(&c, "%s3_s3 = sand.u32 %s2_s2, 0  ;;  %p4_p1 = por %p3_p0, 1");
  expect_value(&c, 3, 0);
  case_add(&c, "%s3_s3 = smul.u32 0, %s2_s2");
  expect_value(&c, 3, 0);
  case_add(&c,
           "%s3_s3 = scalar_select /*predicate=*/%p4_p1, /*on_true=*/8, "
           "/*on_false=*/%s2_s2");
  expect_value(&c, 3, 8);
  case_add(&c,
           "%s3_s3 = scalar_select /*predicate=*/%p3_p0, /*on_true=*/6, "
           "/*on_false=*/6");
  expect_value(&c, 3, 6);
  check_values(&c, "what does not depend on the unknown");
}

static void test_unknown_instruction(void) {
  listing_case c = {0};
  case_add(&c, "%s1_s1 = sfrobnicate.s32 4, 5  ;;  %2 = vbogus.f32 %v0_v0");
  case_add(&c, "%v3_v1 = vbogus.f32 %v0_v0");
  case_done(&c);
  CHECK(c.program->unknown_count == 2, "%lld",
        (long long)c.program->unknown_count);
  CHECK(!strcmp(c.program->unknown[0].name, "sfrobnicate.s32"), "%s",
        c.program->unknown[0].name);
  CHECK(c.program->unknown[1].count == 2, "%lld",
        (long long)c.program->unknown[1].count);
  CHECK(case_warnings(&c, SCHEDULE_WARNING_UNKNOWN) == 1, "not told");
  case_release(&c);
}

/* The listing's names say what a register holds: it must hold that. */
static void test_contradiction(void) {
  listing_case c = {0};
  case_add(&c, "%s1_s1 = smov.u32 1");
  case_add(&c, "%s2_s2 = sadd.s32 1, %s7_s1");
  case_done(&c);
  CHECK(case_warnings(&c, SCHEDULE_WARNING_NAME) == 1, "not told");
  case_release(&c);
}

int main(void) {
  return CHECK_RUN(
      test_arithmetic, test_floats, test_leading_zeros, test_comparisons,
      test_predicates, test_predicated, test_bundles_are_parallel, test_smem,
      test_loop, test_endless, test_nowhere, test_vector_branch,
      test_known_in_spite, test_unknown_instruction, test_contradiction);
}
