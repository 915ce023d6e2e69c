/* A TPU program of src/kernels on the simulated slice: tensors, as they are in
 * files, are spread over the chips as the program says, it runs, and its
 * results come back.
 *
 *   kernel_tensor tensors[] = {{"q", q, 4, {B, Hq, T, D}}, ..., {"o", o, ...}};
 *   pfl_status status = kernel_case_run(&program, tensors, count, &options,
 *                                       &error);
 *
 * Where a chip has room for more than its share, there is 0xff: NaN, or -1. */
#ifndef PFL_TESTS_KERNEL_CASE_H
#define PFL_TESTS_KERNEL_CASE_H

#include "check.h"
#include "kernels/tpu_program.h"
#include "sim/slice.h"

/* A whole tensor; results of every chip are held against the first's. */
typedef struct kernel_tensor {
  const char *name;
  void *data;
  int rank;
  int64_t shape[KERNELS_RANK_MAX];
} kernel_tensor;

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

static inline const kernel_tensor *kernel_case_find(
    const kernel_tensor *tensors, int count, const char *name) {
  for (int i = 0; i < count; i++)
    if (!strcmp(tensors[i].name, name)) return &tensors[i];
  fprintf(stderr, "no tensor %s\n", name);
  exit(1);
}

static inline size_t kernel_case_size(const kernels_tensor *tensor) {
  return (size_t)mo_element_bits(kernels_element(tensor->dtype)) / 8;
}

/* Copies a chip's share of `whole` to `part`. */
static inline void kernel_case_spread(const kernels_tensor *tensor,
                                      const kernel_tensor *whole, int chip,
                                      int chips, char *part) {
  size_t size = kernel_case_size(tensor);
  int64_t count = kernel_case_count(whole->rank, whole->shape);
  int64_t room = kernel_case_count(tensor->rank, tensor->shape);
  memset(part, 0xff, (size_t)room * size);
  if (!tensor->split.split) {
    CHECK_NEED(count <= room);
    memcpy(part, whole->data, (size_t)count * size);
    return;
  }
  int at = tensor->split.dimension;
  int64_t extent = whole->shape[at], unit = tensor->split.unit;
  int64_t outer = kernel_case_count(at, whole->shape);
  int64_t inner =
      kernel_case_count(whole->rank - at - 1, whole->shape + at + 1);
  int64_t local = room / (outer * inner);
  CHECK_NEED(room == outer * local * inner);
  for (int64_t o = 0; o < outer; o++)
    for (int64_t x = 0; x < extent; x++) {
      if (x / unit % chips != chip) continue;
      int64_t to = x / (unit * chips) * unit + x % unit;
      CHECK_NEED(to < local);
      memcpy(part + (size_t)((o * local + to) * inner) * size,
             (char *)whole->data + (size_t)((o * extent + x) * inner) * size,
             (size_t)inner * size);
    }
}

static inline void kernel_case_begin(kernel_case *c,
                                     const kernels_program *program,
                                     const kernel_tensor *tensors, int count) {
  CHECK_NEED(program->kernel_count == 1);
  const kernels_kernel *kernel = &program->kernels[0];
  *c = (kernel_case){.kernel = kernel, .chips = program->chips};
  for (int i = 0; i < kernel->input_count + kernel->output_count; i++) {
    bool input = i < kernel->input_count;
    const kernels_tensor *tensor =
        input ? &kernel->inputs[i] : &kernel->outputs[i - kernel->input_count];
    const kernel_tensor *whole = kernel_case_find(tensors, count, tensor->name);
    c->types[i] = (sim_tensor){kernels_element(tensor->dtype), tensor->rank,
                               tensor->shape};
    size_t bytes = (size_t)kernel_case_count(tensor->rank, tensor->shape) *
                   kernel_case_size(tensor);
    for (int chip = 0; chip < c->chips; chip++) {
      CHECK_NEED(c->bytes[chip][i] = malloc(bytes));
      if (input)
        kernel_case_spread(tensor, whole, chip, c->chips, c->bytes[chip][i]);
    }
  }
}

/* Results into their tensors; every chip must have the same. */
static inline void kernel_case_collect(const kernel_case *c,
                                       const kernel_tensor *tensors,
                                       int count) {
  for (int i = 0; i < c->kernel->output_count; i++) {
    const kernels_tensor *tensor = &c->kernel->outputs[i];
    const kernel_tensor *whole = kernel_case_find(tensors, count, tensor->name);
    size_t bytes = (size_t)kernel_case_count(whole->rank, whole->shape) *
                   kernel_case_size(tensor);
    void *const *first = &c->bytes[0][c->kernel->input_count + i];
    memcpy(whole->data, *first, bytes);
    for (int chip = 1; chip < c->chips; chip++)
      CHECK(!memcmp(*first, c->bytes[chip][c->kernel->input_count + i], bytes),
            "%s of chip %d differs from chip 0's", tensor->name, chip);
  }
}

static inline pfl_status kernel_case_execute(const kernel_case *c,
                                             sim_slice *slice,
                                             sim_report *report,
                                             pfl_error *error) {
  const kernels_kernel *kernel = c->kernel;
  sim_kernel call = {.module = kernel->module,
                     .operands = c->types,
                     .operand_count = kernel->input_count,
                     .results = c->types + kernel->input_count,
                     .result_count = kernel->output_count,
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
                                         const kernel_tensor *tensors,
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
