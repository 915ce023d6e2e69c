/* The computing half of `pflash run`: from checked tensors to results. */
#include "job.h"

#include <time.h>

#include "attention/problem.h"
#include "base/dtype.h"

const void *job_input(const cli_job *job, const char *name) {
  const safetensors_tensor *tensor = safetensors_find(&job->file, name);
  return tensor ? tensor->data : NULL;
}

static void *find(const safetensors_tensor *tensors, int count,
                  const char *name) {
  for (int i = 0; i < count; i++)
    if (!strcmp(tensors[i].name, name)) return tensors[i].data;
  return NULL;
}

static void *output(const cli_job *job, const char *name) {
  return find(job->outputs, job->output_count, name);
}

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

static pfl_scoring scoring(const cli_options *options) {
  return (pfl_scoring){.scale = options->scale,
                       .softcap = options->softcap,
                       .causal = options->causal,
                       .windowed = options->windowed,
                       .window_left = options->window_left,
                       .window_right = options->window_right};
}

pfl_attention job_attention(const cli_job *job) {
  const int64_t *sizes = job->set.sizes;
  return (pfl_attention){.struct_size = sizeof(pfl_attention),
                         .batch = sizes[SIZE_B],
                         .q_heads = sizes[SIZE_Hq],
                         .kv_heads = sizes[SIZE_Hkv],
                         .q_length = sizes[SIZE_Sq],
                         .kv_length = sizes[SIZE_Sk],
                         .head_dim = sizes[SIZE_D],
                         .v_head_dim = sizes[SIZE_Dv],
                         .dtype = job->set.dtype,
                         .scoring = scoring(job->options)};
}

pfl_decode job_decode(const cli_job *job) {
  const int64_t *sizes = job->set.sizes;
  return (pfl_decode){.struct_size = sizeof(pfl_decode),
                      .batch = sizes[SIZE_B],
                      .q_heads = sizes[SIZE_Hq],
                      .kv_heads = sizes[SIZE_Hkv],
                      .q_length = sizes[SIZE_T],
                      .head_dim = sizes[SIZE_D],
                      .v_head_dim = sizes[SIZE_Dv],
                      .cache_length = sizes[SIZE_Smax],
                      .page_count = sizes[SIZE_N],
                      .page_length = sizes[SIZE_page],
                      .pages_per_sequence = sizes[SIZE_pages],
                      .dtype = job->set.dtype,
                      .cache_dtype = job->set.cache_dtype,
                      .scoring = scoring(job->options)};
}

/* Scale and cost; and the problem's own errors before any work. */
static pfl_status cost_attention(cli_job *job, pfl_error *error) {
  pfl_attention attention = job_attention(job);
  attention_problem problem;
  PFL_TRY(attention_problem_init(&attention, &problem, error));
  job->scale = problem.scale;
  job->work = job->set.form == FORM_FORWARD
                  ? attention_forward_flops(&problem)
                  : attention_backward_flops(&problem);
  return PFL_STATUS_OK;
}

static pfl_status cost_decode(cli_job *job, pfl_error *error) {
  pfl_decode decode = job_decode(job);
  attention_decode_problem problem;
  PFL_TRY(attention_decode_problem_init(&decode, &problem, error));
  job->scale = problem.scale;
  job->work = attention_decode_bytes(&problem, job_input(job, "lengths"));
  return PFL_STATUS_OK;
}

static pfl_status widen_sinks(cli_job *job, pfl_error *error) {
  const safetensors_tensor *tensor = safetensors_find(&job->file, "sinks");
  if (!tensor) return PFL_STATUS_OK;
  pfl_allocator allocator = {0};
  int64_t heads = job->set.sizes[SIZE_Hq];
  job->sinks = base_allocate(&allocator, (size_t)heads * sizeof *job->sinks);
  if (!job->sinks)
    PFL_RAISE(error, RESOURCE_EXHAUSTED,
              "no memory for tensor \"sinks\" in F32");
  for (int64_t h = 0; h < heads; h++)
    job->sinks[h] = base_element_get(tensor->data, tensor->dtype, h);
  return PFL_STATUS_OK;
}

static pfl_status create_context(cli_job *job, pfl_error *error) {
  pfl_context_options options = {.struct_size = sizeof options,
                                 .threads = job->options->threads,
                                 .isa = (pfl_isa)job->options->isa};
  return pfl_context_create(&options, &job->context, error);
}

