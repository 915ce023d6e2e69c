/* A compiled program on the devices of a client: loaded, run, unloaded.
 *
 *   pjrt_program program;
 *   PFL_TRY(pjrt_program_load(&client, artifact.executable,
 *                             artifact.executable_size, &program, error));
 *   PJRT_Buffer *out[OUTPUTS];
 *   pfl_status status = pjrt_program_run(
 *       &client, &program, &(pjrt_run){.arguments = in, .argument_count = 3},
 *       NULL, out, error);
 *   pjrt_program_unload(&client, &program);
 *
 * A program of n devices runs on all of them with one call. Row r of its
 * arguments and outputs belongs to client.devices[program.devices[r]], which
 * the program knows as device r; its buffers must lie there.
 *
 * Ownership and threads: see client.h. */
#ifndef PFL_PJRT_EXECUTE_H
#define PFL_PJRT_EXECUTE_H

#include "pjrt/buffer.h"

#define PJRT_VALUES_MAX 4096 /* arguments, or outputs, of a program */

/* To be read only. (The ABI's PJRT_Program is what this is compiled from.) */
typedef struct pjrt_program {
  PJRT_LoadedExecutable *handle;
  PJRT_Executable *executable;
  int64_t *devices;     /* [device_count], places in client->devices */
  int64_t device_count; /* at least 1 */
  int64_t output_count; /* on each device */
} pjrt_program;

/* Loads a serialized executable (artifact.h), which the plugin must have made
 * in the same version. Whatever the plugin answers; RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status pjrt_program_load(const pjrt_client *client,
                                           const void *executable, size_t size,
                                           pjrt_program *out_program,
                                           pfl_error *error);

/* Compiles a module (StableHLO) with a serialized CompileOptionsProto for the
 * client's devices, in this process: it may die of it. pjrt_compile and
 * pjrt_program_load is the safe way. */
PFL_NODISCARD pfl_status pjrt_program_compile(
    const pjrt_client *client, const void *module, size_t module_size,
    const void *options, size_t options_size, pjrt_program *out_program,
    pfl_error *error);

/* A zero program has nothing. */
void pjrt_program_unload(const pjrt_client *client, pjrt_program *program);

/* Bytes that it takes on each device; 0 where the plugin does not say. */
PFL_NODISCARD pfl_status pjrt_program_memory(const pjrt_client *client,
                                             const pjrt_program *program,
                                             pjrt_compiled_memory *out_memory,
                                             pfl_error *error);

/* The compiler's estimate called `name` ("flops", "bytes accessed"). NOT_FOUND:
 * it makes none. */
PFL_NODISCARD pfl_status pjrt_program_cost(const pjrt_client *client,
                                           const pjrt_program *program,
                                           const char *name, double *out_value,
                                           pfl_error *error);

/* All zero is the default but for the arguments. */
typedef struct pjrt_run {
  PJRT_Buffer *const *arguments; /* [device_count][argument_count] */
  int64_t argument_count;        /* on each device */
  const int64_t *kept;           /* numbers of arguments that stay whole though
                                    the program was compiled to take them over;
                                    the plugin then copies */
  int64_t kept_count;
  int launch_id; /* the same on every machine of a program that spans them */
} pjrt_run;

/* Runs it once on all its devices. Fills out_outputs
 * [device_count][output_count] with buffers, the caller's. With out_done
 * [device_count] the call returns at once: each event is over when its device
 * has ended, and outputs may be passed on before; with NULL it waits.
 * On failure out_outputs and out_done are all NULL. Arguments stay the
 * caller's; donated ones may be empty then, also on failure.
 * INVALID_ARGUMENT, RESOURCE_EXHAUSTED, whatever the plugin answers. */
PFL_NODISCARD pfl_status pjrt_program_run(
    const pjrt_client *client, const pjrt_program *program, const pjrt_run *run,
    PJRT_Event **out_done, PJRT_Buffer **out_outputs, pfl_error *error);

#endif
