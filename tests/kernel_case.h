/* A TPU program of src/kernels on the simulated slice: tensors, as they are in
 * files, are spread over the chips as the program says, it runs, and its
 * results come back.
 *
 *   device_tensor tensors[] = {{"q", dtype, 4, {B, Hq, T, D}, q}, ...};
 *   pfl_status status = kernel_case_run(&program, tensors, count, &options,
 *                                       &error);
 *
 * Every chip must give the same results. */
#ifndef PFL_TESTS_KERNEL_CASE_H
#define PFL_TESTS_KERNEL_CASE_H

#include "check.h"
#include "device/spread.h"
#include "sim/slice.h"

enum { KERNEL_CASE_TENSORS = 2 * KERNELS_TENSORS_MAX };

typedef struct kernel_case {
  const kernels_kernel *kernel;
  int chips;
  sim_tensor types[KERNEL_CASE_TENSORS]; /* inputs, then outputs */
  void *bytes[SIM_CHIPS_MAX][KERNEL_CASE_TENSORS];
} kernel_case;

static inline int64_t kernel_case_count(int rank, const int64_t *shape) {
  int64_t count = 1;
  for (int i = 0; i < rank; i++) count *= shape[i];
  return count;
}

static inline const device_tensor *kernel_case_find(
    const device_tensor *tensors, int count, const char *name) {
  for (int i = 0; i < count; i++)
    if (!strcmp(tensors[i].name, name)) return &tensors[i];
  fprintf(stderr, "no tensor %s\n", name);
  exit(1);
}

static inline void kernel_case_begin(kernel_case *c,
                                     const kernels_program *program,
                                     const device_tensor *tensors, int count) {
  CHECK_NEED(program->kernel_count == 1);
  const kernels_kernel *kernel = &program->kernels[0];
  *c = (kernel_case){.kernel = kernel, .chips = program->chips};
  for (int i = 0; i < kernel->input_count + kernel->output_count; i++) {
    bool input = i < kernel->input_count;
    const kernels_tensor *tensor =
        input ? &kernel->inputs[i] : &kernel->outputs[i - kernel->input_count];
    const device_tensor *whole = NULL;
    c->types[i] = (sim_tensor){kernels_element(tensor->dtype), tensor->rank,
                               tensor->shape};
    int64_t bytes;
    CHECK_NEED(!device_part_bytes(tensor, &bytes, NULL));
    if (!tensor->internal) {
      whole = kernel_case_find(tensors, count, tensor->name);
      CHECK_NEED(!device_spread_check(tensor, c->chips, whole, NULL));
    }
    for (int chip = 0; chip < c->chips; chip++) {
      CHECK_NEED(c->bytes[chip][i] = malloc((size_t)bytes));
      if (input)
        device_spread(tensor, c->chips, chip, whole, c->bytes[chip][i]);
    }
  }
}

/* Results into their tensors; what is not spread, every chip must have alike.
 */
static inline void kernel_case_collect(const kernel_case *c,
                                       const device_tensor *tensors,
                                       int count) {
  for (int i = 0; i < c->kernel->output_count; i++) {
    const kernels_tensor *tensor = &c->kernel->outputs[i];
    if (tensor->internal) continue;
    const device_tensor *whole = kernel_case_find(tensors, count, tensor->name);
    size_t bytes = (size_t)kernel_case_count(whole->rank, whole->shape) *
                   pfl_dtype_size(tensor->dtype);
    int at = c->kernel->input_count + i;
    for (int chip = 0; chip < c->chips; chip++) {
      CHECK(tensor->split.split ||
                !memcmp(c->bytes[0][at], c->bytes[chip][at], bytes),
            "%s of chip %d differs from chip 0's", tensor->name, chip);
      device_gather(tensor, c->chips, chip, c->bytes[chip][at], whole);
    }
  }
}

/* The outputs that take an input's place. */
static inline int kernel_case_aliases(const kernels_kernel *kernel,
                                      sim_alias *out_aliases) {
  int count = 0;
  for (int i = 0; i < kernel->output_count; i++)
    for (int k = 0; k < kernel->input_count; k++)
      if (kernel->outputs[i].in_place &&
          !strcmp(kernel->outputs[i].name, kernel->inputs[k].name))
        out_aliases[count++] = (sim_alias){i, k};
  return count;
}

static inline pfl_status kernel_case_execute(const kernel_case *c,
                                             sim_slice *slice,
                                             sim_report *report,
                                             pfl_error *error) {
  const kernels_kernel *kernel = c->kernel;
  sim_alias aliases[KERNELS_TENSORS_MAX];
  sim_kernel call = {.module = kernel->module,
                     .operands = c->types,
                     .operand_count = kernel->input_count,
                     .results = c->types + kernel->input_count,
                     .result_count = kernel->output_count,
                     .aliases = aliases,
                     .alias_count = kernel_case_aliases(kernel, aliases),
                     .has_communication = kernel->communicates,
                     .vmem_limit_bytes = kernel->vmem_limit_bytes};
  sim_run run = {.chips = c->chips};
  for (int chip = 0; chip < c->chips; chip++) {
    run.operands[chip] = c->bytes[chip];
    run.results[chip] = c->bytes[chip] + kernel->input_count;
  }
  sim_program *program;
  pfl_allocator allocator = {0};
  pfl_status status = sim_program_create(&call, &allocator, &program, error);
  if (status) return status;
  status = sim_slice_run(slice, program, &run, report, error);
  sim_program_destroy(program);
  return status;
}

/* Runs the program's one kernel on a slice of its own. */
static inline pfl_status kernel_case_run(const kernels_program *program,
                                         const device_tensor *tensors,
                                         int count, const sim_options *options,
                                         sim_report *out_report,
                                         pfl_error *error) {
  kernel_case c;
  pfl_allocator allocator = {0};
  sim_slice *slice;
  *error = (pfl_error){PFL_STATUS_OK, ""};
  kernel_case_begin(&c, program, tensors, count);
  CHECK_NEED(!sim_slice_create(options, &allocator, &slice, error));
  pfl_status status = kernel_case_execute(&c, slice, out_report, error);
  if (!status) kernel_case_collect(&c, tensors, count);
  sim_slice_destroy(slice);
  for (int chip = 0; chip < c.chips; chip++)
    for (int i = 0; i < KERNEL_CASE_TENSORS; i++) free(c.bytes[chip][i]);
  return status;
}

#endif
