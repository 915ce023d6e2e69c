/* Devices as libtpu describes those of v5e:2x2, but for their kind. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "sim/plugin_parts.h"

const char sim_platform_name[] = "sim";
const char sim_platform_version[] =
    "Pallas-Flash simulator of TPU v5 lite, serialized form 1";
static const char device_kind[] = "TPU v5 lite (simulated)";

/* ---- Named values -------------------------------------------------------- */

static PJRT_NamedValue named(const char *name, PJRT_NamedValue_Type type,
                             size_t count) {
  return (PJRT_NamedValue){.struct_size = PJRT_NamedValue_STRUCT_SIZE,
                           .name = name,
                           .name_size = strlen(name),
                           .type = type,
                           .value_size = count};
}

PJRT_NamedValue sim_named_integer(const char *name, int64_t value) {
  PJRT_NamedValue made = named(name, PJRT_NamedValue_kInt64, 1);
  made.int64_value = value;
  return made;
}

PJRT_NamedValue sim_named_integers(const char *name, const int64_t *values,
                                   size_t count) {
  PJRT_NamedValue made = named(name, PJRT_NamedValue_kInt64List, count);
  made.int64_array_value = values;
  return made;
}

/* ---- Topologies ---------------------------------------------------------- */

/* Device i of a mesh `width` chips wide: x first. */
static void describe_device(PJRT_DeviceDescription *device, int i, int width) {
  device->id = i;
  device->coordinates[0] = i % width;
  device->coordinates[1] = i / width;
  device->coordinates[2] = 0;
  snprintf(device->name, sizeof device->name, "SIM_%d(process=0,(%d,%d,0,0))",
           i, i % width, i / width);
  snprintf(device->text, sizeof device->text,
           "SimDevice(id=%d, process_index=0, coords=(%d,%d,0), "
           "core_on_chip=0)",
           i, i % width, i / width);
  device->attributes[0] = sim_named_integers("coords", device->coordinates, 3);
  device->attributes[1] = sim_named_integer("core_on_chip", 0);
  device->attributes[2] = sim_named_integer("num_cores", 1);
  device->attributes[3] =
      sim_named_integer("device_memory_bytes_limit", SIM_HBM_BYTES);
}

pfl_status sim_topology_init(const char *name, size_t length,
                             PJRT_TopologyDescription *topology,
                             pfl_error *error) {
  static const struct {
    const char *name;
    int width, count;
  } known[] = {{"v5e:2x2", 2, 4}, {"v5e:1x1", 1, 1}};
  char quoted[BASE_QUOTE_SIZE];
  for (int i = 0; i < 2; i++) {
    if (length != strlen(known[i].name) || memcmp(name, known[i].name, length))
      continue;
    *topology = (PJRT_TopologyDescription){.name = known[i].name,
                                           .device_count = known[i].count};
    for (int k = 0; k < known[i].count; k++) {
      describe_device(&topology->descriptions[k], k, known[i].width);
      topology->list[k] = &topology->descriptions[k];
    }
    topology->attributes[0] = sim_named_integers("wrap", topology->wrap, 3);
    topology->attributes[1] =
        sim_named_integer("device_memory_bytes_limit", SIM_HBM_BYTES);
    return PFL_STATUS_OK;
  }
  PFL_RAISE(error, INVALID_ARGUMENT,
            "the topology is %s: must be v5e:2x2 or v5e:1x1",
            base_quote(name, length, quoted));
}

PJRT_Error *sim_TopologyDescription_Create(
    PJRT_TopologyDescription_Create_Args *args) {
  SIM_BEGIN(TopologyDescription_Create, topology);
  if (args->topology_name_size) SIM_NEED(args->topology_name);
  if (args->num_options)
    return sim_raise(PFL_STATUS_INVALID_ARGUMENT,
                     "a simulated topology has no options; %zu are given",
                     args->num_options);
  pfl_error error;
  PJRT_TopologyDescription *made = base_allocate(&sim_heap, sizeof *made);
  if (!made)
    return sim_raise(PFL_STATUS_RESOURCE_EXHAUSTED, "no memory on the host");
  pfl_status status = sim_topology_init(args->topology_name,
                                        args->topology_name_size, made, &error);
  if (status)
    base_release(&sim_heap, made);
  else
    args->topology = made;
  return sim_answer(status, &error);
}

