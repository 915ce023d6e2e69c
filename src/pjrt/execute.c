#include "pjrt/execute.h"

#include "base/memory.h"

/* ---- Loading ------------------------------------------------------------- */

/* Where `device` stands among the client's. */
static pfl_status find_place(const pjrt_client *client,
                             const PJRT_Device *device, int64_t *out_place,
                             pfl_error *error) {
  for (int64_t i = 0; i < client->device_count; i++)
    if (client->devices[i].handle == device) {
      *out_place = i;
      return PFL_STATUS_OK;
    }
  PFL_RAISE(error, INTERNAL,
            "a program was loaded onto a device that its client has not");
}

static pfl_status take_devices(const pjrt_client *client, pjrt_program *program,
                               pfl_error *error) {
  PJRT_LoadedExecutable_AddressableDevices_Args args = PJRT_ARGS(
      LoadedExecutable_AddressableDevices_Args, .executable = program->handle);
  PFL_TRY(PJRT_CALL(&client->plugin, LoadedExecutable_AddressableDevices, &args,
                    error));
  size_t count = args.num_addressable_devices;
  if (!count || count > PJRT_DEVICES_MAX || !args.addressable_devices)
    return pjrt_raise_nothing("LoadedExecutable_AddressableDevices", "devices",
                              error);
  program->devices =
      base_allocate(&client->allocator, count * sizeof *program->devices);
  if (!program->devices)
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for %zu devices", count);
  program->device_count = (int64_t)count;
  for (size_t i = 0; i < count; i++)
    PFL_TRY(find_place(client, args.addressable_devices[i],
                       &program->devices[i], error));
  return PFL_STATUS_OK;
}

static pfl_status take_executable(const pjrt_client *client,
                                  pjrt_program *program, pfl_error *error) {
  PJRT_LoadedExecutable_GetExecutable_Args args =
      PJRT_ARGS(LoadedExecutable_GetExecutable_Args,
                .loaded_executable = program->handle);
  PFL_TRY(
      PJRT_CALL(&client->plugin, LoadedExecutable_GetExecutable, &args, error));
  program->executable = args.executable;
  if (!args.executable)
    return pjrt_raise_nothing("LoadedExecutable_GetExecutable", "executable",
                              error);
  PJRT_Executable_NumOutputs_Args outputs =
      PJRT_ARGS(Executable_NumOutputs_Args, .executable = program->executable);
  PFL_TRY(PJRT_CALL(&client->plugin, Executable_NumOutputs, &outputs, error));
  if (outputs.num_outputs > PJRT_VALUES_MAX)
    PFL_RAISE(error, UNIMPLEMENTED, "a program has %zu outputs; at most %d can",
              outputs.num_outputs, PJRT_VALUES_MAX);
  program->output_count = (int64_t)outputs.num_outputs;
  return PFL_STATUS_OK;
}

/* Learns what a program is that the plugin has just loaded. */
static pfl_status adopt(const pjrt_client *client, const char *name,
                        PJRT_LoadedExecutable *handle,
                        pjrt_program *out_program, pfl_error *error) {
  if (!handle) return pjrt_raise_nothing(name, "program", error);
  pjrt_program program = {.handle = handle};
  pfl_status status = take_devices(client, &program, error);
  if (!status) status = take_executable(client, &program, error);
  if (status)
    pjrt_program_unload(client, &program);
  else
    *out_program = program;
  return status;
}

pfl_status pjrt_program_load(const pjrt_client *client, const void *executable,
                             size_t size, pjrt_program *out_program,
                             pfl_error *error) {
  PJRT_Executable_DeserializeAndLoad_Args args = PJRT_ARGS(
      Executable_DeserializeAndLoad_Args, .client = client->handle,
      .serialized_executable = executable, .serialized_executable_size = size);
  *out_program = (pjrt_program){0};
  PFL_TRY(
      PJRT_CALL(&client->plugin, Executable_DeserializeAndLoad, &args, error));
  return adopt(client, "Executable_DeserializeAndLoad", args.loaded_executable,
               out_program, error);
}

pfl_status pjrt_program_compile(const pjrt_client *client, const void *module,
                                size_t module_size, const void *options,
                                size_t options_size, pjrt_program *out_program,
                                pfl_error *error) {
  PJRT_Program source =
      PJRT_ARGS(Program, .code = (char *)module, .code_size = module_size,
                .format = "mlir", .format_size = 4);
  PJRT_Client_Compile_Args args = PJRT_ARGS(
      Client_Compile_Args, .client = client->handle, .program = &source,
      .compile_options = options, .compile_options_size = options_size);
  *out_program = (pjrt_program){0};
  PFL_TRY(PJRT_CALL(&client->plugin, Client_Compile, &args, error));
  return adopt(client, "Client_Compile", args.executable, out_program, error);
}

void pjrt_program_unload(const pjrt_client *client, pjrt_program *program) {
  pjrt_executable_destroy(&client->plugin, program->executable);
  PJRT_DESTROY(&client->plugin, LoadedExecutable_Destroy, executable,
               program->handle);
  base_release(&client->allocator, program->devices);
  *program = (pjrt_program){0};
}

/* ---- What it takes ------------------------------------------------------- */

pfl_status pjrt_program_memory(const pjrt_client *client,
                               const pjrt_program *program,
                               pjrt_compiled_memory *out_memory,
                               pfl_error *error) {
  return pjrt_executable_memory(&client->plugin, program->executable,
                                out_memory, error);
}

