#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "device/cache_checks.h"
#include "device/device.h"
#include "device/pages.h"
#include "device/resident.h"
#include "pjrt/compile.h"

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

/* ---- Programs ------------------------------------------------------------ */

static pfl_status compile(const device_slice *slice, const base_text *module,
                          const base_text *options, device_program *program,
                          pfl_error *error) {
  const pjrt_compile_request request = {.topology = slice->target,
                                        .module = module->bytes,
                                        .module_size = module->length,
                                        .options = options->bytes,
                                        .options_size = options->length,
                                        .plugin = base_text_get(&slice->plugin),
                                        .out_from_cache = &program->from_cache};
  pjrt_artifact artifact;
  double start = now_ms();
  PFL_TRY(pjrt_compile(&request, &slice->allocator, &artifact, error));
  program->compile_ms = now_ms() - start;
  pfl_status status =
      pjrt_program_load(&slice->client, artifact.executable,
                        artifact.executable_size, &program->loaded, error);
  pjrt_artifact_release(&artifact);
  return status;
}

static pfl_status lower(const device_slice *slice, device_program *program,
                        pfl_error *error) {
  base_text module = {.allocator = slice->allocator};
  base_text options = {.allocator = slice->allocator};
  pfl_status status = xla_lower(&program->kernels, &module, &options, error);
  if (!status) status = compile(slice, &module, &options, program, error);
  base_text_release(&module);
  base_text_release(&options);
  return status;
}

pfl_status device_prepare(const device_slice *slice,
                          const kernels_request *request,
                          device_program *out_program, pfl_error *error) {
  kernels_request asked = *request;
  asked.target = slice->target;
  *out_program = (device_program){
      .op = request->op,
      .cache_length = request->decode ? request->decode->Smax : 0};
  PFL_TRY(
      kernels_write(&asked, &slice->allocator, &out_program->kernels, error));
  out_program->kernels.located = slice->kind == DEVICE_SIM;
  xla_signature_of(&out_program->kernels, &out_program->signature);
  pfl_status status = lower(slice, out_program, error);
  if (status) device_program_release(slice, out_program);
  return status;
}

void device_program_release(const device_slice *slice,
                            device_program *program) {
  pjrt_program_unload(&slice->client, &program->loaded);
  kernels_program_release(&program->kernels);
}

/* ---- In ------------------------------------------------------------------ */

/* One run: buffers in rows, a row for each chip. */
typedef struct device_job {
  const device_slice *slice;
  const device_program *program;
  int chips;
  PJRT_Buffer **arguments, **results;
  device_resident *const *residents;
  int resident_count;
  int32_t *lengths;   /* of full caches, where none are given */
  device_pages pages; /* in their places, where that matters */
} device_job;

static const device_tensor *find(const device_tensor *tensors, int count,
                                 const char *name) {
  for (int i = 0; i < count; i++)
    if (!strcmp(tensors[i].name, name)) return &tensors[i];
  return NULL;
}

static device_resident *find_resident(const device_job *job, const char *name) {
  for (int i = 0; i < job->resident_count; i++)
    if (!strcmp(job->residents[i]->tensor.name, name)) return job->residents[i];
  return NULL;
}

static pfl_status no_memory(const char *name, pfl_error *error) {
  PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for tensor %s", name);
}

/* Row chip of a job's arguments or results. */
static PJRT_Buffer **argument_of(const device_job *job, int argument,
                                 int chip) {
  return &job->arguments[chip * job->program->signature.argument_count +
                         argument];
}

static PJRT_Buffer **result_of(const device_job *job, int result, int chip) {
  return &job->results[chip * job->program->signature.result_count + result];
}

static pfl_status upload_tensor(const device_job *job, int argument,
                                const device_tensor *whole, pfl_error *error) {
  const kernels_tensor *tensor = job->program->signature.arguments[argument];
  PJRT_Buffer *buffers[DEVICE_CHIPS_MAX];
  PFL_TRY(device_upload(job->slice, tensor, job->chips,
                        job->program->loaded.devices, whole, buffers, error));
  for (int chip = 0; chip < job->chips; chip++)
    *argument_of(job, argument, chip) = buffers[chip];
  return PFL_STATUS_OK;
}

/* Lends a resident tensor to the run. */
static pfl_status take_resident(const device_job *job, int argument,
                                const device_resident *resident,
                                pfl_error *error) {
  const kernels_tensor *tensor = job->program->signature.arguments[argument];
  PFL_TRY(device_resident_check(resident, error));
  bool same = resident->chips == job->chips &&
              resident->tensor.dtype == tensor->dtype &&
              resident->tensor.rank == tensor->rank &&
              !memcmp(resident->tensor.shape, tensor->shape,
                      (size_t)tensor->rank * sizeof *tensor->shape);
  for (int chip = 0; same && chip < job->chips; chip++)
    same = job->program->loaded.devices[chip] == chip;
  if (!same)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "tensor %s lies on the chips otherwise than %s has it",
              tensor->name, job->program->kernels.name);
  for (int chip = 0; chip < job->chips; chip++)
    *argument_of(job, argument, chip) = resident->buffers[chip];
  return PFL_STATUS_OK;
}

