/* From a workload to cycles. */
#include "bench/predict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/folder.h"
#include "bench/asked.h"
#include "bench/prediction_cache.h"
#include "pjrt/cache.h"
#include "pjrt/plugin.h"
#include "schedule/schedule_dump.h"
#include "xla/lower.h"

static const pfl_allocator heap;

double predict_seconds(double cycles) {
  return cycles / (schedule_model_default().clock_ghz * 1e9);
}

/* ---- From a listing to cycles ------------------------------------------ */

static bool is_named(const char *name, const char *const *starts) {
  for (; starts && *starts; starts++)
    if (!strncmp(name, *starts, strlen(*starts))) return true;
  return false;
}

static bool communicates(const schedule_program *program) {
  for (int64_t i = 0; i < program->instruction_count; i++)
    if (program->instructions[i].remote) return true;
  return false;
}

static void add_profile(const predict_listing *listing,
                        const schedule_profile *profile,
                        bench_prediction *prediction) {
  const char *name = profile->program->name;
  double cycles = (double)profile->cycles;
  if (profile->program->top) return;
  if (is_named(name, listing->without))
    prediction->cycles -= cycles;
  else if (is_named(name, listing->kernels))
    prediction->kernel_cycles += cycles;
}

/* Runs programs[0], which may call the others. */
static pfl_status run(const predict_listing *listing, const schedule_dump *dump,
                      const schedule_program *const *programs, int64_t count,
                      bench_prediction *prediction, pfl_error *error) {
  bool together = listing->chips > 1 && communicates(programs[0]);
  const schedule_request request = {.programs = programs,
                                    .program_count = count,
                                    .aliases = dump->aliases,
                                    .alias_count = dump->alias_count,
                                    .inputs = listing->inputs,
                                    .input_count = listing->input_count,
                                    .chips = together ? listing->chips : 1,
                                    .model = schedule_model_default()};
  schedule_result result;
  PFL_TRY(schedule_run(&request, &heap, &result, error));
  prediction->cycles += (double)result.cycles;
  for (int64_t i = 0; i < result.profile_count; i += result.chips) {
    const schedule_profile *slowest = &result.profiles[i];
    for (int chip = 1; chip < result.chips; chip++)
      if (result.profiles[i + chip].cycles > slowest->cycles)
        slowest = &result.profiles[i + chip];
    add_profile(listing, slowest, prediction);
  }
  for (int64_t i = 0; i < result.warning_count; i++)
    prediction->warnings += result.warnings[i].count;
  schedule_result_release(&result, &heap);
  return PFL_STATUS_OK;
}

/* On one chip as it is launched. On several the launching program looks at
 * state of the runtime that no listing has: there, one program after the other;
 * each chip does the same. */
static pfl_status run_all(const predict_listing *listing,
                          const schedule_dump *dump,
                          bench_prediction *prediction, pfl_error *error) {
  const schedule_program *const *programs =
      (const schedule_program *const *)dump->programs;
  if (listing->chips == 1 && dump->has_top)
    return run(listing, dump, programs, dump->program_count, prediction, error);
  for (int64_t i = 0; i < dump->program_count; i++)
    if (!programs[i]->top || dump->program_count == 1)
      PFL_TRY(run(listing, dump, programs + i, 1, prediction, error));
  return PFL_STATUS_OK;
}

pfl_status predict_read(const predict_listing *listing,
                        bench_prediction *prediction, pfl_error *error) {
  schedule_dump dump;
  prediction->cycles = prediction->kernel_cycles = 0;
  prediction->warnings = 0;
  PFL_TRY(schedule_dump_read(listing->path, &heap, &dump, error));
  pfl_status status = run_all(listing, &dump, prediction, error);
  schedule_dump_release(&dump);
  return status;
}

/* ---- From a workload to a program --------------------------------------- */

typedef struct predicted_program {
  const bench_workload *workload;
  int chips;
  asked_kernel asked;
  kernels_program kernels;
  base_text module, options, plugin;
} predicted_program;

static void release(predicted_program *p) {
  kernels_program_release(&p->kernels);
  base_text_release(&p->module);
  base_text_release(&p->options);
  base_text_release(&p->plugin);
}

