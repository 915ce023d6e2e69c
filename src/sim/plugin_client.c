/* Clients, their devices and memories, and the worker. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "sim/plugin_parts.h"

const char sim_memory_kind[] = "device";

/* ---- The worker ---------------------------------------------------------- */

static void *work(void *argument) {
  PJRT_Client *client = argument;
  sim_lock(client);
  for (;;) {
    sim_task *task = client->first;
    if (task) {
      client->first = task->next;
      if (!client->first) client->last = &client->first;
      sim_unlock(client);
      task->run(task);
      sim_lock(client);
    } else if (client->ended) {
      break;
    } else {
      pthread_cond_wait(&client->changed, &client->mutex);
    }
  }
  sim_unlock(client);
  return NULL;
}

pfl_status sim_client_submit(PJRT_Client *client, sim_task *task,
                             pfl_error *error) {
  task->next = NULL;
  sim_lock(client);
  bool taken = !client->ended;
  if (taken) {
    *client->last = task;
    client->last = &task->next;
    pthread_cond_signal(&client->changed);
  }
  sim_unlock(client);
  if (!taken) PFL_RAISE(error, FAILED_PRECONDITION, "the client was destroyed");
  return PFL_STATUS_OK;
}

/* ---- Coming and going ---------------------------------------------------- */

void sim_client_keep(PJRT_Client *client) {
  sim_lock(client);
  client->references++;
  sim_unlock(client);
}

void sim_client_release(PJRT_Client *client) {
  sim_lock(client);
  bool last = !--client->references;
  sim_unlock(client);
  if (!last) return;
  pthread_mutex_destroy(&client->mutex);
  pthread_cond_destroy(&client->changed);
  base_release(&sim_heap, client);
}

static void add_devices(PJRT_Client *client) {
  for (int i = 0; i < client->topology.device_count; i++) {
    PJRT_Device *device = &client->devices[i];
    *device = (PJRT_Device){.client = client,
                            .number = i,
                            .description = &client->topology.descriptions[i],
                            .memory = {.device = device},
                            .memory_list = {&device->memory}};
    snprintf(device->memory.text, sizeof device->memory.text,
             "HBM of simulated device %d", i);
    client->device_list[i] = device;
    client->memory_list[i] = &device->memory;
  }
}

static pfl_status create_slice(PJRT_Client *client, pfl_error *error) {
  const sim_settings *settings = &client->settings;
  int chips = client->topology.device_count;
  if (*settings->trace)
    PFL_TRY(sim_trace_open(settings->trace, chips, &client->trace, error));
  sim_options options = {.chips = chips,
                         .threads = (int)settings->threads,
                         .hostile = settings->hostile,
                         .seed = (uint64_t)settings->seed,
                         .step_limit = settings->step_limit,
                         .trace = client->trace ? sim_trace_add : NULL,
                         .trace_user = client->trace};
  return sim_slice_create(&options, &sim_heap, &client->slice, error);
}

/* What only a client that is to be used has. */
static void end_slice(PJRT_Client *client) {
  sim_slice_destroy(client->slice);
  sim_trace_close(client->trace);
  client->slice = NULL;
  client->trace = NULL;
}

static pfl_status start(PJRT_Client *client, pfl_error *error) {
  const char *topology = client->settings.topology;
  PFL_TRY(
      sim_topology_init(topology, strlen(topology), &client->topology, error));
  add_devices(client);
  pfl_status status = create_slice(client, error);
  if (!status && pthread_create(&client->worker, NULL, work, client))
    status = base_error_set(error, PFL_STATUS_RESOURCE_EXHAUSTED,
                            "no thread for a client");
  if (status) end_slice(client);
  return status;
}

static pfl_status create(const PJRT_NamedValue *options, size_t count,
                         PJRT_Client **out_client, pfl_error *error) {
  sim_settings settings;
  PFL_TRY(sim_settings_read(options, count, &settings, error));
  PJRT_Client *client = base_allocate(&sim_heap, sizeof *client);
  if (!client) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a client");
  *client = (PJRT_Client){
      .references = 1, .last = &client->first, .settings = settings};
  pthread_mutex_init(&client->mutex, NULL);
  pthread_cond_init(&client->changed, NULL);
  pfl_status status = start(client, error);
  if (status)
    sim_client_release(client);
  else
    *out_client = client;
  return status;
}

PJRT_Error *sim_Client_Create(PJRT_Client_Create_Args *args) {
  SIM_BEGIN(Client_Create, client);
  pfl_error error;
  return sim_answer(
      create(args->create_options, args->num_options, &args->client, &error),
      &error);
}

/* Ends what is under way. Buffers and programs that are still there may be
 * given back later, and do nothing until then. */
