/* What `pflash run` says when it is done: text, or the same facts as JSON. */
#include <stdio.h>

#include "base/json.h"
#include "job.h"

static const char *flop_convention(const cli_job *job) {
  bool backward = job->options->op == OP_BACKWARD;
  if (job->options->causal)
    return backward ? "2.5 times 4 B Hq Sq Sk D, halved: causal"
                    : "4 B Hq Sq Sk D, halved: causal";
  return backward ? "2.5 times 4 B Hq Sq Sk D" : "4 B Hq Sq Sk D";
}

/* Billions of FLOPs or bytes a second. */
static double rate(const cli_job *job) {
  return job->time_ms > 0 ? job->work / (1e6 * job->time_ms) : 0;
}

static void print_tensors(const char *label, const safetensors_tensor *tensors,
                          int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    char described[256];
    tensor_describe(&tensors[i], described, sizeof described);
    printf("%-8s%s %s\n", i ? "" : label, tensors[i].name, described);
  }
}

void job_print_op(const cli_options *options) {
  printf("op      %s", op_name((op)options->op));
  if (options->causal) printf(", causal");
  if (options->windowed)
    printf(", window %lld,%lld", (long long)options->window_left,
           (long long)options->window_right);
  if (options->softcap > 0) printf(", softcap %g", options->softcap);
  if (options->scale != 0) printf(", scale %g", options->scale);
  putchar('\n');
}

static void print_device(const cli_job *job) {
  const cli_options *options = job->options;
  if (device_of(options) == ON_CPU) {
    int threads = pfl_context_threads(job->context);
    printf("device  cpu, %s, %d thread%s\n",
           pfl_isa_name(pfl_context_isa(job->context)), threads,
           threads == 1 ? "" : "s");
    return;
  }
  int chips = options->chips ? options->chips : 1;
  printf("device  %s, %d chip%s of %s", device_name(device_of(options)), chips,
         chips == 1 ? "" : "s", job->where);
  if (device_of(options) == ON_SIM)
    printf(", seed %llu",
           (unsigned long long)(options->seed ? options->seed : 1));
  putchar('\n');
}

/* What a simulation takes says nothing of a TPU. */
static void print_simulation(const cli_job *job) {
  printf("time    %.3f ms to simulate it: not a TPU's time\n", job->time_ms);
  if (job->forward_ms > 0)
    printf("        and %.3f ms for o and lse before it\n", job->forward_ms);
  if (job->options->trace) printf("trace   %s\n", job->options->trace);
}

static void print_times(const cli_job *job) {
  printf("time    %.3f ms, first call\n", job->time_ms);
  if (job->forward_ms > 0)
    printf("        and %.3f ms for o and lse before it\n", job->forward_ms);
  if (job->options->op == OP_DECODE)
    printf("rate    %.2f GB/s of cache, %.0f bytes\n", rate(job), job->work);
  else
    printf("rate    %.2f GFLOP/s, %s\n", rate(job), flop_convention(job));
}

void job_print(const cli_job *job) {
  job_print_op(job->options);
  print_tensors("in", job->file.tensors, job->file.count);
  print_device(job);
  if (device_of(job->options) == ON_SIM)
    print_simulation(job);
  else
    print_times(job);
  print_tensors("out", job->outputs, job->output_count);
  printf("file    %s\n", job->options->out);
}

static void write_tensors(json_writer *json, const char *key,
                          const safetensors_tensor *tensors, int64_t count) {
  json_begin_object(json, key);
  for (int64_t i = 0; i < count; i++) {
    json_begin_object(json, tensors[i].name);
    json_write_string(json, "dtype", tensors[i].dtype_name);
    json_begin_array(json, "shape");
    for (int axis = 0; axis < tensors[i].rank; axis++)
      json_write_int64(json, NULL, tensors[i].shape[axis]);
    json_end(json);
    json_end(json);
  }
  json_end(json);
}

void job_write_scoring(json_writer *json, const cli_options *options,
                       double scale) {
  json_write_bool(json, "causal", options->causal || options->op == OP_DECODE);
  if (options->windowed) {
    json_begin_array(json, "window");
    json_write_int64(json, NULL, options->window_left);
    json_write_int64(json, NULL, options->window_right);
    json_end(json);
  } else {
    json_write_null(json, "window");
  }
  json_write_double(json, "softcap", options->softcap);
  json_write_double(json, "scale", scale);
}

static void write_device(json_writer *json, const cli_job *job) {
  const cli_options *options = job->options;
  json_write_string(json, "device", device_name(device_of(options)));
  if (device_of(options) == ON_CPU) {
    json_write_string(json, "isa", pfl_isa_name(pfl_context_isa(job->context)));
    json_write_int64(json, "threads", pfl_context_threads(job->context));
    return;
  }
  json_write_int64(json, "chips", options->chips ? options->chips : 1);
  json_write_string(json, "topology", job->where);
  if (device_of(options) == ON_SIM) {
    json_write_int64(json, "seed", options->seed ? (int64_t)options->seed : 1);
    json_write_string(json, "trace", options->trace);
  }
  json_write_double(json, "compile_ms", job->compile_ms);
  json_write_double(json, "upload_ms", job->upload_ms);
  json_write_double(json, "download_ms", job->download_ms);
}

static void write_simulation(json_writer *json, const cli_job *job) {
  json_write_double(json, "simulation_ms", job->time_ms);
  if (job->forward_ms > 0)
    json_write_double(json, "simulation_forward_before_ms", job->forward_ms);
}

static void write_times(json_writer *json, const cli_job *job) {
  json_write_double(json, "time_first_call_ms", job->time_ms);
  if (job->options->op == OP_DECODE) {
    json_write_double(json, "cache_bytes", job->work);
    json_write_double(json, "cache_gb_per_s", rate(job));
    return;
  }
  if (job->forward_ms > 0)
    json_write_double(json, "time_forward_before_ms", job->forward_ms);
  json_write_double(json, "flops", job->work);
  json_write_string(json, "flops_convention", flop_convention(job));
  json_write_double(json, "gflop_per_s", rate(job));
}

pfl_status job_print_json(const cli_job *job, pfl_error *error) {
  base_text text = {0};
  json_writer json = {.text = &text};
  json_begin_object(&json, NULL);
  json_write_string(&json, "op", op_name((op)job->options->op));
  job_write_scoring(&json, job->options, job->scale);
  write_device(&json, job);
  if (device_of(job->options) == ON_SIM)
    write_simulation(&json, job);
  else
    write_times(&json, job);
  json_write_string(&json, "in", job->options->in);
  write_tensors(&json, "in_tensors", job->file.tensors, job->file.count);
  json_write_string(&json, "out", job->options->out);
  write_tensors(&json, "out_tensors", job->outputs, job->output_count);
  json_end(&json);
  base_text_add_string(&text, "\n");
  pfl_status status = base_text_check(&text, error);
  if (!status) fputs(base_text_get(&text), stdout);
  base_text_release(&text);
  return status;
}
