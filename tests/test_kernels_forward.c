/* The forward kernel: what it refuses, that what it writes keeps the rules and
 * reads back, and that writing is linear in what is written. */
#include "check.h"
#include "kernels/tpu_program.h"

static const pfl_allocator heap;

static attention_problem problem_of(const pfl_attention *given) {
  attention_problem problem;
  pfl_error error = {PFL_STATUS_OK, ""};
  pfl_status status = attention_problem_init(given, &problem, &error);
  CHECK(!status, "%s", error.message);
  CHECK_NEED(!status);
  return problem;
}

/* `extras`: 1 lse, 2 segment ids, 4 sinks. */
static pfl_status write(const attention_problem *problem, int64_t extras,
                        const kernels_tile *tiles, int tile_count,
                        kernels_program *out_program, pfl_error *error) {
  *error = (pfl_error){PFL_STATUS_OK, ""};
  return kernels_write(&(kernels_request){.op = KERNELS_FORWARD,
                                          .problem = problem,
                                          .target = "v5e:1x1",
                                          .lse = extras & 1,
                                          .segment_ids = extras & 2,
                                          .sinks = extras & 4,
                                          .tiles = tiles,
                                          .tile_count = tile_count},
                       &heap, out_program, error);
}

static pfl_attention any_attention(void) {
  int64_t kv_heads = check_between(1, 3);
  pfl_attention a = {
      .struct_size = sizeof a,
      .batch = check_between(1, 2),
      .q_heads = kv_heads * check_between(1, 4),
      .kv_heads = kv_heads,
      .q_length = check_between(1, 3000),
      .kv_length = check_between(1, 3000),
      .head_dim = check_between(1, 256),
      .v_head_dim = check_between(0, 256),
      .dtype = check_between(0, 1) ? PFL_DTYPE_BF16 : PFL_DTYPE_F32,
      .scoring = {.causal = check_between(0, 1) == 1}};
  if (check_between(0, 2) == 0) {
    a.scoring.windowed = 1;
    a.scoring.window_left = check_between(-1, 700);
    a.scoring.window_right = check_between(-1, 700);
  }
  if (check_between(0, 2) == 0) a.scoring.softcap = 30;
  if (check_between(0, 2) == 0) {
    a.q_length = check_between(1, 131072);
    a.kv_length = check_between(0, 1) ? a.q_length : check_between(1, 131072);
  }
  return a;
}

/* Every valid problem has a kernel, which reads back as what prints the same.
 */
static void test_any_problem(void) {
  for (int i = 0; i < check_cases(100); i++) {
    pfl_attention given = any_attention();
    attention_problem problem = problem_of(&given);
    kernels_program program;
    pfl_error error;
    pfl_status status =
        write(&problem, check_between(0, 7), NULL, 0, &program, &error);
    CHECK(!status, "%s", error.message);
    if (status) continue;
    base_text text = {0}, again = {0};
    mo_module *module;
    CHECK_NEED(!mo_print(program.kernels[0].module, NULL, &text, &error));
    CHECK_NEED(!mo_parse(text.bytes, text.length, &heap, &module, &error));
    CHECK_NEED(!mo_print(module, NULL, &again, &error));
    CHECK(text.length == again.length &&
              !memcmp(text.bytes, again.bytes, text.length),
          "the kernel does not read back as it was");
    status = mo_verify(module, &error);
    CHECK(!status, "%s", error.message);
    mo_module_destroy(module);
    base_text_release(&text);
    base_text_release(&again);
    kernels_program_release(&program);
  }
}

static void refused(const pfl_attention *given, const char *tile, int64_t value,
                    const char *why) {
  attention_problem problem = problem_of(given);
  kernels_program program;
  pfl_error error;
  kernels_tile tiles[] = {{tile, value}};
  pfl_status status = write(&problem, 1, tiles, tile != NULL, &program, &error);
  CHECK(status == PFL_STATUS_INVALID_ARGUMENT, "status %d", status);
  CHECK(strstr(error.message, why), "'%s' does not say '%s'", error.message,
        why);
  CHECK(!program.kernel_count, "a program was left");
}

