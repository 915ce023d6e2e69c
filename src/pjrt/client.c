#include "pjrt/client.h"

#include <string.h>

#include "base/memory.h"

/* ---- Options ------------------------------------------------------------- */

PJRT_NamedValue pjrt_option_text(const char *name, const char *value) {
  return PJRT_ARGS(NamedValue, .name = name, .name_size = strlen(name),
                   .type = PJRT_NamedValue_kString, .string_value = value,
                   .value_size = strlen(value));
}

PJRT_NamedValue pjrt_option_integer(const char *name, int64_t value) {
  return PJRT_ARGS(NamedValue, .name = name, .name_size = strlen(name),
                   .type = PJRT_NamedValue_kInt64, .int64_value = value,
                   .value_size = 1);
}

/* ---- Clients ------------------------------------------------------------- */

static pfl_status take_platform(pjrt_client *client, pfl_error *error) {
  PJRT_Client_PlatformName_Args name =
      PJRT_ARGS(Client_PlatformName_Args, .client = client->handle);
  PFL_TRY(PJRT_CALL(&client->plugin, Client_PlatformName, &name, error));
  PJRT_Client_PlatformVersion_Args version =
      PJRT_ARGS(Client_PlatformVersion_Args, .client = client->handle);
  PFL_TRY(PJRT_CALL(&client->plugin, Client_PlatformVersion, &version, error));
  if (!name.platform_name || !version.platform_version)
    return pjrt_raise_nothing("Client_PlatformName", "name or version", error);
  base_text_add(&client->platform, name.platform_name, name.platform_name_size);
  base_text_add(&client->version, version.platform_version,
                version.platform_version_size);
  PFL_TRY(base_text_check(&client->platform, error));
  return base_text_check(&client->version, error);
}

static pfl_status take_device(const pjrt_client *client, PJRT_Device *handle,
                              pjrt_device *out_device, pfl_error *error) {
  if (!handle)
    return pjrt_raise_nothing("Client_AddressableDevices", "device", error);
  PJRT_Device_GetDescription_Args args =
      PJRT_ARGS(Device_GetDescription_Args, .device = handle);
  PFL_TRY(PJRT_CALL(&client->plugin, Device_GetDescription, &args, error));
  if (!args.device_description)
    return pjrt_raise_nothing("Device_GetDescription", "description", error);
  out_device->handle = handle;
  return pjrt_device_describe(&client->plugin, args.device_description,
                              &out_device->info, error);
}

static pfl_status take_devices(pjrt_client *client, pfl_error *error) {
  PJRT_Client_AddressableDevices_Args args =
      PJRT_ARGS(Client_AddressableDevices_Args, .client = client->handle);
  PFL_TRY(PJRT_CALL(&client->plugin, Client_AddressableDevices, &args, error));
  size_t count = args.num_addressable_devices;
  if (!count)
    PFL_RAISE(error, FAILED_PRECONDITION,
              "the plugin made a client (%s) without devices",
              base_text_get(&client->platform));
  if (!args.addressable_devices)
    return pjrt_raise_nothing("Client_AddressableDevices", "devices", error);
  client->devices =
      count <= PJRT_DEVICES_MAX
          ? base_allocate(&client->allocator, count * sizeof *client->devices)
          : NULL;
  if (!client->devices)
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for %zu devices", count);
  client->device_count = (int64_t)count;
  for (size_t i = 0; i < count; i++)
    PFL_TRY(take_device(client, args.addressable_devices[i],
                        &client->devices[i], error));
  return PFL_STATUS_OK;
}

pfl_status pjrt_client_create(const pjrt_plugin *plugin,
                              const PJRT_NamedValue *options,
                              size_t option_count,
                              const pfl_allocator *allocator,
                              pjrt_client *out_client, pfl_error *error) {
  pjrt_client client = {.plugin = *plugin,
                        .allocator = *allocator,
                        .platform = {.allocator = *allocator},
                        .version = {.allocator = *allocator}};
  *out_client = (pjrt_client){0};
  PJRT_Client_Create_Args args =
      PJRT_ARGS(Client_Create_Args, .create_options = options,
                .num_options = option_count);
  PFL_TRY(PJRT_CALL(plugin, Client_Create, &args, error));
  if (!args.client) return pjrt_raise_nothing("Client_Create", "client", error);
  client.handle = args.client;
  pfl_status status = take_platform(&client, error);
  if (!status) status = take_devices(&client, error);
  if (status)
    pjrt_client_destroy(&client);
  else
    *out_client = client;
  return status;
}

void pjrt_client_destroy(pjrt_client *client) {
  if (!client->handle) return;
  PJRT_DESTROY(&client->plugin, Client_Destroy, client, client->handle);
  base_text_release(&client->platform);
  base_text_release(&client->version);
  base_release(&client->allocator, client->devices);
  *client = (pjrt_client){0};
}

pfl_status pjrt_device_check(const pjrt_client *client, int64_t device,
                             pfl_error *error) {
  if (device < 0 || device >= client->device_count)
    PFL_RAISE(error, INVALID_ARGUMENT, "device is %lld, must be 0 .. %lld",
              (long long)device, (long long)client->device_count - 1);
  return PFL_STATUS_OK;
}

/* ---- Memory of a device -------------------------------------------------- */

pfl_status pjrt_device_memory_get(const pjrt_client *client, int64_t device,
                                  pjrt_device_memory *out_memory,
                                  pfl_error *error) {
  PFL_TRY(pjrt_device_check(client, device, error));
  PJRT_Device_MemoryStats_Args args = PJRT_ARGS(
      Device_MemoryStats_Args, .device = client->devices[device].handle);
  PFL_TRY(PJRT_CALL(&client->plugin, Device_MemoryStats, &args, error));
  out_memory->bytes_in_use = args.bytes_in_use;
#define TAKE_FIELD(name) out_memory->name = args.name##_is_set ? args.name : -1;
  PJRT_DEVICE_MEMORY_LIST(TAKE_FIELD)
#undef TAKE_FIELD
  return PFL_STATUS_OK;
}
