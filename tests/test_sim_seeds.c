/* The decode kernel on four chips, under a thousand seeds: whatever the order
 * that DMAs end and chips go on in, nothing is found and every bit of the
 * results is the same. PFLASH_SEED gives the first seed. */
#include "kernels/tpu_program.h"
#include "sim_case.h"

enum { SEEDS = 1000, CHIPS = 4 };

static const pfl_allocator heap;

static sim_tensor tensor_of(const kernels_tensor *tensor) {
  return (sim_tensor){kernels_element(tensor->dtype), tensor->rank,
                      tensor->shape};
}

static int64_t count_of(const kernels_tensor *tensor) {
  int64_t count = 1;
  for (int i = 0; i < tensor->rank; i++) count *= tensor->shape[i];
  return count;
}

/* Operands and results of the chips, and a copy of the first results. */
typedef struct buffers {
  void *in[CHIPS][KERNELS_TENSORS_MAX], *out[CHIPS][KERNELS_TENSORS_MAX];
  void *first[CHIPS][KERNELS_TENSORS_MAX];
} buffers;

static void *fill(const kernels_tensor *tensor, int64_t length) {
  int64_t count = count_of(tensor);
  void *bytes = calloc((size_t)count, pfl_dtype_size(tensor->dtype));
  CHECK_NEED(bytes);
  for (int64_t i = 0; i < count; i++) {
    if (tensor->dtype == PFL_DTYPE_BF16)
      ((uint16_t *)bytes)[i] = base_f32_to_bf16((float)check_normal());
    if (tensor->dtype == PFL_DTYPE_I32) ((int32_t *)bytes)[i] = (int32_t)length;
  }
  return bytes;
}

static void take(const kernels_kernel *kernel, int64_t length, buffers *b) {
  for (int chip = 0; chip < CHIPS; chip++) {
    for (int i = 0; i < kernel->input_count; i++)
      b->in[chip][i] = !kernel->inputs[i].split.split && chip
                           ? b->in[0][i]
                           : fill(&kernel->inputs[i], length);
    for (int i = 0; i < kernel->output_count; i++) {
      size_t bytes = (size_t)count_of(&kernel->outputs[i]) *
                     pfl_dtype_size(kernel->outputs[i].dtype);
      b->out[chip][i] = calloc(bytes, 1);
      b->first[chip][i] = calloc(bytes, 1);
      CHECK_NEED(b->out[chip][i] && b->first[chip][i]);
    }
  }
}

static void give_back(const kernels_kernel *kernel, buffers *b) {
  for (int chip = 0; chip < CHIPS; chip++) {
    for (int i = 0; i < kernel->input_count; i++)
      if (!chip || b->in[chip][i] != b->in[0][i]) free(b->in[chip][i]);
    for (int i = 0; i < kernel->output_count; i++) {
      free(b->out[chip][i]);
      free(b->first[chip][i]);
    }
  }
}

/* Bytes of a result that differ from the first run's, which is kept. */
static int64_t compare(const kernels_kernel *kernel, buffers *b, bool first) {
  int64_t different = 0;
  for (int chip = 0; chip < CHIPS; chip++)
    for (int i = 0; i < kernel->output_count; i++) {
      size_t bytes = (size_t)count_of(&kernel->outputs[i]) *
                     pfl_dtype_size(kernel->outputs[i].dtype);
      if (first) memcpy(b->first[chip][i], b->out[chip][i], bytes);
      different += memcmp(b->first[chip][i], b->out[chip][i], bytes) != 0;
    }
  return different;
}

static void run_seeds(const kernels_kernel *kernel, sim_program *program,
                      buffers *b, int count) {
  sim_slice *slice;
  pfl_error error;
  sim_run run = {.chips = CHIPS};
  for (int i = 0; i < CHIPS; i++) {
    run.operands[i] = b->in[i];
    run.results[i] = b->out[i];
  }
  uint64_t seed = check_random() >> 16;
  sim_options options = {.hostile = true, .seed = seed};
  CHECK_NEED(!sim_slice_create(&options, &heap, &slice, &error));
  static sim_report report;
  for (int i = 0; i < count; i++) {
    options.seed = seed + (uint64_t)i;
    sim_slice_set(slice, &options);
    pfl_status status = sim_slice_run(slice, program, &run, &report, &error);
    CHECK(!status, "%s", error.message);
    int64_t different = compare(kernel, b, i == 0);
    CHECK(!different, "seed %llu: %lld results differ",
          (unsigned long long)options.seed, (long long)different);
  }
  sim_slice_destroy(slice);
}

static void test_seeds(void) {
  pfl_decode d = {.struct_size = sizeof d,
                  .batch = 1,
                  .q_heads = 8,
                  .kv_heads = 2,
                  .q_length = 1,
                  .head_dim = 128,
                  .cache_length = 1024,
                  .dtype = PFL_DTYPE_BF16};
  attention_decode_problem problem;
  kernels_program program;
  pfl_error error;
  CHECK_NEED(!attention_decode_problem_init(&d, &problem, &error));
  kernels_request request = {.op = KERNELS_DECODE,
                             .decode = &problem,
                             .target = "v5e:2x2",
                             .chips = CHIPS,
                             .lse = true};
  CHECK_NEED(!kernels_write(&request, &heap, &program, &error));
  CHECK_NEED(program.kernel_count == 1);
  const kernels_kernel *k = &program.kernels[0];
  sim_tensor operands[KERNELS_TENSORS_MAX], results[KERNELS_TENSORS_MAX];
  for (int i = 0; i < k->input_count; i++)
    operands[i] = tensor_of(&k->inputs[i]);
  for (int i = 0; i < k->output_count; i++)
    results[i] = tensor_of(&k->outputs[i]);
  sim_kernel kernel = {.module = k->module,
                       .operands = operands,
                       .operand_count = k->input_count,
                       .results = results,
                       .result_count = k->output_count,
                       .has_communication = k->communicates,
                       .vmem_limit_bytes = k->vmem_limit_bytes};
  sim_program *made;
  pfl_status status = sim_program_create(&kernel, &heap, &made, &error);
  CHECK(!status, "%s", error.message);
  CHECK_NEED(!status);
  buffers b = {{{0}}, {{0}}, {{0}}};
  take(k, 700, &b);
  run_seeds(k, made, &b, check_cases(SEEDS));
  give_back(k, &b);
  sim_program_destroy(made);
  kernels_program_release(&program);
}

int main(void) { return CHECK_RUN(test_seeds); }
