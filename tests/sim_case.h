/* A kernel, its tensors, and a simulated slice to run it on.
 *
 *   sim_case c;
 *   sim_case_begin(&c, build_vector_add, 1);
 *   float *x = sim_case_operand(&c, MO_F32, MO_SHAPE(256, 128));
 *   float *y = sim_case_operand(&c, MO_F32, MO_SHAPE(256, 128));
 *   float *z = sim_case_result(&c, MO_F32, MO_SHAPE(256, 128));
 *   ... fill x and y ...
 *   CHECK_NEED(!sim_case_run(&c, &options));
 *   ... look at z ...
 *   sim_case_end(&c);
 *
 * Every chip has its own tensors: those above are chip 0's, and
 * sim_case_of(&c, i, x) is what chip i has in the place of x. */
#ifndef PFL_TESTS_SIM_CASE_H
#define PFL_TESTS_SIM_CASE_H

#include "base/dtype.h"
#include "base/memory.h"
#include "check.h"
#include "mosaic/builder.h"
#include "sim/slice.h"

enum { SIM_CASE_TENSORS = 32 };

typedef struct sim_case {
  pfl_allocator allocator;
  mo_module *module;
  sim_kernel kernel; /* to be changed before the first run */
  sim_tensor operands[SIM_CASE_TENSORS], results[SIM_CASE_TENSORS];
  int64_t shapes[2 * SIM_CASE_TENSORS][MO_RANK_MAX];
  void *bytes[SIM_CHIPS_MAX][2 * SIM_CASE_TENSORS]; /* operands, results */
  int chips;
  sim_program *program;
  sim_report report; /* of the last run */
  pfl_error error;
} sim_case;

/* Of a module, which the case then owns. */
static inline void sim_case_of_module(sim_case *c, mo_module *module,
                                      int chips) {
  memset(c, 0, sizeof *c);
  c->module = module;
  c->chips = chips;
  c->kernel = (sim_kernel){.module = module,
                           .operands = c->operands,
                           .results = c->results,
                           .has_communication = chips > 1};
}

static inline void sim_case_begin(sim_case *c, void (*build)(mo_builder *b),
                                  int chips) {
  pfl_allocator allocator = {0};
  mo_module *module;
  pfl_error error;
  mo_builder b;
  mo_begin(&b, &allocator);
  build(&b);
  if (mo_finish(&b, &module, &error)) {
    fprintf(stderr, "%s\n", error.message);
    exit(1);
  }
  sim_case_of_module(c, module, chips);
}

static inline void *sim_case_add(sim_case *c, bool result, mo_element element,
                                 mo_shape shape) {
  int *count = result ? &c->kernel.result_count : &c->kernel.operand_count;
  int at = *count + (result ? SIM_CASE_TENSORS : 0);
  int64_t bytes =
      mo_element_bits(element) < 8 ? 1 : mo_element_bits(element) / 8;
  for (int i = 0; i < shape.rank; i++) {
    c->shapes[at][i] = shape.sizes[i];
    bytes *= shape.sizes[i];
  }
  (result ? c->results : c->operands)[(*count)++] =
      (sim_tensor){element, shape.rank, c->shapes[at]};
  for (int i = 0; i < c->chips; i++) {
    c->bytes[i][at] = base_allocate(&c->allocator, (size_t)bytes);
    memset(c->bytes[i][at], 0, (size_t)bytes);
  }
  return c->bytes[0][at];
}

static inline void *sim_case_operand(sim_case *c, mo_element element,
                                     mo_shape shape) {
  return sim_case_add(c, false, element, shape);
}

static inline void *sim_case_result(sim_case *c, mo_element element,
                                    mo_shape shape) {
  return sim_case_add(c, true, element, shape);
}

static inline void *sim_case_of(const sim_case *c, int chip, const void *of) {
  for (int i = 0; i < 2 * SIM_CASE_TENSORS; i++)
    if (c->bytes[0][i] == of) return c->bytes[chip][i];
  return NULL;
}

/* Operands of all chips get random numbers of mean 0; integers of -8 .. 8. */
static inline void sim_case_randomize(sim_case *c, double deviation) {
  for (int chip = 0; chip < c->chips; chip++)
    for (int i = 0; i < c->kernel.operand_count; i++) {
      const sim_tensor *t = &c->operands[i];
      int64_t count = 1;
      for (int d = 0; d < t->rank; d++) count *= t->shape[d];
      void *bytes = c->bytes[chip][i];
      for (int64_t e = 0; e < count; e++) {
        float number = (float)(deviation * check_normal());
        if (t->element == MO_F32) ((float *)bytes)[e] = number;
        if (t->element == MO_BF16)
          ((uint16_t *)bytes)[e] = base_f32_to_bf16(number);
        if (t->element == MO_I32)
          ((int32_t *)bytes)[e] = (int32_t)check_between(-8, 8);
        if (t->element == MO_I8)
          ((int8_t *)bytes)[e] = (int8_t)check_between(-127, 127);
      }
    }
}

/* Runs it once; what went wrong is in error, what was found in report. */
static inline pfl_status sim_case_run(sim_case *c, const sim_options *options) {
  c->error = (pfl_error){0};
  memset(&c->report, 0, sizeof c->report);
  if (!c->program)
    PFL_TRY(
        sim_program_create(&c->kernel, &c->allocator, &c->program, &c->error));
  sim_options given = *options;
  if (!given.chips) given.chips = c->chips;
  sim_slice *slice;
  PFL_TRY(sim_slice_create(&given, &c->allocator, &slice, &c->error));
  sim_run run = {.chips = c->chips};
  for (int i = 0; i < c->chips; i++) {
    run.operands[i] = c->bytes[i];
    run.results[i] = c->bytes[i] + SIM_CASE_TENSORS;
  }
  pfl_status status =
      sim_slice_run(slice, c->program, &run, &c->report, &c->error);
  sim_slice_destroy(slice);
  return status;
}

static inline void sim_case_end(sim_case *c) {
  for (int chip = 0; chip < c->chips; chip++)
    for (int i = 0; i < 2 * SIM_CASE_TENSORS; i++)
      base_release(&c->allocator, c->bytes[chip][i]);
  sim_program_destroy(c->program);
  mo_module_destroy(c->module);
}

/* Whether a hazard of that kind was found. */
static inline bool sim_case_found(const sim_case *c, sim_hazard_kind kind) {
  for (int i = 0; i < c->report.hazard_count; i++)
    if (c->report.hazards[i].kind == kind) return true;
  return false;
}

/* Prints all hazards, for the message of a failed check. */
static inline void sim_case_print(const sim_case *c) {
  char text[700];
  for (int i = 0; i < c->report.hazard_count; i++)
    fprintf(stderr, "  %s\n",
            sim_hazard_text(&c->report.hazards[i], text, sizeof text));
}

#endif
