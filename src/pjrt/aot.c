#include "pjrt/aot.h"

#include <string.h>

#include "base/memory.h"

/* ---- Topologies ---------------------------------------------------------- */

pfl_status pjrt_topology_create(const pjrt_plugin *plugin, const char *name,
                                PJRT_TopologyDescription **out_topology,
                                pfl_error *error) {
  PJRT_TopologyDescription_Create_Args args =
      PJRT_ARGS(TopologyDescription_Create_Args, .topology_name = name,
                .topology_name_size = strlen(name));
  PFL_TRY(PJRT_CALL(plugin, TopologyDescription_Create, &args, error));
  if (!args.topology)
    return pjrt_raise_nothing("TopologyDescription_Create", "topology", error);
  *out_topology = args.topology;
  return PFL_STATUS_OK;
}

void pjrt_topology_destroy(const pjrt_plugin *plugin,
                           PJRT_TopologyDescription *topology) {
  PJRT_DESTROY(plugin, TopologyDescription_Destroy, topology, topology);
}

pfl_status pjrt_topology_version(const pjrt_plugin *plugin,
                                 PJRT_TopologyDescription *topology,
                                 base_text *out_version, pfl_error *error) {
  PJRT_TopologyDescription_PlatformVersion_Args args =
      PJRT_ARGS(TopologyDescription_PlatformVersion_Args, .topology = topology);
  PFL_TRY(PJRT_CALL(plugin, TopologyDescription_PlatformVersion, &args, error));
  if (!args.platform_version)
    return pjrt_raise_nothing("TopologyDescription_PlatformVersion", "version",
                              error);
  base_text_add(out_version, args.platform_version, args.platform_version_size);
  return base_text_check(out_version, error);
}

static void take_coordinates(const PJRT_NamedValue *value,
                             pjrt_device_info *info) {
  if (!value || value->type != PJRT_NamedValue_kInt64List) return;
  size_t count = value->value_size;
  if (count > PJRT_COORDINATES_MAX) count = PJRT_COORDINATES_MAX;
  info->coordinate_count = (int)count;
  if (count)
    memcpy(info->coordinates, value->int64_array_value,
           count * sizeof *info->coordinates);
}

pfl_status pjrt_device_describe(const pjrt_plugin *plugin,
                                PJRT_DeviceDescription *description,
                                pjrt_device_info *out_info, pfl_error *error) {
  pjrt_device_info info = {0};
  PJRT_DeviceDescription_Id_Args id =
      PJRT_ARGS(DeviceDescription_Id_Args, .device_description = description);
  PFL_TRY(PJRT_CALL(plugin, DeviceDescription_Id, &id, error));
  PJRT_DeviceDescription_Kind_Args kind =
      PJRT_ARGS(DeviceDescription_Kind_Args, .device_description = description);
  PFL_TRY(PJRT_CALL(plugin, DeviceDescription_Kind, &kind, error));
  PJRT_DeviceDescription_Attributes_Args attributes = PJRT_ARGS(
      DeviceDescription_Attributes_Args, .device_description = description);
  PFL_TRY(PJRT_CALL(plugin, DeviceDescription_Attributes, &attributes, error));
  const PJRT_NamedValue *values = attributes.attributes;
  size_t count = attributes.num_attributes;
  PFL_TRY(pjrt_named_values_check(values, count, error));
  info.id = id.id;
  if (!kind.device_kind)
    return pjrt_raise_nothing("DeviceDescription_Kind", "kind", error);
  size_t length = kind.device_kind_size;
  if (length >= sizeof info.kind) length = sizeof info.kind - 1;
  memcpy(info.kind, kind.device_kind, length);
  take_coordinates(pjrt_named_value_find(values, count, "coords"), &info);
  const PJRT_NamedValue *core =
      pjrt_named_value_find(values, count, "core_on_chip");
  if (core && core->type == PJRT_NamedValue_kInt64)
    info.core = core->int64_value;
  *out_info = info;
  return PFL_STATUS_OK;
}

pfl_status pjrt_topology_devices(const pjrt_plugin *plugin,
                                 const PJRT_TopologyDescription *topology,
                                 pjrt_device_info *out_infos, int64_t capacity,
                                 int64_t *out_count, pfl_error *error) {
  PJRT_TopologyDescription_GetDeviceDescriptions_Args args = PJRT_ARGS(
      TopologyDescription_GetDeviceDescriptions_Args, .topology = topology);
  PFL_TRY(PJRT_CALL(plugin, TopologyDescription_GetDeviceDescriptions, &args,
                    error));
  if (args.num_descriptions && !args.descriptions)
    return pjrt_raise_nothing("TopologyDescription_GetDeviceDescriptions",
                              "devices", error);
  *out_count = (int64_t)args.num_descriptions;
  for (int64_t i = 0; i < base_min(*out_count, capacity); i++)
    PFL_TRY(pjrt_device_describe(plugin, args.descriptions[i], &out_infos[i],
                                 error));
  return PFL_STATUS_OK;
}

/* ---- Executables --------------------------------------------------------- */

