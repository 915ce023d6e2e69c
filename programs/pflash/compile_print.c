/* What `pflash compile` says when it is done: text, or the same facts as JSON.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "compile_job.h"
#include "job.h"

/* The names of --shape's sizes, in its order. */
static const char *const size_names[2][SHAPE_MAX] = {
    {"B", "Hq", "Hkv", "Sq", "Sk", "D", "Dv"},
    {"B", "Hq", "Hkv", "T", "Smax", "D", "Dv"}};

static const char *const *names_of(const cli_options *options) {
  return size_names[options->op == OP_DECODE];
}

static pfl_dtype dtype(const compile_job *job) {
  return job->options->op == OP_DECODE ? job->request.decode.dtype
                                       : job->request.problem.dtype;
}

/* ---- Text ---------------------------------------------------------------- */

static void print_problem(const compile_job *job) {
  const cli_options *options = job->options;
  const char *const *names = names_of(options);
  job_print_op(options);
  printf("shape   ");
  for (int i = 0; i < options->shape_rank; i++)
    printf("%s%s %" PRId64, i ? ", " : "", names[i], options->shape[i]);
  printf("\ndtype   %s", pfl_dtype_name(dtype(job)));
  if (options->op == OP_DECODE)
    printf(", cache %s", pfl_dtype_name(job->request.decode.cache_dtype));
  if (options->page) printf(" in pages of %" PRId64, options->page);
  printf("%s%s%s\n", options->segments ? ", segment ids" : "",
         options->sinks ? ", sinks" : "", options->lse ? ", lse" : "");
}

static void print_program(const compile_job *job) {
  const kernels_program *program = &job->program;
  printf("target  %s, %d chip%s\n", job->request.kernels.target, program->chips,
         program->chips == 1 ? "" : "s");
  if (*program->plan) printf("plan    %s\n", program->plan);
  for (int i = 0; i < program->tile_count; i++)
    printf("%s%s=%" PRId64, i ? " " : "tiles   ", program->tiles[i].name,
           program->tiles[i].value);
  if (program->tile_count) putchar('\n');
  for (int i = 0; i < program->kernel_count; i++)
    printf("%s%s", i ? ", " : "kernels ", program->kernels[i].name);
  printf("\n");
}

/* The compiler's words on itself stand on several lines. */
static void print_version(const char *version) {
  printf("by      ");
  for (; *version; version++)
    if (*version == '\n')
      printf(", ");
    else
      putchar(*version);
  putchar('\n');
}

/* Of the whole program, as the kernels said it to XLA. */
static void print_costs(const pjrt_artifact *artifact) {
  static const char *const names[] = {"flops", "transcendentals",
                                      "bytes accessed"};
  bool any = false;
  for (int i = 0; i < 3; i++) {
    double value = pjrt_artifact_cost(artifact, names[i]);
    if (value <= 0) continue;
    printf("%s%.9g %s", any ? ", " : "cost    ", value, names[i]);
    any = true;
  }
  if (any) putchar('\n');
}

static void print_artifact(const pjrt_artifact *artifact) {
  const pjrt_compiled_memory *memory = &artifact->memory;
  print_version(artifact->version);
  printf("memory  arguments %" PRId64 ", results %" PRId64
         ", temporary %" PRId64 ", code %" PRId64 " bytes a chip\n",
         memory->argument_bytes, memory->output_bytes, memory->temp_bytes,
         memory->generated_code_bytes);
  print_costs(artifact);
}

void compile_job_print(const compile_job *job) {
  print_problem(job);
  print_program(job);
  if (job->compiled) print_artifact(&job->artifact);
  printf("time    %.3f ms to write the program", job->write_ms);
  if (job->compiled)
    printf(", %.0f ms to %s it", job->compile_ms,
           job->from_cache ? "find" : "compile");
  printf("%s\n", job->from_cache ? " in the cache" : "");
  if (job->options->emit == EMIT_LISTING)
    printf("listing %s\n", job->options->out);
  else
    printf("file    %s, %zu bytes\n", job->options->out, job->size);
}

/* ---- JSON ---------------------------------------------------------------- */

static void write_problem(json_writer *json, const compile_job *job) {
  const cli_options *options = job->options;
  const char *const *names = names_of(options);
  json_write_string(json, "op", op_name((op)options->op));
  json_begin_object(json, "shape");
  for (int i = 0; i < options->shape_rank; i++)
    json_write_int64(json, names[i], options->shape[i]);
  json_end(json);
  json_write_string(json, "dtype", pfl_dtype_name(dtype(job)));
  if (options->op == OP_DECODE) {
    json_write_string(json, "cache_dtype",
                      pfl_dtype_name(job->request.decode.cache_dtype));
    json_write_int64(json, "page", options->page);
  }
  job_write_scoring(json, options,
                    options->op == OP_DECODE ? job->request.decode.scale
                                             : job->request.problem.scale);
  json_write_bool(json, "segments", options->segments);
  json_write_bool(json, "sinks", options->sinks);
  json_write_bool(json, "lse", options->lse);
}

static void write_program(json_writer *json, const compile_job *job) {
  const kernels_program *program = &job->program;
  json_write_string(json, "target", job->request.kernels.target);
  json_write_int64(json, "chips", program->chips);
  json_write_string(json, "plan", program->plan);
  json_begin_object(json, "tiles");
  for (int i = 0; i < program->tile_count; i++)
    json_write_int64(json, program->tiles[i].name, program->tiles[i].value);
  json_end(json);
  json_begin_array(json, "kernels");
  for (int i = 0; i < program->kernel_count; i++)
    json_write_string(json, NULL, program->kernels[i].name);
  json_end(json);
}

static void write_artifact(json_writer *json, const compile_job *job) {
  const pjrt_artifact *artifact = &job->artifact;
  json_write_string(json, "compiler", artifact->version);
  json_begin_object(json, "memory_bytes");
#define WRITE_MEMORY(name) \
  json_write_int64(json, #name, artifact->memory.name##_bytes);
  PJRT_MEMORY_LIST(WRITE_MEMORY)
#undef WRITE_MEMORY
  json_write_int64(json, "peak", artifact->memory.peak_bytes);
  json_write_int64(json, "total", artifact->memory.total_bytes);
  json_end(json);
  json_begin_object(json, "costs");
  for (int64_t i = 0; i < artifact->cost_count; i++)
    json_write_double(json, artifact->costs[i].name, artifact->costs[i].value);
  json_end(json);
  json_write_bool(json, "from_cache", job->from_cache);
  json_write_double(json, "compile_ms", job->compile_ms);
}

void compile_job_write_json(const compile_job *job, base_text *out) {
  json_writer json = {.text = out};
  json_begin_object(&json, NULL);
  write_problem(&json, job);
  write_program(&json, job);
  json_write_double(&json, "write_ms", job->write_ms);
  if (job->compiled) write_artifact(&json, job);
  json_write_string(&json, "emit", emit_name((emit)job->options->emit));
  json_write_string(&json, "out", job->options->out);
  if (job->size) json_write_int64(&json, "out_bytes", (int64_t)job->size);
  json_end(&json);
  base_text_add_string(out, "\n");
}