PJRT_Error *sim_TopologyDescription_Destroy(
    PJRT_TopologyDescription_Destroy_Args *args) {
  SIM_BEGIN(TopologyDescription_Destroy, topology);
  base_release(&sim_heap, args->topology);
  return NULL;
}

PJRT_Error *sim_TopologyDescription_PlatformName(
    PJRT_TopologyDescription_PlatformName_Args *args) {
  SIM_BEGIN(TopologyDescription_PlatformName, platform_name_size);
  args->platform_name = sim_platform_name;
  args->platform_name_size = strlen(sim_platform_name);
  return NULL;
}

PJRT_Error *sim_TopologyDescription_PlatformVersion(
    PJRT_TopologyDescription_PlatformVersion_Args *args) {
  SIM_BEGIN(TopologyDescription_PlatformVersion, platform_version_size);
  args->platform_version = sim_platform_version;
  args->platform_version_size = strlen(sim_platform_version);
  return NULL;
}

PJRT_Error *sim_TopologyDescription_GetDeviceDescriptions(
    PJRT_TopologyDescription_GetDeviceDescriptions_Args *args) {
  SIM_BEGIN(TopologyDescription_GetDeviceDescriptions, num_descriptions);
  SIM_NEED(args->topology);
  args->descriptions = args->topology->list;
  args->num_descriptions = (size_t)args->topology->device_count;
  return NULL;
}

PJRT_Error *sim_TopologyDescription_Attributes(
    PJRT_TopologyDescription_Attributes_Args *args) {
  SIM_BEGIN(TopologyDescription_Attributes, num_attributes);
  SIM_NEED(args->topology);
  args->attributes = args->topology->attributes;
  args->num_attributes = 2;
  return NULL;
}

/* The bytes are those of a constant; there is nothing to delete. */
static void delete_topology(PJRT_SerializedTopology *nothing) { (void)nothing; }

PJRT_Error *sim_TopologyDescription_Serialize(
    PJRT_TopologyDescription_Serialize_Args *args) {
  SIM_BEGIN(TopologyDescription_Serialize, serialized_topology_deleter);
  SIM_NEED(args->topology);
  args->serialized_bytes = args->topology->name;
  args->serialized_bytes_size = strlen(args->topology->name);
  args->serialized_topology = NULL;
  args->serialized_topology_deleter = delete_topology;
  return NULL;
}

/* ---- Descriptions of devices --------------------------------------------- */

PJRT_Error *sim_DeviceDescription_Id(PJRT_DeviceDescription_Id_Args *args) {
  SIM_BEGIN(DeviceDescription_Id, id);
  SIM_NEED(args->device_description);
  args->id = args->device_description->id;
  return NULL;
}

PJRT_Error *sim_DeviceDescription_ProcessIndex(
    PJRT_DeviceDescription_ProcessIndex_Args *args) {
  SIM_BEGIN(DeviceDescription_ProcessIndex, process_index);
  args->process_index = 0;
  return NULL;
}

PJRT_Error *sim_DeviceDescription_Attributes(
    PJRT_DeviceDescription_Attributes_Args *args) {
  SIM_BEGIN(DeviceDescription_Attributes, attributes);
  SIM_NEED(args->device_description);
  args->attributes = args->device_description->attributes;
  args->num_attributes = 4;
  return NULL;
}

PJRT_Error *sim_DeviceDescription_Kind(PJRT_DeviceDescription_Kind_Args *args) {
  SIM_BEGIN(DeviceDescription_Kind, device_kind_size);
  args->device_kind = device_kind;
  args->device_kind_size = strlen(device_kind);
  return NULL;
}

PJRT_Error *sim_DeviceDescription_DebugString(
    PJRT_DeviceDescription_DebugString_Args *args) {
  SIM_BEGIN(DeviceDescription_DebugString, debug_string_size);
  SIM_NEED(args->device_description);
  args->debug_string = args->device_description->name;
  args->debug_string_size = strlen(args->debug_string);
  return NULL;
}

PJRT_Error *sim_DeviceDescription_ToString(
    PJRT_DeviceDescription_ToString_Args *args) {
  SIM_BEGIN(DeviceDescription_ToString, to_string_size);
  SIM_NEED(args->device_description);
  args->to_string = args->device_description->text;
  args->to_string_size = strlen(args->to_string);
  return NULL;
}