pfl_status pjrt_compile_here(const pjrt_plugin *plugin,
                             const PJRT_TopologyDescription *topology,
                             const void *module, size_t module_size,
                             const void *options, size_t options_size,
                             PJRT_Executable **out_executable,
                             pfl_error *error) {
  PJRT_Program program =
      PJRT_ARGS(Program, .code = (char *)module, .code_size = module_size,
                .format = "mlir", .format_size = 4);
  PJRT_Compile_Args args = PJRT_ARGS(
      Compile_Args, .topology = topology, .program = &program,
      .compile_options = options, .compile_options_size = options_size);
  PFL_TRY(PJRT_CALL(plugin, Compile, &args, error));
  if (!args.executable)
    return pjrt_raise_nothing("Compile", "executable", error);
  *out_executable = args.executable;
  return PFL_STATUS_OK;
}

void pjrt_executable_destroy(const pjrt_plugin *plugin,
                             PJRT_Executable *executable) {
  PJRT_DESTROY(plugin, Executable_Destroy, executable, executable);
}

pfl_status pjrt_executable_memory(const pjrt_plugin *plugin,
                                  PJRT_Executable *executable,
                                  pjrt_compiled_memory *out_memory,
                                  pfl_error *error) {
  PJRT_Executable_GetCompiledMemoryStats_Args args = PJRT_ARGS(
      Executable_GetCompiledMemoryStats_Args, .executable = executable);
  PFL_TRY(PJRT_CALL(plugin, Executable_GetCompiledMemoryStats, &args, error));
#define TAKE_FIELD(name) out_memory->name##_bytes = args.name##_size_in_bytes;
  PJRT_MEMORY_LIST(TAKE_FIELD)
#undef TAKE_FIELD
  out_memory->peak_bytes = args.peak_memory_in_bytes;
  out_memory->total_bytes = args.total_size_in_bytes;
  return PFL_STATUS_OK;
}

pfl_status pjrt_executable_costs(const pjrt_plugin *plugin,
                                 PJRT_Executable *executable,
                                 const PJRT_NamedValue **out_costs,
                                 size_t *out_count, pfl_error *error) {
  PJRT_Executable_GetCostAnalysis_Args args =
      PJRT_ARGS(Executable_GetCostAnalysis_Args, .executable = executable);
  PFL_TRY(PJRT_CALL(plugin, Executable_GetCostAnalysis, &args, error));
  PFL_TRY(pjrt_named_values_check(args.properties, args.num_properties, error));
  *out_costs = args.properties;
  *out_count = args.num_properties;
  return PFL_STATUS_OK;
}

/* The costs that are numbers; their names go, NUL after NUL, to `names`. A
 * plugin without costs still compiles. */
static pfl_status take_costs(const pjrt_plugin *plugin,
                             PJRT_Executable *executable,
                             pjrt_artifact *artifact, base_text *names,
                             base_text *table, pfl_error *error) {
  const PJRT_NamedValue *values;
  size_t count;
  if (pjrt_executable_costs(plugin, executable, &values, &count, NULL))
    return PFL_STATUS_OK;
  for (size_t i = 0; i < count; i++) {
    pjrt_cost cost = {0};
    if (!pjrt_named_value_number(&values[i], &cost.value)) continue;
    base_text_add(names, values[i].name, values[i].name_size);
    base_text_add(names, "", 1);
    base_text_add(table, (const char *)&cost, sizeof cost);
    artifact->cost_count++;
  }
  PFL_TRY(base_text_check(names, error));
  PFL_TRY(base_text_check(table, error));
  artifact->costs = (pjrt_cost *)(void *)table->bytes;
  const char *name = base_text_get(names);
  for (int64_t i = 0; i < artifact->cost_count; i++) {
    artifact->costs[i].name = name;
    name += strlen(name) + 1;
  }
  return PFL_STATUS_OK;
}

pfl_status pjrt_executable_pack(const pjrt_plugin *plugin,
                                PJRT_Executable *executable,
                                const char *version, base_text *out,
                                pfl_error *error) {
  PJRT_Executable_Serialize_Args args =
      PJRT_ARGS(Executable_Serialize_Args, .executable = executable);
  PFL_TRY(PJRT_CALL(plugin, Executable_Serialize, &args, error));
  pjrt_artifact artifact = {.version = version,
                            .executable = args.serialized_bytes,
                            .executable_size = args.serialized_bytes_size};
  base_text names = {.allocator = out->allocator};
  base_text table = {.allocator = out->allocator};
  /* a plugin without statistics still compiles */
  if (pjrt_executable_memory(plugin, executable, &artifact.memory, NULL))
    artifact.memory = (pjrt_compiled_memory){0};
  pfl_status status =
      args.serialized_bytes && args.serialized_bytes_size
          ? take_costs(plugin, executable, &artifact, &names, &table, error)
          : pjrt_raise_nothing("Executable_Serialize", "bytes", error);
  if (!status) status = pjrt_artifact_pack(&artifact, NULL, out, error);
  base_text_release(&names);
  base_text_release(&table);
  if (args.serialized_executable_deleter)
    args.serialized_executable_deleter(args.serialized_executable);
  return status;
}
