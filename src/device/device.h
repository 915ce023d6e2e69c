/* Attention on the devices of a PJRT plugin, a TPU's or the simulator's: from a
 * problem to kernels, to a program, to results. There is one way for both.
 *
 *   device_options options = {.kind = DEVICE_SIM};
 *   device_slice slice;
 *   PFL_TRY(device_open(&options, &allocator, &slice, error));
 *   kernels_request request = {.op = KERNELS_FORWARD, .problem = &problem};
 *   device_program program;
 *   status = device_prepare(&slice, &request, &program, error);
 *   if (!status)
 *     status = device_run(&slice, &program, inputs, 3, outputs, 2, &times,
 *                         error);
 *   device_program_release(&slice, &program);
 *   device_close(&slice);
 *
 * Threads: one thread opens and closes; any may prepare and run. */
#ifndef PFL_DEVICE_DEVICE_H
#define PFL_DEVICE_DEVICE_H

#include "device/spread.h"
#include "pjrt/execute.h"
#include "xla/lower.h"

typedef enum device_kind { DEVICE_SIM, DEVICE_TPU } device_kind;

/* All zero is the default, but for the kind. */
typedef struct device_options {
  device_kind kind;
  const char *plugin; /* its path; NULL: the one that belongs to the kind */
  /* of the simulator alone; zero: not said */
  int64_t seed;
  int threads;
  const char *trace; /* a file to write */
} device_options;

/* The chips that a plugin has. */
typedef struct device_slice {
  device_kind kind;
  pfl_allocator allocator;
  base_text plugin; /* its path */
  pjrt_client client;
  char target[32]; /* the topology: "v5e:2x2" */
} device_slice;

/* Loads the plugin and takes hold of its devices.
 * UNAVAILABLE: this machine has no TPU. NOT_FOUND: no plugin. UNIMPLEMENTED:
 * devices that there are no kernels for. What the plugin answers. On failure
 * *out_slice has nothing. */
PFL_NODISCARD pfl_status device_open(const device_options *options,
                                     const pfl_allocator *allocator,
                                     device_slice *out_slice, pfl_error *error);
void device_close(device_slice *slice);

/* The simulator's plugin: PFLASH_SIM_PLUGIN, or libpflash_sim.so beside the
 * program, or where libraries are installed beside it. NOT_FOUND. */
PFL_NODISCARD pfl_status device_find_simulator(base_text *out_path,
                                               pfl_error *error);

/* Whether there is a TPU, as far as its files in /dev tell, or another plugin
 * in its place. UNAVAILABLE. */
PFL_NODISCARD pfl_status device_find_tpu(pfl_error *error);

/* A program that is loaded. */
typedef struct device_program {
  kernels_program kernels;
  xla_signature signature; /* points into kernels: neither moves */
  pjrt_program loaded;
  kernels_op op;
  int64_t cache_length; /* of decode: tokens a sequence has room for */
  double compile_ms;
  bool from_cache;
} device_program;

/* Writes kernels for the device's topology (the request's target is not looked
 * at), compiles them in another process and loads the program. What
 * kernels_write, xla_lower, pjrt_compile and pjrt_program_load say. On failure
 * *out_program has nothing. */
PFL_NODISCARD pfl_status device_prepare(const device_slice *slice,
                                        const kernels_request *request,
                                        device_program *out_program,
                                        pfl_error *error);
void device_program_release(const device_slice *slice, device_program *program);

typedef struct device_times {
  double upload_ms, run_ms, download_ms;
} device_times;

/* Spreads the inputs over the chips, runs, and gathers the outputs. There may
 * be inputs that the program does not read, and outputs of the program that
 * nobody asks for. Decode without lengths has full caches.
 * INVALID_ARGUMENT: a tensor is missing, or another than the program's.
 * OUT_OF_RANGE: of decode, a length or an entry of the table that is none. What
 * the plugin answers: of the simulator, FAILED_PRECONDITION names a hazard. */
PFL_NODISCARD pfl_status device_run(
    const device_slice *slice, const device_program *program,
    const device_tensor *inputs, int input_count, const device_tensor *outputs,
    int output_count, device_times *out_times, pfl_error *error);

#endif
