/* What a v5e-4 would take, by the compiler's own listing and the cycle model.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/folder.h"
#include "bench/provider.h"
#include "pjrt/compile.h"
#include "schedule/schedule_dump.h"
#include "xla/lower.h"

static const pfl_allocator heap;

#define TARGET "v5e:2x2"
enum { CHIPS = 4, PATH_SIZE = 320 };

typedef struct scheduler {
  bench_provider roofline; /* for what it cannot do */
  char path[PATH_SIZE];    /* where listings go */
  char compiler[128];
  pfl_error unavailable; /* status not OK: the compiler is not to be had */
} scheduler;

/* ---- From a workload to a listing -------------------------------------- */

typedef struct problems {
  attention_problem attention;
  attention_decode_problem decode;
} problems;

static pfl_status write_program(const bench_workload *w, problems *p,
                                kernels_program *out_program,
                                pfl_error *error) {
  static const kernels_op ops[] = {[BENCH_OP_FORWARD] = KERNELS_FORWARD,
                                   [BENCH_OP_BACKWARD] = KERNELS_BACKWARD,
                                   [BENCH_OP_DECODE] = KERNELS_DECODE};
  bool is_decode = w->op == BENCH_OP_DECODE;
  if (is_decode) {
    pfl_decode decode = bench_workload_decode(w);
    PFL_TRY(attention_decode_problem_init(&decode, &p->decode, error));
  } else {
    pfl_attention attention = bench_workload_attention(w);
    PFL_TRY(attention_problem_init(&attention, &p->attention, error));
  }
  const kernels_request request = {.op = ops[w->op],
                                   .problem = is_decode ? NULL : &p->attention,
                                   .decode = is_decode ? &p->decode : NULL,
                                   .sinks = w->sinks,
                                   .target = TARGET,
                                   .chips = CHIPS};
  return kernels_write(&request, &heap, out_program, error);
}

static pfl_status compile(scheduler *s, const kernels_program *program,
                          const char *listing, pfl_error *error) {
  base_text module = {0}, options = {0};
  pjrt_artifact artifact = {0};
  pfl_status status = xla_lower(program, &module, &options, error);
  const pjrt_compile_request request = {.topology = TARGET,
                                        .module = module.bytes,
                                        .module_size = module.length,
                                        .options = options.bytes,
                                        .options_size = options.length,
                                        .listing = listing};
  if (status == PFL_STATUS_OK)
    status = pjrt_compile(&request, &heap, &artifact, error);
  if (status == PFL_STATUS_OK)
    snprintf(s->compiler, sizeof s->compiler, "%.*s",
             (int)strcspn(artifact.version, "\n"), artifact.version);
  pjrt_artifact_release(&artifact);
  base_text_release(&module);
  base_text_release(&options);
  return status;
}

/* ---- From a listing to cycles ------------------------------------------ */

/* The kernel that a listed program is of: the compiler adds a number to its
 * name. NULL: it is the compiler's own. */
static const kernels_kernel *kernel_of(const kernels_program *program,
                                       const char *listed) {
  for (int i = 0; i < program->kernel_count; i++) {
    const char *name = program->kernels[i].name;
    size_t length = strlen(name);
    if (!strncmp(listed, name, length) &&
        (!listed[length] || listed[length] == '.'))
      return &program->kernels[i];
  }
  return NULL;
}

static int64_t lengths_operand(const kernels_kernel *kernel) {
  for (int i = 0; kernel && i < kernel->input_count; i++)
    if (!strcmp(kernel->inputs[i].name, "lengths")) return i;
  return -1;
}

static bool communicates(const schedule_program *program) {
  for (int64_t i = 0; i < program->instruction_count; i++)
    if (program->instructions[i].remote) return true;
  return false;
}

/* Full caches are what kernels read into their scalar side. */
static pfl_status add_cycles(const bench_workload *w,
                             const kernels_program *kernels,
                             const schedule_program *program,
                             const schedule_model *model, double *cycles,
                             int64_t *warnings, pfl_error *error) {
  int64_t operand = lengths_operand(kernel_of(kernels, program->name));
  uint32_t *lengths = calloc((size_t)w->batch, sizeof *lengths);
  if (!lengths) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for lengths");
  for (int64_t i = 0; i < w->batch; i++) lengths[i] = (uint32_t)w->kv_length;
  const schedule_input input = {operand, lengths, w->batch};
  const schedule_request request = {.programs = &program,
                                    .program_count = 1,
                                    .inputs = &input,
                                    .input_count = operand >= 0,
                                    .chips = communicates(program) ? CHIPS : 1,
                                    .model = *model};
  schedule_result result;
  pfl_status status = schedule_run(&request, &heap, &result, error);
  free(lengths);
  PFL_TRY(status);
  *cycles += (double)result.cycles;
  for (int64_t i = 0; i < result.warning_count; i++)
    *warnings += result.warnings[i].count;
  schedule_result_release(&result, &heap);
  return PFL_STATUS_OK;
}

/* The kernels and the compiler's copies around them, one after the other; each
 * chip does the same. */
