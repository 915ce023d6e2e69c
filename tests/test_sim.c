/* The simulated chip: kernels of the tests of src/mosaic, run, and held against
 * plain C. */
#include "mosaic_kernels.h"
#include "sim_case.h"

static const sim_options calm = {.hostile = false};

static sim_options hostile(void) {
  return (sim_options){.hostile = true, .seed = check_random()};
}

#define RUN(c, options)                                             \
  do {                                                              \
    sim_options given = options;                                    \
    pfl_status status = sim_case_run(&c, &given);                   \
    CHECK(!status, "seed %llu: %s", (unsigned long long)given.seed, \
          c.error.message);                                         \
    if (status) sim_case_print(&c);                                 \
  } while (0)

static void test_vector_add(void) {
  sim_case c;
  sim_case_begin(&c, build_vector_add, 1);
  float *x = sim_case_operand(&c, MO_F32, MO_SHAPE(256, 128));
  float *y = sim_case_operand(&c, MO_F32, MO_SHAPE(256, 128));
  float *z = sim_case_result(&c, MO_F32, MO_SHAPE(256, 128));
  sim_case_randomize(&c, 1);
  for (int turn = 0; turn < 2; turn++) {
    RUN(c, turn ? hostile() : calm);
    int wrong = 0;
    for (int i = 0; i < 256 * 128; i++) wrong += z[i] != x[i] + y[i];
    CHECK(!wrong, "%d elements", wrong);
  }
  sim_case_end(&c);
}

static void test_matmul(void) {
  sim_case c;
  sim_case_begin(&c, build_matmul, 1);
  uint16_t *a = sim_case_operand(&c, MO_BF16, MO_SHAPE(1024, 1024));
  uint16_t *b = sim_case_operand(&c, MO_BF16, MO_SHAPE(512, 1024));
  uint16_t *out = sim_case_result(&c, MO_BF16, MO_SHAPE(1024, 512));
  sim_case_randomize(&c, 1);
  RUN(c, hostile());
  for (int turn = 0; turn < 200; turn++) {
    int i = (int)check_between(0, 1023), j = (int)check_between(0, 511);
    double sum = 0, size = 0;
    for (int p = 0; p < 1024; p++) {
      double term = (double)base_bf16_to_f32(a[i * 1024 + p]) *
                    base_bf16_to_f32(b[j * 1024 + p]);
      sum += term;
      size += fabs(term);
    }
    double got = base_bf16_to_f32(out[i * 512 + j]);
    /* rounding to bf16, and 1024 sums in f32 */
    double bound = fabs(sum) * 0x1p-8 + size * 1024 * 0x1p-24;
    CHECK(fabs(got - sum) <= bound, "%d, %d: %g, not %g", i, j, got, sum);
  }
  CHECK(c.report.statistics.matmul_flops == 2ll * 1024 * 1024 * 512,
        "%lld flops", (long long)c.report.statistics.matmul_flops);
  sim_case_end(&c);
}

static void test_double_buffer(void) {
  for (int turn = 0; turn < 20; turn++) {
    sim_case c;
    sim_case_begin(&c, build_double_buffer, 1);
    float *x = sim_case_operand(&c, MO_F32, MO_SHAPE(16, 64, 128));
    float *y = sim_case_result(&c, MO_F32, MO_SHAPE(16, 64, 128));
    sim_case_randomize(&c, 1);
    RUN(c, hostile());
    int wrong = 0;
    for (int i = 0; i < 16 * 64 * 128; i++) wrong += y[i] != 2 * x[i];
    CHECK(!wrong, "%d elements", wrong);
    sim_case_end(&c);
  }
}

static void test_exchange(void) {
  for (int turn = 0; turn < 20; turn++) {
    sim_case c;
    sim_case_begin(&c, build_exchange, 4);
    float *x = sim_case_operand(&c, MO_F32, MO_SHAPE(8, 128));
    float *y = sim_case_result(&c, MO_F32, MO_SHAPE(8, 128));
    sim_case_randomize(&c, 1);
    RUN(c, hostile());
    int wrong = 0;
    for (int chip = 0; chip < 4; chip++) {
      const float *mine = sim_case_of(&c, chip, x);
      const float *theirs = sim_case_of(&c, chip ^ 1, x);
      const float *sum = sim_case_of(&c, chip, y);
      for (int i = 0; i < 8 * 128; i++) wrong += sum[i] != mine[i] + theirs[i];
    }
    CHECK(!wrong, "%d elements", wrong);
    sim_case_end(&c);
  }
}