static void test_refusals(void) {
  pfl_attention a = {.struct_size = sizeof a,
                     .batch = 1,
                     .q_heads = 2,
                     .kv_heads = 2,
                     .q_length = 512,
                     .kv_length = 512,
                     .head_dim = 128,
                     .dtype = PFL_DTYPE_BF16};
  refused(&a, "block_q", 100, "must be a multiple of 128");
  refused(&a, "block_k", 64, "must be a multiple of 128");
  refused(&a, "unroll", 3, "must be a power of two");
  refused(&a, "tile", 384, "divides 512");
  refused(&a, "colour", 1, "no tile of forward is called 'colour'");
  refused(&a, "segment", 640, "must be a multiple of block_k, 512");
  a.dtype = PFL_DTYPE_F16;
  refused(&a, NULL, 0, "bf16 and f32");
  a.dtype = PFL_DTYPE_BF16;
  a.kv_length = 0;
  refused(&a, NULL, 0, "at least 1");
}

/* What plan a causal problem of that many tokens has. */
static void planned(int64_t length, int64_t head_dim, int64_t window,
                    const char *words) {
  pfl_attention a = {.struct_size = sizeof a,
                     .batch = 1,
                     .q_heads = 2,
                     .kv_heads = 1,
                     .q_length = length,
                     .kv_length = length,
                     .head_dim = head_dim,
                     .dtype = PFL_DTYPE_BF16,
                     .scoring = {.causal = 1,
                                 .windowed = window > 0,
                                 .window_left = window,
                                 .window_right = window > 0 ? -1 : 0}};
  attention_problem problem = problem_of(&a);
  kernels_program program;
  pfl_error error;
  pfl_status status = write(&problem, 7, NULL, 0, &program, &error);
  CHECK(!status, "%s", error.message);
  CHECK(strstr(program.plan, words), "%lld tokens: '%s' does not say '%s'",
        (long long)length, program.plan, words);
  kernels_program_release(&program);
}

/* A head lies in VMEM while there is room for it, but not where bands hide the
 * copies of their segments. */
static void test_residency(void) {
  planned(65536, 128, 0, "K and V in VMEM");
  planned(131072, 128, 0, "K and V in segments of 8192 keys");
  planned(131072, 256, 0, "K and V in segments of 4096 keys");
  planned(131071, 192, 0, "K and V in segments of 4096 keys");
  planned(8192, 128, 1024, "a band");
  planned(8192, 128, 1024, "K and V in segments of 2560 keys");
}

/* Longer sequences make no longer kernel: the work is in the grid and the
 * loops. */
static void test_size(void) {
  size_t sizes[2];
  for (int i = 0; i < 2; i++) {
    int64_t length = i ? 32768 : 8192;
    pfl_attention a = {.struct_size = sizeof a,
                       .batch = 1,
                       .q_heads = 8,
                       .kv_heads = 8,
                       .q_length = length,
                       .kv_length = length,
                       .head_dim = 128,
                       .dtype = PFL_DTYPE_BF16,
                       .scoring = {.causal = 1}};
    attention_problem problem = problem_of(&a);
    kernels_program program;
    pfl_error error;
    CHECK_NEED(!write(&problem, 7, NULL, 0, &program, &error));
    base_text text = {0};
    CHECK_NEED(!mo_print(program.kernels[0].module, NULL, &text, &error));
    sizes[i] = text.length;
    base_text_release(&text);
    kernels_program_release(&program);
  }
  CHECK(sizes[1] < sizes[0] + 1000, "%zu bytes, then %zu", sizes[0], sizes[1]);
}

int main(void) {
  return CHECK_RUN(test_any_problem, test_refusals, test_residency, test_size);
}
