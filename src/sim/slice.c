/* Slices: chips that run in turns of their own, and the one thread that carries
 * messages between them while they stand still. */
#include "sim/slice.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/threads.h"
#include "sim/carry.h"
#include "sim/setup.h"

struct sim_slice {
  pfl_allocator allocator;
  sim_options options;
  base_threads *threads;
  cpu_kernels kernels;
  sim_chip chips[SIM_CHIPS_MAX];
  sim_block blocks[SIM_CHIPS_MAX][SIM_BLOCKS];
};

enum { DEFAULT_VMEM = 16 << 20, SMEM = 1 << 20 };
#define DEFAULT_STEPS ((int64_t)1 << 40)

/* ---- Slices -------------------------------------------------------------- */

static pfl_status check_options(const sim_options *options, pfl_error *error) {
  if (options->chips < 0 || options->chips > SIM_CHIPS_MAX)
    PFL_RAISE(error, INVALID_ARGUMENT, "a slice of %d chips: 1 to %d",
              options->chips, SIM_CHIPS_MAX);
  if (options->threads < 0)
    PFL_RAISE(error, INVALID_ARGUMENT, "%d threads", options->threads);
  return PFL_STATUS_OK;
}

pfl_status sim_slice_create(const sim_options *options,
                            const pfl_allocator *allocator,
                            sim_slice **out_slice, pfl_error *error) {
  *out_slice = NULL;
  PFL_TRY(check_options(options, error));
  sim_slice *slice = base_allocate(allocator, sizeof *slice);
  if (!slice) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a slice");
  memset(slice, 0, sizeof *slice);
  slice->allocator = *allocator;
  slice->kernels = cpu_kernels_for(cpu_isa_best());
  int64_t threads = options->threads ? options->threads : base_cpu_count();
  sim_slice_set(slice, options);
  pfl_status status = base_threads_create(
      allocator, (int32_t)base_min(threads, BASE_THREADS_MAX), &slice->threads,
      error);
  if (status)
    base_release(allocator, slice);
  else
    *out_slice = slice;
  return status;
}

void sim_slice_destroy(sim_slice *slice) {
  if (!slice) return;
  base_threads_destroy(slice->threads);
  for (int i = 0; i < SIM_CHIPS_MAX; i++)
    for (int b = 0; b < SIM_BLOCKS; b++)
      sim_block_release(&slice->blocks[i][b], &slice->allocator);
  base_release(&slice->allocator, slice);
}

void sim_slice_set(sim_slice *slice, const sim_options *options) {
  slice->options = *options;
  if (!slice->options.chips) slice->options.chips = SIM_CHIPS_MAX;
  if (!slice->options.step_limit) slice->options.step_limit = DEFAULT_STEPS;
}

/* ---- A run --------------------------------------------------------------- */

static pfl_status set_up(sim_slice *slice, const sim_program *program,
                         const sim_run *run, pfl_error *error) {
  for (int i = 0; i < run->chips; i++)
    slice->chips[i] =
        (sim_chip){.program = program,
                   .lanes = sim_lanes_best(),
                   .kernels = &slice->kernels,
                   .options = &slice->options,
                   .threads = run->chips == 1 ? slice->threads : NULL,
                   .number = i,
                   .chips = run->chips,
                   .random = slice->options.seed * 0x9e3779b97f4a7c15u +
                             (uint64_t)i * 0xd1342543de82ef95u,
                   .ops_left = slice->options.step_limit,
                   .blocks = slice->blocks[i],
                   .arena = {.allocator = slice->allocator}};
  for (int i = 0; i < run->chips; i++)
    PFL_TRY(sim_chip_set_up(&slice->chips[i], run, error));
  return PFL_STATUS_OK;
}

/* More memory than a chip has is said before anything runs. */
static bool check_capacity(sim_slice *slice) {
  sim_chip *chip = &slice->chips[0];
  const sim_program *p = chip->program;
  int64_t vmem = p->kernel.vmem_limit_bytes;
  if (!vmem) vmem = DEFAULT_VMEM;
  if (p->vmem_bytes > vmem)
    sim_hazard_add(chip, SIM_HAZARD_CAPACITY, -1,
                   "windows, scratch and operands take %lld bytes of VMEM, of "
                   "%lld",
                   (long long)p->vmem_bytes, (long long)vmem);
  if (p->smem_bytes > SMEM)
    sim_hazard_add(chip, SIM_HAZARD_CAPACITY, -1,
                   "scalars take %lld bytes of SMEM, of %d",
                   (long long)p->smem_bytes, SMEM);
  return chip->hazard_count == 0;
}

