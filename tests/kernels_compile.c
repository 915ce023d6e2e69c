/* kernels_compile: attention kernels through the real compiler, ahead of time,
 * for every chip and for shapes of every kind. Exit code 77 where there is no
 * compiler. */
#include "compiled.h"

static const pfl_allocator heap;
static bool missing;

/* [B, Hq, Hkv, Sq, Sk, D, Dv]; where Sq is odd, with segment ids and sinks. */
typedef struct compiled {
  int64_t sizes[7];
  pfl_dtype dtype;
  pfl_scoring scoring;
} compiled;

static void check_request(const kernels_request *request, const int64_t *s) {
  kernels_program program;
  pfl_error error = {PFL_STATUS_OK, ""};
  pfl_status status = kernels_write(request, &heap, &program, &error);
  if (!status) status = compiled_check(request->target, &program, &error);
  missing = status == PFL_STATUS_NOT_FOUND;
  if (missing)
    printf("skipped: %s\n", error.message);
  else
    CHECK(!status, "%s, %s, [%d, %d, %d, %d, %d, %d, %d], %d chips: %s",
          request->target, program.name, (int)s[0], (int)s[1], (int)s[2],
          (int)s[3], (int)s[4], (int)s[5], (int)s[6], program.chips,
          error.message);
  kernels_program_release(&program);
}

static void check_compiles(const char *target, kernels_op op,
                           const compiled *shape) {
  const int64_t *s = shape->sizes;
  pfl_attention attention = {.struct_size = sizeof attention,
                             .batch = s[0],
                             .q_heads = s[1],
                             .kv_heads = s[2],
                             .q_length = s[3],
                             .kv_length = s[4],
                             .head_dim = s[5],
                             .v_head_dim = s[6],
                             .dtype = shape->dtype,
                             .scoring = shape->scoring};
  attention_problem problem;
  pfl_error error = {PFL_STATUS_OK, ""};
  if (missing) return;
  CHECK_NEED(!attention_problem_init(&attention, &problem, &error));
  kernels_request request = {.op = op,
                             .problem = &problem,
                             .target = target,
                             .lse = true,
                             .segment_ids = s[3] % 2,
                             .sinks = s[3] % 2};
  check_request(&request, s);
}

static void check_op(kernels_op op) {
  static const char *const targets[] = {"v4:2x2x1", "v5p:2x2x1", "v5e:1x1",
                                        "v6e:2x2", "tpu7x:2x2x1"};
  static const compiled common = {
      {1, 4, 2, 1024, 1024, 128}, PFL_DTYPE_BF16, {.causal = 1}};
  static const compiled odd[] = {
      {{1, 1, 1, 1, 1, 64, 64}, PFL_DTYPE_BF16, {0}},
      {{2, 3, 1, 333, 517, 192, 128}, PFL_DTYPE_BF16, {.causal = 1}},
      {{1, 2, 2, 517, 300, 96}, PFL_DTYPE_BF16, {.causal = 1}},
      {{1, 2, 1, 129, 700, 256},
       PFL_DTYPE_BF16,
       {.windowed = 1, .window_left = 50, .window_right = 20, .softcap = 30}},
      {{1, 2, 1, 600, 600, 64},
       PFL_DTYPE_BF16,
       {.causal = 1, .windowed = 1, .window_left = 99, .window_right = -1}},
      {{1, 2, 2, 200, 200, 80, 40}, PFL_DTYPE_F32, {0}}};
  for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
    check_compiles(targets[i], op, &common);
  for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
    check_compiles("v5e:1x1", op, &odd[i]);
}

static void test_forward(void) { check_op(KERNELS_FORWARD); }

static void test_backward(void) { check_op(KERNELS_BACKWARD); }

/* The sizes are B, Hq, Hkv, T, Smax, D, Dv; page 0: contiguous. */
static void check_decode(const char *target, int chips, const compiled *shape,
                         bool int8, int64_t page) {
  const int64_t *s = shape->sizes;
  pfl_decode decode = {.struct_size = sizeof decode,
                       .batch = s[0],
                       .q_heads = s[1],
                       .kv_heads = s[2],
                       .q_length = s[3],
                       .cache_length = page ? 0 : s[4],
                       .page_length = page,
                       .pages_per_sequence = page ? s[4] / page : 0,
                       .page_count = page ? 2 * s[0] * (s[4] / page) : 0,
                       .head_dim = s[5],
                       .v_head_dim = s[6],
                       .dtype = shape->dtype,
                       .cache_dtype = int8 ? PFL_DTYPE_I8 : PFL_DTYPE_DEFAULT,
                       .scoring = shape->scoring};
  attention_decode_problem problem;
  pfl_error error = {PFL_STATUS_OK, ""};
  if (missing) return;
  CHECK_NEED(!attention_decode_problem_init(&decode, &problem, &error));
  kernels_request request = {.op = KERNELS_DECODE,
                             .decode = &problem,
                             .target = target,
                             .chips = chips,
                             .lse = true,
                             .sinks = chips == 1};
  check_request(&request, s);
}

static void test_decode(void) {
  static const char *const targets[] = {"v4:2x2x1", "v5p:2x2x1", "v5e:2x2",
                                        "v6e:2x2", "tpu7x:2x2x1"};
  static const compiled common = {
      {1, 32, 8, 1, 2048, 128}, PFL_DTYPE_BF16, {0}};
  static const compiled odd[] = {
      {{3, 8, 8, 1, 1000, 64}, PFL_DTYPE_BF16, {0}},
      {{2, 8, 2, 4, 1000, 192, 128},
       PFL_DTYPE_BF16,
       {.windowed = 1, .window_left = 100}},
      {{1, 32, 1, 8, 1000, 256}, PFL_DTYPE_BF16, {.softcap = 30}},
      {{2, 3, 1, 2, 1000, 96}, PFL_DTYPE_F32, {0}},
      {{1, 32, 1, 8, 262144, 128}, PFL_DTYPE_BF16, {0}}};
  for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
    check_decode(targets[i], 1, &common, i % 2 == 0, 0);
    check_decode(targets[i], 4, &common, i % 2, 0);
  }
  for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
    check_decode("v5e:2x2", i % 2 ? 4 : 1, &odd[i], i == 1, 0);
  check_decode("v5e:2x2", 4, &common, false, 16);
  check_decode("v5e:2x2", 1, &odd[1], false, 64);
  check_decode("v5e:2x2", 4, &common, true, 32);
  check_decode("v5e:2x2", 1, &odd[1], true, 256);
}

int main(void) {
  int failed = CHECK_RUN(test_forward, test_backward, test_decode);
  return failed ? failed : missing ? 77 : 0;
}
