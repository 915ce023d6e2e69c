/* Executables, loaded or not, as the ABI has them. */
#include <string.h>

#include "base/memory.h"
#include "sim/plugin_parts.h"

/* ---- Compiling and loading ----------------------------------------------- */

/* Takes over `made`, also on failure. */
static pfl_status wrap(sim_executable *made, PJRT_Executable **out_executable,
                       pfl_error *error) {
  PJRT_Executable *executable = base_allocate(&sim_heap, sizeof *executable);
  if (!executable) {
    sim_executable_release(made);
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory on the host");
  }
  executable->made = made;
  *out_executable = executable;
  return PFL_STATUS_OK;
}

static pfl_status load(PJRT_Client *client, sim_executable *made,
                       PJRT_LoadedExecutable **out_loaded, pfl_error *error) {
  PJRT_LoadedExecutable *loaded = base_allocate(&sim_heap, sizeof *loaded);
  if (!loaded) {
    sim_executable_release(made);
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory on the host");
  }
  *loaded = (PJRT_LoadedExecutable){
      .client = client, .made = made, .device_count = made->program->replicas};
  sim_client_keep(client);
  *out_loaded = loaded;
  return PFL_STATUS_OK;
}

static pfl_status compile(const PJRT_Program *program, const char *options,
                          size_t options_size, int chips,
                          sim_executable **out_executable, pfl_error *error) {
  char quoted[BASE_QUOTE_SIZE];
  if (program->struct_size < SIM_END(PJRT_Program, format_size))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "the struct_size of a program is %zu: must be %zu or more",
              program->struct_size, SIM_END(PJRT_Program, format_size));
  if (!program->code || !program->format || (options_size && !options))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "code, format or compile_options is "
              "NULL");
  if (program->format_size != 4 || memcmp(program->format, "mlir", 4))
    PFL_RAISE(error, UNIMPLEMENTED,
              "the format of a program is %s: must be "
              "mlir",
              base_quote(program->format, program->format_size, quoted));
  return sim_executable_compile(program->code, program->code_size, options,
                                options_size, chips, out_executable, error);
}

PJRT_Error *sim_Compile(PJRT_Compile_Args *args) {
  SIM_BEGIN(Compile, executable);
  SIM_NEED(args->topology);
  SIM_NEED(args->program);
  sim_executable *made;
  pfl_error error;
  pfl_status status =
      compile(args->program, args->compile_options, args->compile_options_size,
              args->topology->device_count, &made, &error);
  if (!status) status = wrap(made, &args->executable, &error);
  return sim_answer(status, &error);
}

PJRT_Error *sim_Client_Compile(PJRT_Client_Compile_Args *args) {
  SIM_BEGIN(Client_Compile, executable);
  SIM_NEED(args->client);
  SIM_NEED(args->program);
  sim_executable *made;
  pfl_error error;
  pfl_status status =
      compile(args->program, args->compile_options, args->compile_options_size,
              args->client->topology.device_count, &made, &error);
  if (!status) status = load(args->client, made, &args->executable, &error);
  return sim_answer(status, &error);
}

PJRT_Error *sim_Executable_DeserializeAndLoad(
    PJRT_Executable_DeserializeAndLoad_Args *args) {
  SIM_BEGIN(Executable_DeserializeAndLoad, loaded_executable);
  SIM_NEED(args->client);
  SIM_NEED(args->serialized_executable);
  if (SIM_REACHES(args, PJRT_Executable_DeserializeAndLoad_Args,
                  overridden_serialized_compile_options_size) &&
      args->overridden_serialized_compile_options_size)
    return sim_raise(PFL_STATUS_UNIMPLEMENTED,
                     "other compile options than a program was made with");
  sim_executable *made;
  pfl_error error;
  pfl_status status = sim_executable_deserialize(
      args->serialized_executable, args->serialized_executable_size,
      args->client->topology.device_count, &made, &error);
  if (!status)
    status = load(args->client, made, &args->loaded_executable, &error);
  return sim_answer(status, &error);
}

/* The bytes are the executable's, which stays as long as they are needed. */
static void delete_serialized(PJRT_SerializedExecutable *serialized) {
  sim_executable_release((sim_executable *)serialized);
}