/* ---- Traces -------------------------------------------------------------- */

typedef struct spans {
  int count, wrong;
  int64_t bytes[3]; /* by track */
  double us[3], end_us;
  int links;
} spans;

static void collect(void *user, const sim_span *span) {
  spans *s = user;
  s->count++;
  s->wrong += !(span->begin_us >= 0 && span->end_us >= span->begin_us) ||
              !span->name || span->chip < 0 || span->chip >= 4;
  s->bytes[span->track] += span->bytes;
  s->us[span->track] += span->end_us - span->begin_us;
  if (span->end_us > s->end_us) s->end_us = span->end_us;
  if (span->track == SIM_TRACK_LINK) s->links += span->peer == (span->chip ^ 1);
}

/* A ring of two: the copies run while tiles are worked on. */
static void test_trace(void) {
  spans s = {0};
  sim_options options = {
      .hostile = true, .seed = 5, .trace = collect, .trace_user = &s};
  sim_case c;
  sim_case_begin(&c, build_double_buffer, 1);
  sim_case_operand(&c, MO_F32, MO_SHAPE(16, 64, 128));
  sim_case_result(&c, MO_F32, MO_SHAPE(16, 64, 128));
  RUN(c, options);
  int64_t bytes = 16 * 64 * 128 * 4;
  CHECK(!s.wrong && s.count > 16, "%d spans, %d wrong", s.count, s.wrong);
  CHECK(s.bytes[SIM_TRACK_DMA] == bytes, "%lld bytes",
        (long long)s.bytes[SIM_TRACK_DMA]);
  /* 819 GB/s, and some of it while the core works */
  CHECK(fabs(s.us[SIM_TRACK_DMA] - (double)bytes / 819e3) < 1e-6, "%g us",
        s.us[SIM_TRACK_DMA]);
  CHECK(s.us[SIM_TRACK_DMA] + s.us[SIM_TRACK_CORE] > s.end_us,
        "%g us and %g us in %g us", s.us[SIM_TRACK_DMA], s.us[SIM_TRACK_CORE],
        s.end_us);
  sim_case_end(&c);
  s = (spans){0};
  sim_case_begin(&c, build_exchange, 4);
  sim_case_operand(&c, MO_F32, MO_SHAPE(8, 128));
  sim_case_result(&c, MO_F32, MO_SHAPE(8, 128));
  RUN(c, options);
  CHECK(!s.wrong && s.links == 4 && s.bytes[SIM_TRACK_LINK] == 4 * 4096,
        "%d of %d spans wrong, %d links, %lld bytes", s.wrong, s.count, s.links,
        (long long)s.bytes[SIM_TRACK_LINK]);
  sim_case_end(&c);
}

/* ---- Threads ------------------------------------------------------------- */

/* One thread or two: the same run, hazards, counts and all. */
static void test_threads(void) {
  for (int turn = check_cases(20); turn > 0; turn--) {
    sim_report reports[2];
    uint64_t seed = check_random();
    for (int threads = 1; threads <= 2; threads++) {
      sim_case c;
      sim_case_begin(&c, build_exchange, 4);
      sim_case_operand(&c, MO_F32, MO_SHAPE(8, 128));
      sim_case_result(&c, MO_F32, MO_SHAPE(8, 128));
      sim_options options = {.hostile = true, .seed = seed, .threads = threads};
      RUN(c, options);
      reports[threads - 1] = c.report;
      sim_case_end(&c);
    }
    CHECK(!memcmp(&reports[0], &reports[1], sizeof reports[0]), "seed %llu",
          (unsigned long long)seed);
  }
}

int main(void) {
  return CHECK_RUN(test_vector_add, test_matmul, test_double_buffer,
                   test_exchange, test_trace, test_threads);
}