/* The lengths of full caches: as many as the program has room for, of which it
 * reads a sequence's own. */
static pfl_status make_lengths(device_job *job, const kernels_tensor *tensor,
                               device_tensor *out, pfl_error *error) {
  int64_t bytes;
  PFL_TRY(device_part_bytes(tensor, &bytes, error));
  job->lengths = base_allocate(&job->slice->allocator, (size_t)bytes);
  if (!job->lengths) return no_memory(tensor->name, error);
  *out = (device_tensor){
      tensor->name, PFL_DTYPE_I32, 1, {bytes / 4}, job->lengths};
  for (int64_t i = 0; i < out->shape[0]; i++)
    job->lengths[i] = (int32_t)job->program->cache_length;
  return PFL_STATUS_OK;
}

/* The input of that name, or its copy with pages in their places. */
static const device_tensor *input_of(const device_job *job,
                                     const device_tensor *inputs, int count,
                                     const char *name) {
  const device_pages *pages = &job->pages;
  if (pages->table.data && !strcmp(pages->table.name, name))
    return &pages->table;
  for (int i = 0; i < DEVICE_PAGED_MAX; i++)
    if (pages->kept[i].data && !strcmp(pages->kept[i].name, name))
      return &pages->kept[i];
  return find(inputs, count, name);
}

/* A kernel reads wherever lengths and a table say. */
static pfl_status check_numbers(const device_job *job,
                                const device_tensor *inputs, int count,
                                pfl_error *error) {
  const device_tensor *lengths = find(inputs, count, "lengths");
  const device_tensor *entries = find(inputs, count, "block_table");
  const device_tensor *k = find(inputs, count, "k");
  int64_t most = job->program->cache_length;
  if (job->program->op != KERNELS_DECODE || !k || k->rank != 4)
    return PFL_STATUS_OK;
  if (lengths && lengths->rank == 1 && lengths->dtype == PFL_DTYPE_I32)
    PFL_TRY(
        device_lengths_check(lengths->data, lengths->shape[0], most, error));
  if (!entries || entries->rank != 2 || entries->dtype != PFL_DTYPE_I32 ||
      !lengths || lengths->shape[0] != entries->shape[0] || k->shape[2] < 1 ||
      entries->shape[1] * k->shape[2] < most)
    return PFL_STATUS_OK; /* not what the program has, which is said later */
  const device_table table = {.entries = entries->data,
                              .batch = entries->shape[0],
                              .columns = entries->shape[1],
                              .page_length = k->shape[2],
                              .page_count = k->shape[0],
                              .turn = 1};
  return device_table_check(&table, NULL, lengths->data, error);
}

static pfl_status upload_all(device_job *job, const device_tensor *inputs,
                             int count, pfl_error *error) {
  const xla_signature *signature = &job->program->signature;
  const kernels_kernel *kernel = &job->program->kernels.kernels[0];
  PFL_TRY(check_numbers(job, inputs, count, error));
  if (device_pages_needed(kernel) && !find_resident(job, "k"))
    PFL_TRY(device_pages_place(kernel, job->chips, inputs, count,
                               &job->slice->allocator, &job->pages, error));
  for (int i = 0; i < signature->argument_count; i++) {
    const kernels_tensor *tensor = signature->arguments[i];
    const device_tensor *given = input_of(job, inputs, count, tensor->name);
    const device_resident *resident = find_resident(job, tensor->name);
    device_tensor full;
    if (resident && given)
      PFL_RAISE(error, INVALID_ARGUMENT,
                "tensor %s is given, and is on the chips", tensor->name);
    if (resident) {
      PFL_TRY(take_resident(job, i, resident, error));
      continue;
    }
    if (!given && job->program->op == KERNELS_DECODE &&
        !strcmp(tensor->name, "lengths")) {
      PFL_TRY(make_lengths(job, tensor, &full, error));
      given = &full;
    }
    if (!given)
      PFL_RAISE(error, INVALID_ARGUMENT, "tensor %s is not given: %s reads it",
                tensor->name, job->program->kernels.name);
    PFL_TRY(upload_tensor(job, i, given, error));
  }
  return PFL_STATUS_OK;
}

/* ---- Out ----------------------------------------------------------------- */

static pfl_status download_tensor(const device_job *job, int result,
                                  const device_tensor *whole,
                                  pfl_error *error) {
  PJRT_Buffer *buffers[DEVICE_CHIPS_MAX];
  for (int chip = 0; chip < job->chips; chip++)
    buffers[chip] = *result_of(job, result, chip);
  return device_download(job->slice, job->program->signature.results[result],
                         job->chips, buffers, whole, error);
}