pfl_status pjrt_program_cost(const pjrt_client *client,
                             const pjrt_program *program, const char *name,
                             double *out_value, pfl_error *error) {
  const PJRT_NamedValue *costs;
  size_t count;
  PFL_TRY(pjrt_executable_costs(&client->plugin, program->executable, &costs,
                                &count, error));
  const PJRT_NamedValue *cost = pjrt_named_value_find(costs, count, name);
  if (!cost || !pjrt_named_value_number(cost, out_value))
    PFL_RAISE(error, NOT_FOUND, "the compiler does not estimate \"%.100s\"",
              name);
  return PFL_STATUS_OK;
}

/* ---- Running ------------------------------------------------------------- */

static pfl_status check_run(const pjrt_program *program, const pjrt_run *run,
                            pfl_error *error) {
  int64_t count = run->argument_count;
  if (count < 0 || count > PJRT_VALUES_MAX)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "argument_count is %lld, must be 0 .. %d", (long long)count,
              PJRT_VALUES_MAX);
  for (int64_t i = 0; i < program->device_count * count; i++)
    if (!run->arguments || !run->arguments[i])
      PFL_RAISE(error, INVALID_ARGUMENT,
                "argument %lld of device %lld is NULL, must be a buffer",
                (long long)(i % count), (long long)(i / count));
  for (int64_t i = 0; i < run->kept_count; i++)
    if (run->kept[i] < 0 || run->kept[i] >= count)
      PFL_RAISE(error, INVALID_ARGUMENT,
                "kept[%lld] is %lld, must be one of %lld arguments",
                (long long)i, (long long)run->kept[i], (long long)count);
  return PFL_STATUS_OK;
}

/* One row for each device, as the ABI wants them, and room for events. */
typedef struct rows {
  PJRT_Buffer *const **arguments;
  PJRT_Buffer ***outputs;
  PJRT_Event **events;
} rows;

static pfl_status lay_rows(const pjrt_client *client,
                           const pjrt_program *program, const pjrt_run *run,
                           PJRT_Buffer **outputs, PJRT_Event **events,
                           rows *out, pfl_error *error) {
  int64_t devices = program->device_count;
  void **block =
      base_allocate(&client->allocator, (size_t)devices * 3 * sizeof *block);
  if (!block)
    PFL_RAISE(error, RESOURCE_EXHAUSTED,
              "no memory for the arguments of %lld devices",
              (long long)devices);
  *out =
      (rows){(PJRT_Buffer *const **)block, (PJRT_Buffer ***)(block + devices),
             events ? events : (PJRT_Event **)(block + 2 * devices)};
  for (int64_t d = 0; d < devices; d++) {
    out->arguments[d] = run->arguments + d * run->argument_count;
    out->outputs[d] = outputs + d * program->output_count;
    out->events[d] = NULL;
  }
  return PFL_STATUS_OK;
}

static pfl_status call(const pjrt_client *client, const pjrt_program *program,
                       const pjrt_run *run, const rows *to, pfl_error *error) {
  PJRT_ExecuteOptions options =
      PJRT_ARGS(ExecuteOptions, .launch_id = run->launch_id,
                .non_donatable_input_indices = run->kept,
                .num_non_donatable_input_indices = (size_t)run->kept_count);
  PJRT_LoadedExecutable_Execute_Args args = PJRT_ARGS(
      LoadedExecutable_Execute_Args, .executable = program->handle,
      .options = &options, .argument_lists = to->arguments,
      .num_devices = (size_t)program->device_count,
      .num_args = (size_t)run->argument_count, .output_lists = to->outputs,
      .device_complete_events = to->events);
  PFL_TRY(PJRT_CALL(&client->plugin, LoadedExecutable_Execute, &args, error));
  for (int64_t d = 0; d < program->device_count; d++) {
    if (!to->events[d])
      return pjrt_raise_nothing("LoadedExecutable_Execute", "event", error);
    for (int64_t i = 0; i < program->output_count; i++)
      if (!to->outputs[d][i])
        return pjrt_raise_nothing("LoadedExecutable_Execute", "output", error);
  }
  return PFL_STATUS_OK;
}

pfl_status pjrt_program_run(const pjrt_client *client,
                            const pjrt_program *program, const pjrt_run *run,
                            PJRT_Event **out_done, PJRT_Buffer **out_outputs,
                            pfl_error *error) {
  int64_t devices = program->device_count;
  int64_t outputs = devices * program->output_count;
  rows to = {0};
  for (int64_t i = 0; i < outputs; i++) out_outputs[i] = NULL;
  for (int64_t d = 0; out_done && d < devices; d++) out_done[d] = NULL;
  PFL_TRY(check_run(program, run, error));
  PFL_TRY(lay_rows(client, program, run, out_outputs, out_done, &to, error));
  pfl_status status = call(client, program, run, &to, error);
  if (status || !out_done) {
    pfl_status waited =
        pjrt_events_await(client, to.events, devices, status ? NULL : error);
    if (!status) status = waited;
  }
  if (status) {
    pjrt_buffers_destroy(client, out_outputs, outputs);
    for (int64_t i = 0; i < outputs; i++) out_outputs[i] = NULL;
    for (int64_t d = 0; out_done && d < devices; d++) out_done[d] = NULL;
  }
  base_release(&client->allocator, to.arguments);
  return status;
}