PJRT_Error *sim_Executable_Serialize(PJRT_Executable_Serialize_Args *args) {
  SIM_BEGIN(Executable_Serialize, serialized_executable_deleter);
  SIM_NEED(args->executable);
  sim_executable *made = sim_executable_keep(args->executable->made);
  args->serialized_bytes = made->serialized.bytes;
  args->serialized_bytes_size = made->serialized.length;
  args->serialized_executable = (PJRT_SerializedExecutable *)made;
  args->serialized_executable_deleter = delete_serialized;
  return NULL;
}

/* ---- Executables --------------------------------------------------------- */

PJRT_Error *sim_Executable_Destroy(PJRT_Executable_Destroy_Args *args) {
  SIM_BEGIN(Executable_Destroy, executable);
  if (!args->executable) return NULL;
  sim_executable_release(args->executable->made);
  base_release(&sim_heap, args->executable);
  return NULL;
}

PJRT_Error *sim_Executable_Name(PJRT_Executable_Name_Args *args) {
  SIM_BEGIN(Executable_Name, executable_name_size);
  SIM_NEED(args->executable);
  args->executable_name = args->executable->made->program->name;
  args->executable_name_size = strlen(args->executable_name);
  return NULL;
}

PJRT_Error *sim_Executable_NumReplicas(PJRT_Executable_NumReplicas_Args *args) {
  SIM_BEGIN(Executable_NumReplicas, num_replicas);
  SIM_NEED(args->executable);
  args->num_replicas = (size_t)args->executable->made->program->replicas;
  return NULL;
}

PJRT_Error *sim_Executable_NumPartitions(
    PJRT_Executable_NumPartitions_Args *args) {
  SIM_BEGIN(Executable_NumPartitions, num_partitions);
  args->num_partitions = 1;
  return NULL;
}

PJRT_Error *sim_Executable_NumOutputs(PJRT_Executable_NumOutputs_Args *args) {
  SIM_BEGIN(Executable_NumOutputs, num_outputs);
  SIM_NEED(args->executable);
  args->num_outputs = (size_t)args->executable->made->program->output_count;
  return NULL;
}

PJRT_Error *sim_Executable_OutputElementTypes(
    PJRT_Executable_OutputElementTypes_Args *args) {
  SIM_BEGIN(Executable_OutputElementTypes, num_output_types);
  SIM_NEED(args->executable);
  sim_executable *made = args->executable->made;
  args->output_types = made->types;
  args->num_output_types = (size_t)made->program->output_count;
  return NULL;
}

PJRT_Error *sim_Executable_OutputDimensions(
    PJRT_Executable_OutputDimensions_Args *args) {
  SIM_BEGIN(Executable_OutputDimensions, dim_sizes);
  SIM_NEED(args->executable);
  sim_executable *made = args->executable->made;
  args->num_outputs = (size_t)made->program->output_count;
  args->dims = made->sizes;
  args->dim_sizes = made->ranks;
  return NULL;
}

PJRT_Error *sim_Executable_OutputMemoryKinds(
    PJRT_Executable_OutputMemoryKinds_Args *args) {
  SIM_BEGIN(Executable_OutputMemoryKinds, memory_kind_sizes);
  SIM_NEED(args->executable);
  sim_executable *made = args->executable->made;
  args->num_outputs = (size_t)made->program->output_count;
  args->memory_kinds = made->memory_kinds;
  args->memory_kind_sizes = made->memory_kind_sizes;
  return NULL;
}

PJRT_Error *sim_Executable_SizeOfGeneratedCodeInBytes(
    PJRT_Executable_SizeOfGeneratedCodeInBytes_Args *args) {
  SIM_BEGIN(Executable_SizeOfGeneratedCodeInBytes, size_in_bytes);
  SIM_NEED(args->executable);
  args->size_in_bytes = args->executable->made->memory.generated_code_bytes;
  return NULL;
}

PJRT_Error *sim_Executable_Fingerprint(PJRT_Executable_Fingerprint_Args *args) {
  SIM_BEGIN(Executable_Fingerprint, executable_fingerprint_size);
  SIM_NEED(args->executable);
  args->executable_fingerprint = args->executable->made->fingerprint;
  args->executable_fingerprint_size = SHA256_HEX_SIZE - 1;
  return NULL;
}

PJRT_Error *sim_Executable_GetCostAnalysis(
    PJRT_Executable_GetCostAnalysis_Args *args) {
  SIM_BEGIN(Executable_GetCostAnalysis, properties);
  SIM_NEED(args->executable);
  args->num_properties = SIM_COSTS;
  args->properties = args->executable->made->costs;
  return NULL;
}