static pfl_status write_kernels(predicted_program *p, pfl_error *error) {
  PFL_TRY(asked_kernel_init(p->workload, p->chips, &p->asked, error));
  p->asked.request.target = PREDICT_TARGET;
  return kernels_write(&p->asked.request, &heap, &p->kernels, error);
}

static pfl_status write_program(predicted_program *p, pfl_error *error) {
  PFL_TRY(pjrt_plugin_find(&p->plugin, error));
  PFL_TRY(write_kernels(p, error));
  PFL_TRY(xla_lower(&p->kernels, &p->module, &p->options, error));
  PFL_TRY(base_text_check(&p->plugin, error));
  PFL_TRY(base_text_check(&p->module, error));
  return base_text_check(&p->options, error);
}

static pjrt_compile_request compile_request(const predicted_program *p,
                                            const char *listing) {
  return (pjrt_compile_request){.topology = PREDICT_TARGET,
                                .module = p->module.bytes,
                                .module_size = p->module.length,
                                .options = p->options.bytes,
                                .options_size = p->options.length,
                                .plugin = base_text_get(&p->plugin),
                                .listing = listing};
}

static pfl_status compile(const predicted_program *p, const char *listing,
                          bench_prediction *prediction, pfl_error *error) {
  pjrt_artifact artifact = {0};
  const pjrt_compile_request request = compile_request(p, listing);
  PFL_TRY(pjrt_compile(&request, &heap, &artifact, error));
  snprintf(prediction->by, sizeof prediction->by, "%.*s",
           (int)strcspn(artifact.version, "\n"), artifact.version);
  pjrt_artifact_release(&artifact);
  return PFL_STATUS_OK;
}

/* ---- What kernels read into their scalar side ---------------------------- */

/* malloc's: lengths of full caches, and the pages in order; NULL without
 * memory. */
static uint32_t *make_words(const predicted_program *p, bool lengths,
                            int64_t *out_count) {
  const attention_decode_problem *d = &p->asked.decode;
  *out_count = d->B * (lengths ? 1 : d->pages_per_sequence);
  uint32_t *words = calloc((size_t)*out_count + 1, sizeof *words);
  for (int64_t i = 0; words && i < *out_count; i++)
    words[i] = (uint32_t)(lengths ? p->workload->kv_length : i);
  return words;
}

/* Sets the inputs, whose words are to be freed; false without memory. */
static bool list_inputs(const predicted_program *p,
                        schedule_input out[PREDICT_INPUTS_MAX],
                        int *out_count) {
  *out_count = 0;
  for (int k = 0; k < p->kernels.kernel_count; k++)
    for (int i = 0; i < p->kernels.kernels[k].input_count; i++) {
      const kernels_kernel *kernel = &p->kernels.kernels[k];
      bool lengths = !strcmp(kernel->inputs[i].name, "lengths");
      if (!lengths && strcmp(kernel->inputs[i].name, "block_table")) continue;
      schedule_input *input = &out[(*out_count)++];
      *input = (schedule_input){.program = kernel->name, .operand = i};
      input->words = make_words(p, lengths, &input->count);
      if (!input->words) return false;
    }
  return true;
}

static pfl_status read_listing(const predicted_program *p, const char *path,
                               bench_prediction *prediction, pfl_error *error) {
  const char *names[KERNELS_MAX + 1] = {NULL};
  schedule_input inputs[PREDICT_INPUTS_MAX];
  int count;
  for (int i = 0; i < p->kernels.kernel_count; i++)
    names[i] = p->kernels.kernels[i].name;
  pfl_status status = PFL_STATUS_OK;
  if (!list_inputs(p, inputs, &count))
    status = base_error_set(error, PFL_STATUS_RESOURCE_EXHAUSTED,
                            "no memory for lengths and pages");
  const predict_listing listing = {.path = path,
                                   .kernels = names,
                                   .inputs = inputs,
                                   .input_count = count,
                                   .chips = p->chips};
  if (status == PFL_STATUS_OK)
    status = predict_read(&listing, prediction, error);
  for (int i = 0; i < count; i++) free((void *)inputs[i].words);
  return status;
}

/* ---- The whole ----------------------------------------------------------- */

/* All that the prediction follows from: the kernels' inputs do from the
 * module. The name of the artifact in the compile cache stands for the module,
 * the options and the compiler. */