static pfl_status download_all(const device_job *job,
                               const device_tensor *outputs, int count,
                               pfl_error *error) {
  const xla_signature *signature = &job->program->signature;
  for (int i = 0; i < count; i++) {
    int result = 0;
    while (result < signature->result_count &&
           strcmp(signature->results[result]->name, outputs[i].name))
      result++;
    if (result == signature->result_count)
      PFL_RAISE(error, INVALID_ARGUMENT,
                "tensor %s is asked for: %s makes none", outputs[i].name,
                job->program->kernels.name);
    PFL_TRY(download_tensor(job, result, &outputs[i], error));
  }
  return PFL_STATUS_OK;
}

/* ---- Residents ----------------------------------------------------------- */

/* Takes the results that are residents. */
static void keep_results(const device_job *job) {
  const xla_signature *signature = &job->program->signature;
  for (int i = 0; i < signature->result_count; i++) {
    device_resident *resident = find_resident(job, signature->results[i]->name);
    for (int chip = 0; resident && chip < job->chips; chip++) {
      PJRT_Buffer **result = result_of(job, i, chip);
      pjrt_buffer_destroy(&job->slice->client, resident->buffers[chip]);
      resident->buffers[chip] = *result;
      *result = NULL;
    }
  }
}

/* What a run that failed has taken is lost. */
static void drop_donated(const device_job *job) {
  for (int i = 0; i < job->resident_count; i++)
    for (int chip = 0; chip < job->chips; chip++) {
      PJRT_Buffer **buffer = &job->residents[i]->buffers[chip];
      bool gone = false;
      if (!*buffer ||
          pjrt_buffer_is_donated(&job->slice->client, *buffer, &gone, NULL) ||
          !gone)
        continue;
      pjrt_buffer_destroy(&job->slice->client, *buffer);
      *buffer = NULL;
    }
}

/* Residents are not the run's to destroy. */
static void return_residents(const device_job *job) {
  const xla_signature *signature = &job->program->signature;
  for (int i = 0; i < signature->argument_count; i++)
    for (int chip = 0; chip < job->chips; chip++)
      if (find_resident(job, signature->arguments[i]->name))
        *argument_of(job, i, chip) = NULL;
}

/* ---- Runs ---------------------------------------------------------------- */

static pfl_status do_job(device_job *job, const device_tensor *inputs,
                         int input_count, const device_tensor *outputs,
                         int output_count, device_times *times,
                         pfl_error *error) {
  const xla_signature *signature = &job->program->signature;
  double start = now_ms();
  PFL_TRY(upload_all(job, inputs, input_count, error));
  double uploaded = now_ms();
  pjrt_run run = {.arguments = job->arguments,
                  .argument_count = signature->argument_count};
  pfl_status status =
      pjrt_program_run(&job->slice->client, &job->program->loaded, &run, NULL,
                       job->results, error);
  if (status) drop_donated(job);
  PFL_TRY(status);
  keep_results(job);
  double ran = now_ms();
  PFL_TRY(download_all(job, outputs, output_count, error));
  *times = (device_times){uploaded - start, ran - uploaded, now_ms() - ran};
  return PFL_STATUS_OK;
}

pfl_status device_run_resident(const device_slice *slice,
                               const device_program *program,
                               const device_tensor *inputs, int input_count,
                               const device_tensor *outputs, int output_count,
                               device_resident *const *residents,
                               int resident_count, device_times *out_times,
                               pfl_error *error) {
  const pfl_allocator *allocator = &slice->allocator;
  device_job job = {.slice = slice,
                    .program = program,
                    .chips = (int)program->loaded.device_count,
                    .residents = residents,
                    .resident_count = resident_count};
  size_t arguments = (size_t)(job.chips * program->signature.argument_count);
  size_t results = (size_t)(job.chips * program->signature.result_count);
  job.arguments =
      base_allocate(allocator, (arguments + results) * sizeof *job.arguments);
  if (!job.arguments)
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a run");
  memset(job.arguments, 0, (arguments + results) * sizeof *job.arguments);
  job.results = job.arguments + arguments;
  pfl_status status = do_job(&job, inputs, input_count, outputs, output_count,
                             out_times, error);
  return_residents(&job);
  pjrt_buffers_destroy(&slice->client, job.arguments,
                       (int64_t)(arguments + results));
  base_release(allocator, job.arguments);
  base_release(allocator, job.lengths);
  device_pages_release(&job.pages, allocator);
  return status;
}

pfl_status device_run(const device_slice *slice, const device_program *program,
                      const device_tensor *inputs, int input_count,
                      const device_tensor *outputs, int output_count,
                      device_times *out_times, pfl_error *error) {
  return device_run_resident(slice, program, inputs, input_count, outputs,
                             output_count, NULL, 0, out_times, error);
}