PJRT_Error *sim_Client_Destroy(PJRT_Client_Destroy_Args *args) {
  SIM_BEGIN(Client_Destroy, client);
  PJRT_Client *client = args->client;
  if (!client) return NULL;
  if (pthread_equal(pthread_self(), client->worker))
    return sim_raise(PFL_STATUS_FAILED_PRECONDITION,
                     "a client cannot be destroyed by a callback of its own");
  sim_lock(client);
  client->ended = true;
  pthread_cond_signal(&client->changed);
  sim_unlock(client);
  pthread_join(client->worker, NULL);
  end_slice(client);
  sim_client_release(client);
  return NULL;
}

/* ---- What a client is ---------------------------------------------------- */

PJRT_Error *sim_Client_PlatformName(PJRT_Client_PlatformName_Args *args) {
  SIM_BEGIN(Client_PlatformName, platform_name_size);
  args->platform_name = sim_platform_name;
  args->platform_name_size = strlen(sim_platform_name);
  return NULL;
}

PJRT_Error *sim_Client_PlatformVersion(PJRT_Client_PlatformVersion_Args *args) {
  SIM_BEGIN(Client_PlatformVersion, platform_version_size);
  args->platform_version = sim_platform_version;
  args->platform_version_size = strlen(sim_platform_version);
  return NULL;
}

PJRT_Error *sim_Client_ProcessIndex(PJRT_Client_ProcessIndex_Args *args) {
  SIM_BEGIN(Client_ProcessIndex, process_index);
  args->process_index = 0;
  return NULL;
}

PJRT_Error *sim_Client_TopologyDescription(
    PJRT_Client_TopologyDescription_Args *args) {
  SIM_BEGIN(Client_TopologyDescription, topology);
  SIM_NEED(args->client);
  args->topology = &args->client->topology;
  return NULL;
}

PJRT_Error *sim_Client_Devices(PJRT_Client_Devices_Args *args) {
  SIM_BEGIN(Client_Devices, num_devices);
  SIM_NEED(args->client);
  args->devices = args->client->device_list;
  args->num_devices = (size_t)args->client->topology.device_count;
  return NULL;
}

PJRT_Error *sim_Client_AddressableDevices(
    PJRT_Client_AddressableDevices_Args *args) {
  SIM_BEGIN(Client_AddressableDevices, num_addressable_devices);
  SIM_NEED(args->client);
  args->addressable_devices = args->client->device_list;
  args->num_addressable_devices = (size_t)args->client->topology.device_count;
  return NULL;
}

static PJRT_Error *find_device(PJRT_Client *client, int id,
                               PJRT_Device **out_device) {
  if (id < 0 || id >= client->topology.device_count)
    return sim_raise(PFL_STATUS_NOT_FOUND,
                     "there is no device %d: ids are 0 "
                     "to %d",
                     id, client->topology.device_count - 1);
  *out_device = &client->devices[id];
  return NULL;
}

PJRT_Error *sim_Client_LookupDevice(PJRT_Client_LookupDevice_Args *args) {
  SIM_BEGIN(Client_LookupDevice, device);
  SIM_NEED(args->client);
  return find_device(args->client, args->id, &args->device);
}

PJRT_Error *sim_Client_LookupAddressableDevice(
    PJRT_Client_LookupAddressableDevice_Args *args) {
  SIM_BEGIN(Client_LookupAddressableDevice, addressable_device);
  SIM_NEED(args->client);
  return find_device(args->client, args->local_hardware_id,
                     &args->addressable_device);
}

PJRT_Error *sim_Client_AddressableMemories(
    PJRT_Client_AddressableMemories_Args *args) {
  SIM_BEGIN(Client_AddressableMemories, num_addressable_memories);
  SIM_NEED(args->client);
  args->addressable_memories = args->client->memory_list;
  args->num_addressable_memories = (size_t)args->client->topology.device_count;
  return NULL;
}

/* Replica r on device r. */
PJRT_Error *sim_Client_DefaultDeviceAssignment(
    PJRT_Client_DefaultDeviceAssignment_Args *args) {
  SIM_BEGIN(Client_DefaultDeviceAssignment, default_assignment);
  SIM_NEED(args->client);
  int most = args->client->topology.device_count;
  if (args->num_partitions != 1 || args->num_replicas < 1 ||
      args->num_replicas > most)
    return sim_raise(PFL_STATUS_INVALID_ARGUMENT,
                     "%d replicas of %d partitions: must be 1 to %d of 1",
                     args->num_replicas, args->num_partitions, most);
  if (args->default_assignment_size < (size_t)args->num_replicas)
    return sim_raise(PFL_STATUS_INVALID_ARGUMENT,
                     "default_assignment_size is %zu: must be %d or more",
                     args->default_assignment_size, args->num_replicas);
  SIM_NEED(args->default_assignment);
  for (int i = 0; i < args->num_replicas; i++) args->default_assignment[i] = i;
  return NULL;
}

