/* Compiling ahead of time with a plugin in this process, for devices that need
 * not be there. A compiler may abort the process it is in: programs call
 * pjrt_compile (compile.h), which does this in another. */
#ifndef PFL_PJRT_AOT_H
#define PFL_PJRT_AOT_H

#include "pjrt/artifact.h"
#include "pjrt/plugin.h"

#define PJRT_COORDINATES_MAX 4

/* One device, there or not. */
typedef struct pjrt_device_info {
  int id;
  char kind[64];
  int coordinate_count;                      /* 0: the plugin gives none */
  int64_t coordinates[PJRT_COORDINATES_MAX]; /* x, y, z in the torus */
  int64_t core;                              /* on its chip */
} pjrt_device_info;

PFL_NODISCARD pfl_status pjrt_device_describe(
    const pjrt_plugin *plugin, PJRT_DeviceDescription *description,
    pjrt_device_info *out_info, pfl_error *error);

/* "v5e:2x2" for instance. Given back with pjrt_topology_destroy. */
PFL_NODISCARD pfl_status
pjrt_topology_create(const pjrt_plugin *plugin, const char *name,
                     PJRT_TopologyDescription **out_topology, pfl_error *error);
void pjrt_topology_destroy(const pjrt_plugin *plugin,
                           PJRT_TopologyDescription *topology);

/* The compiler's own words on its version. */
PFL_NODISCARD pfl_status pjrt_topology_version(
    const pjrt_plugin *plugin, PJRT_TopologyDescription *topology,
    base_text *out_version, pfl_error *error);

/* Fills up to `capacity` infos and sets *out_count to the devices there are. */
PFL_NODISCARD pfl_status pjrt_topology_devices(
    const pjrt_plugin *plugin, const PJRT_TopologyDescription *topology,
    pjrt_device_info *out_infos, int64_t capacity, int64_t *out_count,
    pfl_error *error);

/* A module (StableHLO, text or bytecode) and a serialized CompileOptionsProto.
 * Given back with pjrt_executable_destroy. */
PFL_NODISCARD pfl_status pjrt_compile_here(
    const pjrt_plugin *plugin, const PJRT_TopologyDescription *topology,
    const void *module, size_t module_size, const void *options,
    size_t options_size, PJRT_Executable **out_executable, pfl_error *error);
void pjrt_executable_destroy(const pjrt_plugin *plugin,
                             PJRT_Executable *executable);

/* Bytes on each device; 0 where the plugin does not say. */
PFL_NODISCARD pfl_status
pjrt_executable_memory(const pjrt_plugin *plugin, PJRT_Executable *executable,
                       pjrt_compiled_memory *out_memory, pfl_error *error);

/* The compiler's estimates, which live as long as the executable. */
PFL_NODISCARD pfl_status pjrt_executable_costs(
    const pjrt_plugin *plugin, PJRT_Executable *executable,
    const PJRT_NamedValue **out_costs, size_t *out_count, pfl_error *error);

/* Serializes it, with its memory and costs where the plugin tells them, packed
 * as artifact.h says. */
PFL_NODISCARD pfl_status pjrt_executable_pack(const pjrt_plugin *plugin,
                                              PJRT_Executable *executable,
                                              const char *version,
                                              base_text *out, pfl_error *error);

#endif