static pfl_status name_entry(const predicted_program *p, base_text *out_path,
                             pfl_error *error) {
  const pjrt_compile_request request = compile_request(p, NULL);
  base_text key = {0};
  pfl_status status = pjrt_cache_name(&request, request.plugin, &key, error);
  if (status == PFL_STATUS_OK && key.length)
    status = prediction_cache_name(&key, out_path, error);
  base_text_release(&key);
  return status;
}

/* What is done with a listing while it is there. */
typedef pfl_status taker(const predicted_program *p, const char *listing,
                         void *self, pfl_error *error);

static pfl_status with_listing(const predicted_program *p,
                               const char *directory, taker *take, void *self,
                               pfl_error *error) {
  base_text path = {0};
  base_folder folder;
  base_text_format(&path, "%s/listing", directory);
  pfl_status status = base_text_check(&path, error);
  if (status == PFL_STATUS_OK)
    status = base_folder_begin(base_text_get(&path), "none", &folder, error);
  if (status == PFL_STATUS_OK) {
    status = take(p, base_text_get(&folder.temporary), self, error);
    pfl_status removed = base_folder_end(&folder, PFL_STATUS_CANCELLED, NULL);
    (void)removed; /* CANCELLED: the directory goes */
  }
  base_text_release(&path);
  return status;
}

static pfl_status predict_anew(const predicted_program *p, const char *listing,
                               void *self, pfl_error *error) {
  bench_prediction *prediction = self;
  PFL_TRY(compile(p, listing, prediction, error));
  return read_listing(p, listing, prediction, error);
}

static pfl_status predict(const predicted_program *p, const char *directory,
                          bench_prediction *prediction, pfl_error *error) {
  base_text entry = {0};
  pfl_status status = name_entry(p, &entry, error);
  const char *path = base_text_get(&entry);
  bool kept = !status && prediction_cache_load(path, prediction);
  if (status == PFL_STATUS_OK && !kept) {
    status = with_listing(p, directory, predict_anew, prediction, error);
    if (status == PFL_STATUS_OK) prediction_cache_store(path, prediction);
  }
  base_text_release(&entry);
  return status;
}

pfl_status predict_workload(const bench_workload *workload, int chips,
                            const char *directory,
                            bench_prediction *out_prediction,
                            pfl_error *error) {
  predicted_program p = {.workload = workload, .chips = chips};
  *out_prediction = (bench_prediction){0};
  pfl_status status = write_program(&p, error);
  if (status == PFL_STATUS_OK)
    status = predict(&p, directory, out_prediction, error);
  release(&p);
  return status;
}

/* ---- The program itself -------------------------------------------------- */

void predict_loaded_release(predict_loaded *loaded) {
  schedule_dump_release(&loaded->dump);
  for (int i = 0; i < loaded->input_count; i++)
    free((void *)loaded->inputs[i].words);
  *loaded = (predict_loaded){.chips = 0};
}

schedule_request predict_loaded_request(const predict_loaded *loaded) {
  return (schedule_request){
      .programs = (const schedule_program *const *)loaded->dump.programs,
      .program_count = loaded->dump.program_count,
      .aliases = loaded->dump.aliases,
      .alias_count = loaded->dump.alias_count,
      .inputs = loaded->inputs,
      .input_count = loaded->input_count,
      .chips = loaded->chips,
      .model = schedule_model_default()};
}

static pfl_status take_program(const predicted_program *p, const char *listing,
                               void *self, pfl_error *error) {
  predict_loaded *loaded = self;
  bench_prediction prediction = {0};
  PFL_TRY(compile(p, listing, &prediction, error));
  memcpy(loaded->by, prediction.by, sizeof loaded->by);
  PFL_TRY(schedule_dump_read(listing, &heap, &loaded->dump, error));
  if (!list_inputs(p, loaded->inputs, &loaded->input_count))
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for lengths and pages");
  return PFL_STATUS_OK;
}

pfl_status predict_load(const bench_workload *workload, int chips,
                        const char *directory, predict_loaded *out_loaded,
                        pfl_error *error) {
  predicted_program p = {.workload = workload, .chips = chips};
  *out_loaded = (predict_loaded){.chips = chips};
  pfl_status status = write_program(&p, error);
  if (status == PFL_STATUS_OK)
    status = with_listing(&p, directory, take_program, out_loaded, error);
  release(&p);
  if (status != PFL_STATUS_OK) predict_loaded_release(out_loaded);
  return status;
}