static pfl_status count_cycles(const bench_workload *w,
                               const kernels_program *kernels,
                               const char *listing, const schedule_model *model,
                               double *out_cycles, int64_t *out_warnings,
                               pfl_error *error) {
  schedule_dump dump;
  *out_cycles = 0;
  *out_warnings = 0;
  PFL_TRY(schedule_dump_read(listing, &heap, &dump, error));
  pfl_status status = PFL_STATUS_OK;
  for (int64_t i = 0; i < dump.program_count && status == PFL_STATUS_OK; i++)
    if (!dump.programs[i]->top || dump.program_count == 1)
      status = add_cycles(w, kernels, dump.programs[i], model, out_cycles,
                          out_warnings, error);
  schedule_dump_release(&dump);
  return status;
}

static void set_estimate(const bench_provider *provider, double cycles,
                         int64_t warnings, const schedule_model *model,
                         bench_estimate *e) {
  const catalog_model_error *model_error = &provider->catalog->model_error;
  double seconds = cycles / (model->clock_ghz * 1e9);
  e->evidence = BENCH_EVIDENCE_PREDICTED;
  e->seconds = quantity_widen(quantity_point(seconds), model_error->worst);
  snprintf(e->how, sizeof e->how,
           "%.0f cycles at %g GHz, without dispatch; give or take %.0f %%%s",
           cycles, model->clock_ghz, 100 * model_error->worst,
           warnings ? "; the listing is not fully understood" : "");
  if (seconds < e->bound_seconds)
    snprintf(e->reason, sizeof e->reason,
             "void: %.0f cycles are faster than the chips' peaks", cycles);
}

static pfl_status predict(const bench_provider *provider,
                          const bench_workload *w, bench_estimate *e,
                          pfl_error *error) {
  scheduler *s = provider->self;
  schedule_model model = schedule_model_default();
  problems p = {0};
  kernels_program kernels;
  base_folder folder;
  double cycles;
  int64_t warnings;
  PFL_TRY(write_program(w, &p, &kernels, error));
  pfl_status status = base_folder_begin(s->path, "none", &folder, error);
  if (status == PFL_STATUS_OK) {
    const char *listing = base_text_get(&folder.temporary);
    status = compile(s, &kernels, listing, error);
    if (status == PFL_STATUS_OK)
      status =
          count_cycles(w, &kernels, listing, &model, &cycles, &warnings, error);
    if (status == PFL_STATUS_OK)
      set_estimate(provider, cycles, warnings, &model, e);
    pfl_status removed = base_folder_end(&folder, PFL_STATUS_CANCELLED, NULL);
    (void)removed; /* CANCELLED: the directory goes */
  }
  kernels_program_release(&kernels);
  return status;
}

/* ---- The provider ------------------------------------------------------ */

/* The roofline in place of a prediction, and why. */
static pfl_status fall_back(const bench_provider *provider,
                            const bench_workload *workload,
                            const pfl_error *why, bench_estimate *e,
                            pfl_error *error) {
  const scheduler *s = provider->self;
  char how[PROVIDER_HOW_SIZE];
  PFL_TRY(s->roofline.estimate(&s->roofline, workload, e, error));
  memcpy(how, e->how, sizeof how);
  snprintf(e->how, sizeof e->how, "%.60s; not predicted: %.110s", how,
           why->message);
  return PFL_STATUS_OK;
}

static pfl_status estimate(const bench_provider *provider,
                           const bench_workload *workload,
                           bench_estimate *out_estimate, pfl_error *error) {
  scheduler *s = provider->self;
  pfl_error why = {0};
  *out_estimate = (bench_estimate){.evidence = BENCH_EVIDENCE_PREDICTED};
  if (!provider_set_bound(provider, workload, out_estimate))
    return PFL_STATUS_OK;
  if (s->unavailable.status != PFL_STATUS_OK)
    return fall_back(provider, workload, &s->unavailable, out_estimate, error);
  pfl_status status = predict(provider, workload, out_estimate, &why);
  if (status == PFL_STATUS_OK) return PFL_STATUS_OK;
  if (status == PFL_STATUS_NOT_FOUND) s->unavailable = why; /* for all others */
  return fall_back(provider, workload, &why, out_estimate, error);
}

static void close_scheduler(bench_provider *provider) { free(provider->self); }

const char *provider_schedule_compiler(const bench_provider *provider) {
  const scheduler *s = provider->self;
  return s->compiler;
}

pfl_status provider_schedule(const bench_catalog *catalog,
                             const char *directory,
                             bench_provider *out_provider, pfl_error *error) {
  economics_unit unit = {"v5e", CHIPS};
  scheduler *s = calloc(1, sizeof *s);
  if (!s) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a provider");
  pfl_status status = provider_roofline(catalog, unit, &s->roofline, error);
  if (status == PFL_STATUS_OK &&
      snprintf(s->path, PATH_SIZE, "%s/listing", directory) >= PATH_SIZE)
    status = base_error_set(error, PFL_STATUS_INVALID_ARGUMENT,
                            "the path of %s is too long", directory);
  if (status != PFL_STATUS_OK) {
    free(s);
    return status;
  }
  *out_provider = s->roofline;
  out_provider->self = s;
  out_provider->estimate = estimate;
  out_provider->close = close_scheduler;
  return PFL_STATUS_OK;
}