static pfl_status compute_forward(cli_job *job, void *out_o, float *out_lse,
                                  double *out_ms, pfl_error *error) {
  pfl_attention attention = job_attention(job);
  pfl_forward_args args = {.struct_size = sizeof args,
                           .q = job_input(job, "q"),
                           .k = job_input(job, "k"),
                           .v = job_input(job, "v"),
                           .q_segment_ids = job_input(job, "q_segment_ids"),
                           .kv_segment_ids = job_input(job, "kv_segment_ids"),
                           .sinks = job->sinks,
                           .out_o = out_o,
                           .out_lse = out_lse};
  double start = now_ms();
  PFL_TRY(pfl_attention_forward(job->context, &attention, &args, error));
  *out_ms = now_ms() - start;
  return PFL_STATUS_OK;
}

static pfl_status compute_backward(cli_job *job, const void *o,
                                   const float *lse, pfl_error *error) {
  pfl_attention attention = job_attention(job);
  pfl_backward_args args = {.struct_size = sizeof args,
                            .q = job_input(job, "q"),
                            .k = job_input(job, "k"),
                            .v = job_input(job, "v"),
                            .o = o,
                            .lse = lse,
                            .d_o = job_input(job, "do"),
                            .q_segment_ids = job_input(job, "q_segment_ids"),
                            .kv_segment_ids = job_input(job, "kv_segment_ids"),
                            .sinks = job->sinks,
                            .out_dq = output(job, "dq"),
                            .out_dk = output(job, "dk"),
                            .out_dv = output(job, "dv"),
                            .out_dsinks = output(job, "dsinks")};
  double start = now_ms();
  PFL_TRY(pfl_attention_backward(job->context, &attention, &args, error));
  job->time_ms = now_ms() - start;
  return PFL_STATUS_OK;
}

/* o and lse are the file's or, where it has none, those of a forward call. */
static pfl_status compute_gradients(cli_job *job, pfl_error *error) {
  if (safetensors_find(&job->file, "o"))
    return compute_backward(job, job_input(job, "o"), job_input(job, "lse"),
                            error);
  tensor_set forward = job->set;
  safetensors_tensor made[TENSOR_OUTPUTS_MAX];
  int count;
  forward.form = FORM_FORWARD;
  PFL_TRY(cli_tensors_make_outputs(&forward, &job->file, made, &count, error));
  void *o = find(made, count, "o"), *lse = find(made, count, "lse");
  pfl_status status = compute_forward(job, o, lse, &job->forward_ms, error);
  if (!status) status = compute_backward(job, o, lse, error);
  cli_tensors_release(made, count);
  return status;
}

pfl_decode_args job_decode_args(const cli_job *job) {
  bool paged = job->set.form == FORM_PAGED;
  return (pfl_decode_args){.struct_size = sizeof(pfl_decode_args),
                           .q = job_input(job, "q"),
                           .k = job_input(job, paged ? "k_pages" : "k"),
                           .v = job_input(job, paged ? "v_pages" : "v"),
                           .k_scale = job_input(job, "k_scale"),
                           .v_scale = job_input(job, "v_scale"),
                           .lengths = job_input(job, "lengths"),
                           .block_table = job_input(job, "block_table"),
                           .sinks = job->sinks,
                           .out_o = output(job, "o"),
                           .out_lse = output(job, "lse")};
}

static pfl_status compute_decode(cli_job *job, pfl_error *error) {
  pfl_decode decode = job_decode(job);
  pfl_decode_args args = job_decode_args(job);
  double start = now_ms();
  PFL_TRY(pfl_attention_decode(job->context, &decode, &args, error));
  job->time_ms = now_ms() - start;
  return PFL_STATUS_OK;
}

pfl_status job_compute(cli_job *job, pfl_error *error) {
  bool decode = job->options->op == OP_DECODE;
  PFL_TRY(decode ? cost_decode(job, error) : cost_attention(job, error));
  PFL_TRY(widen_sinks(job, error));
  PFL_TRY(cli_tensors_make_outputs(&job->set, &job->file, job->outputs,
                                   &job->output_count, error));
  if (device_of(job->options) != ON_CPU)
    return job_compute_on_device(job, error);
  PFL_TRY(create_context(job, error));
  if (decode) return compute_decode(job, error);
  if (job->options->op == OP_BACKWARD) return compute_gradients(job, error);
  return compute_forward(job, output(job, "o"), output(job, "lse"),
                         &job->time_ms, error);
}

void job_release(cli_job *job) {
  pfl_allocator allocator = {0};
  pfl_context_destroy(job->context);
  cli_tensors_release(job->outputs, job->output_count);
  base_release(&allocator, job->sinks);
  safetensors_release(&job->file);
}
