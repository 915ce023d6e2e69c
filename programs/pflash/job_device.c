/* The computing half of `pflash run` on sim and tpu. */
#include <stdio.h>
#include <string.h>

#include "attention/problem.h"
#include "device/device.h"
#include "job.h"

enum { INPUTS_MOST = 16 };

/* What is computed: an op of the kernels, and its tensors by name. */
typedef struct device_call {
  kernels_op op;
  attention_problem problem;
  attention_decode_problem decode;
  device_tensor inputs[INPUTS_MOST], outputs[TENSOR_OUTPUTS_MAX];
  int input_count, output_count;
} device_call;

static device_tensor tensor_of(const safetensors_tensor *tensor) {
  device_tensor made = {.name = tensor->name,
                        .dtype = tensor->dtype,
                        .rank = tensor->rank,
                        .data = (void *)tensor->data};
  memcpy(made.shape, tensor->shape, (size_t)tensor->rank * sizeof *made.shape);
  return made;
}

static void add_input(device_call *call, device_tensor tensor) {
  call->inputs[call->input_count++] = tensor;
}

/* Those that the rules of the op name; a file may hold others. */
static void add_inputs(const cli_job *job, tensor_form form,
                       device_call *call) {
  for (int i = 0; i < tensor_rule_count; i++) {
    const tensor_rule *rule = &tensor_rules[i];
    const safetensors_tensor *found = safetensors_find(&job->file, rule->name);
    if (!tensor_rule_is_for(rule, form) || rule->use == USE_OUTPUT || !found)
      continue;
    device_tensor tensor = tensor_of(found);
    if (!strcmp(tensor.name, "sinks")) {
      tensor.dtype = PFL_DTYPE_F32;
      tensor.data = job->sinks;
    }
    if (!strcmp(tensor.name, "k_pages")) tensor.name = "k";
    if (!strcmp(tensor.name, "v_pages")) tensor.name = "v";
    add_input(call, tensor);
  }
}

static void add_outputs(const safetensors_tensor *outputs, int count,
                        device_call *call) {
  for (int i = 0; i < count; i++)
    call->outputs[call->output_count++] = tensor_of(&outputs[i]);
}

static kernels_request request_of(const cli_job *job, const device_call *call) {
  bool decode = call->op == KERNELS_DECODE;
  return (kernels_request){
      .op = call->op,
      .problem = decode ? NULL : &call->problem,
      .decode = decode ? &call->decode : NULL,
      .lse = call->op != KERNELS_BACKWARD,
      .segment_ids = !decode && job_input(job, "q_segment_ids"),
      .sinks = job->sinks,
      .chips = job->options->chips};
}

static pfl_status run_call(cli_job *job, const device_slice *slice,
                           const device_call *call, double *out_run_ms,
                           pfl_error *error) {
  kernels_request request = request_of(job, call);
  device_program program;
  device_times times;
  PFL_TRY(device_prepare(slice, &request, &program, error));
  if (!program.from_cache) job->compile_ms += program.compile_ms;
  pfl_status status =
      device_run(slice, &program, call->inputs, call->input_count,
                 call->outputs, call->output_count, &times, error);
  device_program_release(slice, &program);
  PFL_TRY(status);
  *out_run_ms = times.run_ms;
  job->upload_ms += times.upload_ms;
  job->download_ms += times.download_ms;
  return PFL_STATUS_OK;
}

/* ---- The ops ------------------------------------------------------------- */

static pfl_status run_forward(cli_job *job, const device_slice *slice,
                              const safetensors_tensor *outputs, int count,
                              double *out_run_ms, pfl_error *error) {
  pfl_attention attention = job_attention(job);
  device_call call = {.op = KERNELS_FORWARD};
  PFL_TRY(attention_problem_init(&attention, &call.problem, error));
  add_inputs(job, FORM_FORWARD, &call);
  add_outputs(outputs, count, &call);
  return run_call(job, slice, &call, out_run_ms, error);
}

/* o and lse are the file's or those in `made`. */
static pfl_status run_backward(cli_job *job, const device_slice *slice,
                               const safetensors_tensor *made, int made_count,
                               pfl_error *error) {
  pfl_attention attention = job_attention(job);
  device_call call = {.op = KERNELS_BACKWARD};
  PFL_TRY(attention_problem_init(&attention, &call.problem, error));
  add_inputs(job, FORM_BACKWARD, &call);
  for (int i = 0; i < made_count; i++) add_input(&call, tensor_of(&made[i]));
  add_outputs(job->outputs, job->output_count, &call);
  return run_call(job, slice, &call, &job->time_ms, error);
}

static pfl_status run_gradients(cli_job *job, const device_slice *slice,
                                pfl_error *error) {
  if (job_input(job, "o")) return run_backward(job, slice, NULL, 0, error);
  tensor_set forward = job->set;
  safetensors_tensor made[TENSOR_OUTPUTS_MAX];
  int count;
  forward.form = FORM_FORWARD;
  PFL_TRY(cli_tensors_make_outputs(&forward, &job->file, made, &count, error));
  pfl_status status =
      run_forward(job, slice, made, count, &job->forward_ms, error);
  if (!status) status = run_backward(job, slice, made, count, error);
  cli_tensors_release(made, count);
  return status;
}

/* Lengths and pages are checked here: a chip would read where they say. */
static pfl_status run_decode(cli_job *job, const device_slice *slice,
                             pfl_error *error) {
  pfl_decode decode = job_decode(job);
  pfl_decode_args args = job_decode_args(job);
  device_call call = {.op = KERNELS_DECODE};
  PFL_TRY(attention_decode_problem_init(&decode, &call.decode, error));
  PFL_TRY(attention_check_decode(&call.decode, &args, error));
  add_inputs(job, job->set.form, &call);
  add_outputs(job->outputs, job->output_count, &call);
  return run_call(job, slice, &call, &job->time_ms, error);
}

static pfl_status run_op(cli_job *job, const device_slice *slice,
                         pfl_error *error) {
  switch ((op)job->options->op) {
    case OP_BACKWARD: return run_gradients(job, slice, error);
    case OP_DECODE: return run_decode(job, slice, error);
    default:
      return run_forward(job, slice, job->outputs, job->output_count,
                         &job->time_ms, error);
  }
}

pfl_status job_compute_on_device(cli_job *job, pfl_error *error) {
  const cli_options *options = job->options;
  bool simulated = device_of(options) == ON_SIM;
  const pfl_allocator heap = {0};
  device_options chosen = {.kind = simulated ? DEVICE_SIM : DEVICE_TPU,
                           .seed = (int64_t)options->seed,
                           .threads = options->threads,
                           .trace = options->trace};
  device_slice slice;
  PFL_TRY(device_open(&chosen, &heap, &slice, error));
  snprintf(job->where, sizeof job->where, "%s", slice.target);
  pfl_status status = run_op(job, &slice, error);
  device_close(&slice);
  return status;
}
