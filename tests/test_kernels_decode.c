/* The decode kernel: what it refuses, that what it writes keeps the rules and
 * reads back, and that longer caches make no longer kernels. */
#include "check.h"
#include "kernels/tpu_program.h"

static const pfl_allocator heap;

static attention_decode_problem problem_of(const pfl_decode *given) {
  attention_decode_problem problem;
  pfl_error error = {PFL_STATUS_OK, ""};
  pfl_status status = attention_decode_problem_init(given, &problem, &error);
  CHECK(!status, "%s", error.message);
  CHECK_NEED(!status);
  return problem;
}

static pfl_status write(const attention_decode_problem *problem, int chips,
                        const kernels_tile *tiles, int tile_count,
                        kernels_program *out_program, pfl_error *error) {
  *error = (pfl_error){PFL_STATUS_OK, ""};
  return kernels_write(&(kernels_request){.op = KERNELS_DECODE,
                                          .decode = problem,
                                          .target = "v5e:2x2",
                                          .chips = chips,
                                          .lse = true,
                                          .tiles = tiles,
                                          .tile_count = tile_count},
                       &heap, out_program, error);
}

static pfl_decode any_decode(void) {
  static const int64_t dims[] = {64, 96, 128, 192, 256, 32};
  int64_t kv_heads = check_between(1, 4), group = check_between(1, 32);
  pfl_decode d = {
      .struct_size = sizeof d,
      .batch = check_between(1, 5),
      .q_heads = kv_heads * group,
      .kv_heads = kv_heads,
      .q_length = check_between(1, 8),
      .head_dim = dims[check_between(0, 5)],
      .cache_length = check_between(8, 5000),
      .dtype = check_between(0, 1) ? PFL_DTYPE_BF16 : PFL_DTYPE_F32};
  if (check_between(0, 1)) d.v_head_dim = dims[check_between(0, 5)];
  if (check_between(0, 1)) d.scoring.softcap = 20;
  if (check_between(0, 1)) {
    d.scoring.windowed = 1;
    d.scoring.window_left = check_between(0, 700);
  }
  return d;
}

static void check_reads_back(const mo_module *written) {
  base_text text = {0}, again = {0};
  mo_module *module;
  pfl_error error;
  CHECK_NEED(!mo_print((mo_module *)(uintptr_t)written, NULL, &text, &error));
  CHECK_NEED(!mo_parse(text.bytes, text.length, &heap, &module, &error));
  CHECK_NEED(!mo_print(module, NULL, &again, &error));
  CHECK(text.length == again.length &&
            !memcmp(text.bytes, again.bytes, text.length),
        "the kernel does not read back as it was");
  pfl_status status = mo_verify(module, &error);
  CHECK(!status, "%s", error.message);
  mo_module_destroy(module);
  base_text_release(&text);
  base_text_release(&again);
}

static int64_t count_of(const kernels_tensor *tensor) {
  int64_t count = 1;
  for (int i = 0; i < tensor->rank; i++) count *= tensor->shape[i];
  return count;
}

/* The chips together have room for every head and token, and not a turn too
 * much. */
static void check_cache(const attention_decode_problem *p, int chips,
                        const kernels_tensor *tensor, int64_t width) {
  bool heads = tensor->split.dimension == 1;
  int64_t last = tensor->shape[tensor->rank - 1];
  if (tensor->row) width = last;
  CHECK(last % 128 == 0, "XLA would copy rows of %lld", (long long)last);
  int64_t all = p->B * p->Hkv * width / (heads ? chips : 1);
  int64_t tokens = count_of(tensor) / all * (heads ? 1 : chips);
  int64_t turn = heads ? 128 : tensor->split.unit * chips;
  CHECK(tensor->split.split, "not split");
  CHECK(!heads || (tensor->split.unit * chips == p->Hkv && chips > 1),
        "%lld of %lld heads", (long long)tensor->split.unit, (long long)p->Hkv);
  CHECK(tokens >= p->Smax && tokens < p->Smax + turn,
        "%s: room for %lld of %lld tokens", tensor->name, (long long)tokens,
        (long long)p->Smax);
}

