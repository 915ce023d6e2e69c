#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "device/device.h"
#include "pjrt/place.h"

enum { PATH_SIZE = 4096 };

/* ---- Plugins ------------------------------------------------------------- */

/* Where the simulator lies from the program: beside it, as built; in the place
 * that it is installed in; in the build's root, for tests. It is installed
 * beside the library. */
static const char installed[] = "/" PFLASH_LIB_FROM_BIN;
static const char *const places[] = {"", installed, "/.."};

/* Adds <directory of `path`><below>/libpflash_sim.so, if it can be read. */
static bool find_beside(const char *path, const char *below, base_text *out) {
  const char *slash = strrchr(path, '/');
  char candidate[PATH_SIZE];
  if (!slash || snprintf(candidate, sizeof candidate, "%.*s%s/libpflash_sim.so",
                         (int)(slash - path), path, below) >= PATH_SIZE)
    return false;
  if (access(candidate, R_OK)) return false;
  base_text_add_string(out, candidate);
  return true;
}

pfl_status device_find_simulator(base_text *out_path, pfl_error *error) {
  char path[PATH_SIZE];
  const char *named = getenv("PFLASH_SIM_PLUGIN");
  if (named && *named) {
    if (access(named, R_OK))
      PFL_RAISE(error, NOT_FOUND,
                "PFLASH_SIM_PLUGIN is %.300s: must be a plugin that can be "
                "read",
                named);
    base_text_add_string(out_path, named);
    return base_text_check(out_path, error);
  }
  bool found = false;
  if (pjrt_program_path(path, sizeof path))
    for (size_t i = 0; !found && i < sizeof places / sizeof *places; i++)
      found = find_beside(path, places[i], out_path);
  if (!found && pjrt_library_path(path, sizeof path))
    found = find_beside(path, "", out_path);
  if (found) return base_text_check(out_path, error);
  PFL_RAISE(error, NOT_FOUND,
            "no simulator: libpflash_sim.so is neither beside the program or "
            "the library nor where it is installed; PFLASH_SIM_PLUGIN may name "
            "it");
}

/* libtpu without a TPU asks a metadata server for minutes. Its devices are
 * files; a plugin that the user names may have others. */
pfl_status device_find_tpu(pfl_error *error) {
  const char *named = getenv("PFLASH_PJRT_PLUGIN");
  if ((named && *named) || !access("/dev/accel0", F_OK) ||
      !access("/dev/vfio/0", F_OK))
    return PFL_STATUS_OK;
  PFL_RAISE(error, UNAVAILABLE,
            "this machine has no TPU: there is neither /dev/accel0 nor "
            "/dev/vfio/0; --device sim simulates one");
}

static pfl_status find_plugin(const device_options *options,
                              device_slice *slice, pfl_error *error) {
  if (options->plugin) {
    base_text_add_string(&slice->plugin, options->plugin);
    return base_text_check(&slice->plugin, error);
  }
  if (options->kind == DEVICE_SIM)
    return device_find_simulator(&slice->plugin, error);
  PFL_TRY(device_find_tpu(error));
  return pjrt_plugin_find(&slice->plugin, error);
}

/* ---- Devices ------------------------------------------------------------- */

/* The topology of v5e chips on a mesh, by their coordinates. */
static pfl_status find_target(device_slice *slice, pfl_error *error) {
  static const char kind[] = "TPU v5 lite";
  int64_t width = 1, height = 1, count = slice->client.device_count;
  for (int64_t i = 0; i < count; i++) {
    const pjrt_device_info *info = &slice->client.devices[i].info;
    if (strncmp(info->kind, kind, strlen(kind)) || info->coordinate_count < 2)
      PFL_RAISE(error, UNIMPLEMENTED,
                "device %d is a '%s': there are kernels for a 'TPU v5 lite' "
                "alone",
                info->id, info->kind);
    width = base_max(width, info->coordinates[0] + 1);
    height = base_max(height, info->coordinates[1] + 1);
  }
  snprintf(slice->target, sizeof slice->target, "v5e:%dx%d", (int)width,
           (int)height);
  return PFL_STATUS_OK;
}

static pfl_status create_client(const device_options *options,
                                device_slice *slice, pfl_error *error) {
  PJRT_NamedValue values[3];
  size_t count = 0;
  pjrt_plugin plugin;
  if (options->seed)
    values[count++] = pjrt_option_integer("seed", options->seed);
  if (options->threads)
    values[count++] = pjrt_option_integer("threads", options->threads);
  if (options->trace)
    values[count++] = pjrt_option_text("trace", options->trace);
  PFL_TRY(pjrt_plugin_load(base_text_get(&slice->plugin), &plugin, error));
  PFL_TRY(pjrt_client_create(&plugin, values, count, &slice->allocator,
                             &slice->client, error));
  return find_target(slice, error);
}

pfl_status device_open(const device_options *options,
                       const pfl_allocator *allocator, device_slice *out_slice,
                       pfl_error *error) {
  *out_slice = (device_slice){.kind = options->kind,
                              .allocator = *allocator,
                              .plugin = {.allocator = *allocator}};
  pfl_status status = find_plugin(options, out_slice, error);
  if (!status) status = create_client(options, out_slice, error);
  if (status) device_close(out_slice);
  return status;
}

void device_close(device_slice *slice) {
  pjrt_client_destroy(&slice->client);
  base_text_release(&slice->plugin);
}
