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

int main(void) {
  return CHECK_RUN(test_vector_add, test_matmul, test_double_buffer,
                   test_exchange);
}