/* peak and total came later. */
PJRT_Error *sim_Executable_GetCompiledMemoryStats(
    PJRT_Executable_GetCompiledMemoryStats_Args *args) {
  SIM_BEGIN(Executable_GetCompiledMemoryStats, host_temp_size_in_bytes);
  SIM_NEED(args->executable);
  const pjrt_compiled_memory *memory = &args->executable->made->memory;
#define GIVE_FIELD(name) args->name##_size_in_bytes = memory->name##_bytes;
  PJRT_MEMORY_LIST(GIVE_FIELD)
#undef GIVE_FIELD
  if (SIM_REACHES(args, PJRT_Executable_GetCompiledMemoryStats_Args,
                  peak_memory_in_bytes))
    args->peak_memory_in_bytes = memory->peak_bytes;
  if (SIM_REACHES(args, PJRT_Executable_GetCompiledMemoryStats_Args,
                  total_size_in_bytes))
    args->total_size_in_bytes = memory->total_bytes;
  return NULL;
}

/* ---- Loaded executables -------------------------------------------------- */

static sim_executable *take_made(PJRT_LoadedExecutable *loaded) {
  sim_lock(loaded->client);
  sim_executable *made = loaded->made;
  loaded->made = NULL;
  sim_unlock(loaded->client);
  return made;
}

PJRT_Error *sim_LoadedExecutable_Delete(
    PJRT_LoadedExecutable_Delete_Args *args) {
  SIM_BEGIN(LoadedExecutable_Delete, executable);
  SIM_NEED(args->executable);
  sim_executable_release(take_made(args->executable));
  return NULL;
}

PJRT_Error *sim_LoadedExecutable_Destroy(
    PJRT_LoadedExecutable_Destroy_Args *args) {
  SIM_BEGIN(LoadedExecutable_Destroy, executable);
  PJRT_LoadedExecutable *loaded = args->executable;
  if (!loaded) return NULL;
  sim_executable_release(take_made(loaded));
  PJRT_Client *client = loaded->client;
  base_release(&sim_heap, loaded);
  sim_client_release(client);
  return NULL;
}

PJRT_Error *sim_LoadedExecutable_IsDeleted(
    PJRT_LoadedExecutable_IsDeleted_Args *args) {
  SIM_BEGIN(LoadedExecutable_IsDeleted, is_deleted);
  SIM_NEED(args->executable);
  sim_lock(args->executable->client);
  args->is_deleted = !args->executable->made;
  sim_unlock(args->executable->client);
  return NULL;
}

sim_executable *sim_loaded_keep(PJRT_LoadedExecutable *loaded) {
  sim_lock(loaded->client);
  sim_executable *made = loaded->made;
  if (made) sim_executable_keep(made);
  sim_unlock(loaded->client);
  return made;
}

PJRT_Error *sim_LoadedExecutable_GetExecutable(
    PJRT_LoadedExecutable_GetExecutable_Args *args) {
  SIM_BEGIN(LoadedExecutable_GetExecutable, executable);
  SIM_NEED(args->loaded_executable);
  sim_executable *made = sim_loaded_keep(args->loaded_executable);
  if (!made)
    return sim_raise(PFL_STATUS_INVALID_ARGUMENT, "the program was deleted");
  pfl_error error;
  return sim_answer(wrap(made, &args->executable, &error), &error);
}

PJRT_Error *sim_LoadedExecutable_AddressableDevices(
    PJRT_LoadedExecutable_AddressableDevices_Args *args) {
  SIM_BEGIN(LoadedExecutable_AddressableDevices, num_addressable_devices);
  SIM_NEED(args->executable);
  args->addressable_devices = args->executable->client->device_list;
  args->num_addressable_devices = (size_t)args->executable->device_count;
  return NULL;
}

/* The same for every client: two programs of one text are one. */
PJRT_Error *sim_LoadedExecutable_Fingerprint(
    PJRT_LoadedExecutable_Fingerprint_Args *args) {
  SIM_BEGIN(LoadedExecutable_Fingerprint, executable_fingerprint_size);
  SIM_NEED(args->executable);
  sim_executable *made = sim_loaded_keep(args->executable);
  if (!made)
    return sim_raise(PFL_STATUS_INVALID_ARGUMENT, "the program was deleted");
  args->executable_fingerprint = made->fingerprint;
  args->executable_fingerprint_size = SHA256_HEX_SIZE - 1;
  sim_executable_release(made); /* the loaded one still has it */
  return NULL;
}