/* ---- Devices ------------------------------------------------------------- */

PJRT_Error *sim_Device_GetDescription(PJRT_Device_GetDescription_Args *args) {
  SIM_BEGIN(Device_GetDescription, device_description);
  SIM_NEED(args->device);
  args->device_description = args->device->description;
  return NULL;
}

PJRT_Error *sim_Device_IsAddressable(PJRT_Device_IsAddressable_Args *args) {
  SIM_BEGIN(Device_IsAddressable, is_addressable);
  args->is_addressable = true;
  return NULL;
}

PJRT_Error *sim_Device_LocalHardwareId(PJRT_Device_LocalHardwareId_Args *args) {
  SIM_BEGIN(Device_LocalHardwareId, local_hardware_id);
  SIM_NEED(args->device);
  args->local_hardware_id = args->device->number;
  return NULL;
}

PJRT_Error *sim_Device_AddressableMemories(
    PJRT_Device_AddressableMemories_Args *args) {
  SIM_BEGIN(Device_AddressableMemories, num_memories);
  SIM_NEED(args->device);
  args->memories = args->device->memory_list;
  args->num_memories = 1;
  return NULL;
}

PJRT_Error *sim_Device_DefaultMemory(PJRT_Device_DefaultMemory_Args *args) {
  SIM_BEGIN(Device_DefaultMemory, memory);
  SIM_NEED(args->device);
  args->memory = &args->device->memory;
  return NULL;
}

/* The pool's are newer than the others. */
PJRT_Error *sim_Device_MemoryStats(PJRT_Device_MemoryStats_Args *args) {
  SIM_BEGIN(Device_MemoryStats, largest_free_block_bytes_is_set);
  SIM_NEED(args->device);
  PJRT_Device *device = args->device;
  size_t size = args->struct_size;
  if (size > sizeof *args) size = sizeof *args;
  size_t head = SIM_END(PJRT_Device_MemoryStats_Args, device);
  memset((char *)args + head, 0, size - head);
  sim_lock(device->client);
  args->bytes_in_use = device->in_use;
  args->peak_bytes_in_use = device->peak;
  args->num_allocs = device->allocations;
  args->largest_alloc_size = device->largest;
  sim_unlock(device->client);
  args->bytes_limit = SIM_HBM_BYTES;
  args->peak_bytes_in_use_is_set = args->num_allocs_is_set = true;
  args->largest_alloc_size_is_set = args->bytes_limit_is_set = true;
  return NULL;
}

/* ---- Memories ------------------------------------------------------------ */

PJRT_Error *sim_Memory_Id(PJRT_Memory_Id_Args *args) {
  SIM_BEGIN(Memory_Id, id);
  SIM_NEED(args->memory);
  args->id = args->memory->device->number;
  return NULL;
}

PJRT_Error *sim_Memory_Kind(PJRT_Memory_Kind_Args *args) {
  SIM_BEGIN(Memory_Kind, kind_size);
  args->kind = sim_memory_kind;
  args->kind_size = strlen(sim_memory_kind);
  return NULL;
}

PJRT_Error *sim_Memory_Kind_Id(PJRT_Memory_Kind_Id_Args *args) {
  SIM_BEGIN(Memory_Kind_Id, kind_id);
  args->kind_id = 0;
  return NULL;
}

PJRT_Error *sim_Memory_DebugString(PJRT_Memory_DebugString_Args *args) {
  SIM_BEGIN(Memory_DebugString, debug_string_size);
  SIM_NEED(args->memory);
  args->debug_string = args->memory->text;
  args->debug_string_size = strlen(args->memory->text);
  return NULL;
}

PJRT_Error *sim_Memory_ToString(PJRT_Memory_ToString_Args *args) {
  SIM_BEGIN(Memory_ToString, to_string_size);
  SIM_NEED(args->memory);
  args->to_string = args->memory->text;
  args->to_string_size = strlen(args->memory->text);
  return NULL;
}

PJRT_Error *sim_Memory_AddressableByDevices(
    PJRT_Memory_AddressableByDevices_Args *args) {
  SIM_BEGIN(Memory_AddressableByDevices, num_devices);
  SIM_NEED(args->memory);
  PJRT_Device *device = args->memory->device;
  args->devices = &device->client->device_list[device->number];
  args->num_devices = 1;
  return NULL;
}