static void test_any_problem(void) {
  for (int i = 0; i < check_cases(60); i++) {
    pfl_decode given = any_decode();
    attention_decode_problem problem = problem_of(&given);
    kernels_program program;
    pfl_error error;
    int chips = check_between(0, 1) ? 4 : 1;
    pfl_status status = write(&problem, chips, NULL, 0, &program, &error);
    CHECK(!status, "%s", error.message);
    if (status) continue;
    const kernels_kernel *kernel = &program.kernels[0];
    bool heads = kernel->inputs[2].split.dimension == 1;
    CHECK(kernel->communicates == (chips > 1 && !heads), "communicates");
    CHECK(kernel->outputs[0].split.split == heads, "o is split");
    check_cache(&problem, chips, &kernel->inputs[2], problem.D);
    check_cache(&problem, chips, &kernel->inputs[3], problem.Dv);
    check_reads_back(kernel->module);
    kernels_program_release(&program);
  }
}

static const pfl_decode usual = {.struct_size = sizeof usual,
                                 .batch = 1,
                                 .q_heads = 32,
                                 .kv_heads = 8,
                                 .q_length = 1,
                                 .head_dim = 128,
                                 .cache_length = 8192,
                                 .dtype = PFL_DTYPE_BF16};

static void refused(const pfl_decode *given, int chips, const char *tile,
                    int64_t value, const char *why) {
  attention_decode_problem problem = problem_of(given);
  kernels_program program;
  pfl_error error;
  kernels_tile tiles[] = {{tile, value}};
  pfl_status status =
      write(&problem, chips, tiles, tile != NULL, &program, &error);
  CHECK(status == PFL_STATUS_INVALID_ARGUMENT, "status %d", status);
  CHECK(strstr(error.message, why), "'%s' does not say '%s'", error.message,
        why);
  CHECK(!program.kernel_count, "a program was left");
}

static void test_refusals(void) {
  pfl_decode d = usual;
  refused(&d, 2, NULL, 0, "1 or on the 4");
  refused(&d, 1, "tile", 1000, "must be a multiple of 128");
  refused(&d, 1, "ring", 3, "must be a power of two");
  refused(&d, 1, "heads", 3, "must divide Hkv");
  refused(&d, 4, "head_chips", 2, "must be 1, or 4");
  refused(&d, 1, "block_q", 128, "no tile of decode is called 'block_q'");
  d.dtype = PFL_DTYPE_F16;
  refused(&d, 1, NULL, 0, "bf16 and f32");
  d = usual;
  d.q_length = 64;
  d.q_heads = 64;
  refused(&d, 1, NULL, 0, "at most 256 rows");
  d = usual;
  d.batch = 0;
  refused(&d, 1, NULL, 0, "nothing to decode");
}

/* Longer caches make no longer kernel: the work is in the loops. */
static void test_size(void) {
  size_t sizes[2];
  for (int i = 0; i < 2; i++) {
    pfl_decode d = usual;
    d.cache_length = i ? 131072 : 8192;
    attention_decode_problem problem = problem_of(&d);
    kernels_program program;
    pfl_error error;
    CHECK_NEED(!write(&problem, 4, NULL, 0, &program, &error));
    base_text text = {0};
    CHECK_NEED(!mo_print(program.kernels[0].module, NULL, &text, &error));
    sizes[i] = text.length;
    base_text_release(&text);
    kernels_program_release(&program);
  }
  CHECK(sizes[1] < sizes[0] + 1000, "%zu bytes, then %zu", sizes[0], sizes[1]);
}

/* Scores that VMEM has no room for are made a segment at a time. */
static void test_segments(void) {
  pfl_decode d = usual;
  d.q_heads = 256;
  d.q_length = 8;
  d.cache_length = 131072;
  attention_decode_problem problem = problem_of(&d);
  kernels_program program;
  pfl_error error;
  CHECK_NEED(!write(&problem, 1, NULL, 0, &program, &error));
  CHECK(strstr(program.plan, "scores of 32768 tokens at a time"), "%s",
        program.plan);
  kernels_program_release(&program);
  d.cache_length = 32768;
  problem = problem_of(&d);
  CHECK_NEED(!write(&problem, 1, NULL, 0, &program, &error));
  CHECK(!strstr(program.plan, "scores of"), "%s", program.plan);
  kernels_program_release(&program);
  refused(&d, 1, "segment", 1000, "must be a multiple of tile");
}

int main(void) {
  return CHECK_RUN(test_any_problem, test_refusals, test_size, test_segments);
}