static void run_one(void *argument, int64_t task, int32_t worker) {
  (void)worker;
  sim_chip_run((sim_chip *)argument + task);
}

static pfl_status run_all(sim_slice *slice, int chips, pfl_error *error) {
  sim_carrier carrier = {.chips = slice->chips,
                         .count = chips,
                         .allocator = &slice->allocator,
                         .hostile = slice->options.hostile,
                         .random = slice->options.seed ^ 0xa5a5a5a5};
  pfl_status status = PFL_STATUS_OK;
  do {
    if (chips == 1 || slice->options.trace)
      for (int i = 0; i < chips; i++) sim_chip_run(&slice->chips[i]);
    else
      base_threads_run(slice->threads, chips, run_one, slice->chips);
    status = sim_carry(&carrier, error);
  } while (!status && carrier.more);
  sim_carry_end(&carrier);
  bool failed = false;
  for (int i = 0; i < chips; i++)
    failed = failed || slice->chips[i].state != SIM_ENDED;
  for (int i = 0; !failed && i < chips; i++) sim_chip_finish(&slice->chips[i]);
  return status;
}

/* ---- Reports ------------------------------------------------------------- */

static void add_statistics(sim_statistics *to, const sim_statistics *from) {
  to->steps += from->steps;
  to->ops += from->ops;
  to->matmul_flops += from->matmul_flops;
  to->window_bytes += from->window_bytes;
  to->dmas += from->dmas;
  to->dma_bytes += from->dma_bytes;
  to->remote_dmas += from->remote_dmas;
  to->remote_bytes += from->remote_bytes;
  to->signals += from->signals;
  to->waits += from->waits;
  to->unwritten_bytes += from->unwritten_bytes;
}

static void fill_report(const sim_slice *slice, const sim_program *program,
                        int chips, sim_report *report) {
  *report = (sim_report){.hazard_count = 0};
  report->statistics.vmem_bytes = program->vmem_bytes;
  report->statistics.smem_bytes = program->smem_bytes;
  for (int i = 0; i < chips; i++) {
    const sim_chip *chip = &slice->chips[i];
    add_statistics(&report->statistics, &chip->statistics);
    report->more_hazards = report->more_hazards || chip->more_hazards;
    for (int h = 0; h < chip->hazard_count; h++) {
      if (report->hazard_count == SIM_HAZARDS_MAX) {
        report->more_hazards = true;
        break;
      }
      report->hazards[report->hazard_count++] = chip->hazards[h];
    }
  }
}

const char *sim_hazard_text(const sim_hazard *hazard, char *text, size_t size) {
  char place[256] = "";
  if (hazard->file)
    snprintf(place, sizeof place, " at %s:%d", hazard->file, hazard->line);
  snprintf(text, size, "%s: %s%s, chip %d: %s", sim_hazard_name(hazard->kind),
           hazard->op ? hazard->op : "the kernel", place, hazard->chip,
           hazard->text);
  return text;
}

static pfl_status first_hazard(const sim_slice *slice, int chips,
                               pfl_error *error) {
  for (int i = 0; i < chips; i++) {
    const sim_chip *chip = &slice->chips[i];
    if (!chip->hazard_count) continue;
    char text[SIM_HAZARD_TEXT + 320];
    sim_hazard_text(&chip->hazards[0], text, sizeof text);
    PFL_RAISE(error, FAILED_PRECONDITION, "%s (%s, seed %llu)", text,
              slice->options.hostile ? "hostile" : "not hostile",
              (unsigned long long)slice->options.seed);
  }
  return PFL_STATUS_OK;
}

pfl_status sim_slice_run(sim_slice *slice, const sim_program *program,
                         const sim_run *run, sim_report *out_report,
                         pfl_error *error) {
  if (out_report) *out_report = (sim_report){.hazard_count = 0};
  if (run->chips < 1 || run->chips > slice->options.chips)
    PFL_RAISE(error, INVALID_ARGUMENT, "%d chips of a slice of %d", run->chips,
              slice->options.chips);
  pfl_status status = set_up(slice, program, run, error);
  if (!status && check_capacity(slice))
    status = run_all(slice, run->chips, error);
  if (!status) status = first_hazard(slice, run->chips, error);
  if (out_report) fill_report(slice, program, run->chips, out_report);
  for (int i = 0; i < run->chips; i++) sim_chip_take_down(&slice->chips[i]);
  return status;
}
