/* libpflash_sim.so under callers that no client of ours is: every function of
 * the table with no arguments, too few, older and newer structs and no handles;
 * and whatever it is given, it writes nothing beyond the caller's struct. */
#include <dlfcn.h>

#include "pjrt/pjrt_abi_more.h"
#include "plugin_case.h"

static pjrt_plugin plugin;
static const PJRT_Api *api;

/* Every function, called as one type. */
#define CALL_SLOT(name) \
  static PJRT_Error *call_##name(void *args) { return api->PJRT_##name(args); }
#define CALL_VOID(name)                        \
  static PJRT_Error *call_##name(void *args) { \
    api->PJRT_##name(args);                    \
    return NULL;                               \
  }
PJRT_SLOT_LIST(CALL_SLOT, CALL_VOID, CALL_SLOT)

static const struct {
  const char *name;
  PJRT_Error *(*call)(void *args);
  bool is_void;
} slots[] = {
#define SLOT_ROW(name) {#name, call_##name, false},
#define VOID_ROW(name) {#name, call_##name, true},
    PJRT_SLOT_LIST(SLOT_ROW, VOID_ROW, SLOT_ROW)};
enum { SLOTS = sizeof slots / sizeof *slots };

/* Gives an error back; its code, 0 for none. */
static int take(PJRT_Error *raised, char *message, size_t size) {
  if (!raised) return 0;
  PJRT_Error_GetCode_Args code = PJRT_ARGS(Error_GetCode_Args, .error = raised);
  PJRT_Error_Message_Args words =
      PJRT_ARGS(Error_Message_Args, .error = raised);
  CHECK_NEED(!api->PJRT_Error_GetCode(&code));
  api->PJRT_Error_Message(&words);
  CHECK(words.message && words.message_size &&
            strlen(words.message) == words.message_size,
        "an error without words");
  snprintf(message, size, "%s", words.message);
  PJRT_Error_Destroy_Args destroy =
      PJRT_ARGS(Error_Destroy_Args, .error = raised);
  api->PJRT_Error_Destroy(&destroy);
  return code.code;
}

static bool is_refusal(int code) {
  return code == PFL_STATUS_INVALID_ARGUMENT ||
         code == PFL_STATUS_UNIMPLEMENTED;
}

static void test_table(void) {
  CHECK(api->struct_size == sizeof *api &&
            api->pjrt_api_version.major_version == PJRT_ABI_MAJOR &&
            api->pjrt_api_version.minor_version == PJRT_ABI_MINOR,
        "%zu bytes", api->struct_size);
  for (int i = 0; i < SLOTS; i++) {
    void (*function)(void);
    memcpy(&function,
           (const char *)api + offsetof(PJRT_Api, PJRT_Error_Destroy) +
               (size_t)i * sizeof function,
           sizeof function);
    CHECK(function, "%s is NULL", slots[i].name);
  }
}

static void test_null(void) {
  for (int i = 0; i < SLOTS; i++) {
    char message[PFL_MESSAGE_SIZE] = "";
    int code = take(slots[i].call(NULL), message, sizeof message);
    CHECK(slots[i].is_void ? !code : is_refusal(code), "%s(NULL): %d, %s",
          slots[i].name, code, message);
  }
}

/* What a call with only zeros in its struct made. */
static void give_back(const char *name, void *args) {
  if (strcmp(name, "Client_Create")) return;
  PJRT_Client_Destroy_Args destroy = PJRT_ARGS(
      Client_Destroy_Args, .client = ((PJRT_Client_Create_Args *)args)->client);
  CHECK_NEED(destroy.client && !api->PJRT_Client_Destroy(&destroy));
}

/* Every struct_size from nothing to more than there is, of zeros. */
static void test_sizes(void) {
  enum { ROOM = 512 };
  for (int i = 0; i < SLOTS; i++) {
    bool taken = false;
    for (size_t size = 0; size <= 256; size += size < 40 ? 1 : 4) {
      union {
        size_t size;
        unsigned char bytes[ROOM];
        max_align_t aligned;
      } args;
      char message[PFL_MESSAGE_SIZE] = "";
      memset(&args, 0, sizeof args);
      if (size < ROOM) memset(args.bytes + size, 0xee, ROOM - size);
      args.size = size;
      int code = take(slots[i].call(&args), message, sizeof message);
      CHECK(!code || is_refusal(code), "%s of %zu bytes: %d, %s", slots[i].name,
            size, code, message);
      size_t first = size < sizeof args.size ? sizeof args.size : size;
      for (size_t k = first; k < ROOM; k++)
        CHECK(args.bytes[k] == 0xee, "%s of %zu bytes wrote byte %zu",
              slots[i].name, size, k);
      CHECK(args.size == size, "%s changed the size", slots[i].name);
      if (!slots[i].is_void)
        CHECK(!taken || !code, "%s: refused at %zu bytes, not at fewer: %s",
              slots[i].name, size, message);
      CHECK(slots[i].is_void || code || size >= 16, "%s takes %zu bytes",
            slots[i].name, size);
      taken |= !code;
      if (!code) give_back(slots[i].name, &args);
    }
  }
}

/* ---- Older callers ------------------------------------------------------- */

#define END(type, field) (offsetof(type, field) + sizeof((type *)0)->field)

static void test_older(void) {
  pjrt_client client;
  pfl_error error;
  char message[PFL_MESSAGE_SIZE];
  CHECK_NEED(!plugin_case_client(NULL, 0, &client, &error));
  union {
    PJRT_Device_MemoryStats_Args args;
    unsigned char bytes[sizeof(PJRT_Device_MemoryStats_Args)];
  } stats;
  size_t size =
      END(PJRT_Device_MemoryStats_Args, largest_free_block_bytes_is_set);
  memset(&stats, 0xee, sizeof stats);
  stats.args.struct_size = size;
  stats.args.device = client.devices[0].handle;
  CHECK(!take(api->PJRT_Device_MemoryStats(&stats.args), message,
              sizeof message) &&
            stats.args.bytes_limit == 16909334528,
        "%s", message);
  for (size_t i = size; i < sizeof stats; i++)
    CHECK(stats.bytes[i] == 0xee, "byte %zu was written", i);
  /* a client's options came before the last callback */
  PJRT_Client_Create_Args create = {.struct_size =
                                        END(PJRT_Client_Create_Args, client)};
  CHECK(!take(api->PJRT_Client_Create(&create), message, sizeof message), "%s",
        message);
  give_back("Client_Create", &create);
  pjrt_client_destroy(&client);
}

/* A program compiled, loaded and run with the oldest structs there are. */
static void test_oldest_run(void) {
  static const xla_tensor tile = {PFL_DTYPE_F32, 2, {256, 128}};
  static const int output = 0;
  const xla_program program = {.name = "same",
                               .arguments = &tile,
                               .argument_count = 1,
                               .outputs = &output,
                               .output_count = 1};
  static float data[PLUGIN_CASE_ITEMS];
  pjrt_client client;
  pjrt_program loaded;
  pfl_error error;
  char message[PFL_MESSAGE_SIZE] = "";
  PJRT_Buffer *in, *out = NULL;
  CHECK_NEED(!plugin_case_client(NULL, 0, &client, &error));
  CHECK_NEED(!plugin_case_compile(&client, &program, &loaded, &error));
  pjrt_upload asked = {.shape = {PFL_DTYPE_F32, 2, {256, 128}}, .data = data};
  CHECK_NEED(!pjrt_buffer_upload(&client, &asked, NULL, &in, &error));
  PJRT_ExecuteOptions options = {
      .struct_size = END(PJRT_ExecuteOptions, launch_id),
      .num_non_donatable_input_indices = 1 /* not reached */};
  PJRT_Buffer *const *in_lists[] = {&in};
  PJRT_Buffer **out_lists[] = {&out};
  PJRT_Device *beyond = (PJRT_Device *)data; /* nor is this */
  PJRT_LoadedExecutable_Execute_Args run = {
      .struct_size =
          END(PJRT_LoadedExecutable_Execute_Args, device_complete_events),
      .executable = loaded.handle,
      .options = &options,
      .argument_lists = in_lists,
      .num_devices = 1,
      .num_args = 1,
      .output_lists = out_lists,
      .execute_device = beyond};
  CHECK(!take(api->PJRT_LoadedExecutable_Execute(&run), message,
              sizeof message) &&
            out,
        "%s", message);
  union {
    PJRT_Executable_GetCompiledMemoryStats_Args args;
    unsigned char
        bytes[PJRT_Executable_GetCompiledMemoryStats_Args_STRUCT_SIZE];
  } memory;
  size_t size =
      END(PJRT_Executable_GetCompiledMemoryStats_Args, host_temp_size_in_bytes);
  memset(&memory, 0xee, sizeof memory);
  memory.args.struct_size = size;
  memory.args.executable = loaded.executable;
  CHECK(!take(api->PJRT_Executable_GetCompiledMemoryStats(&memory.args),
              message, sizeof message) &&
            memory.args.argument_size_in_bytes == 131072,
        "%s", message);
  for (size_t i = size; i < sizeof memory; i++)
    CHECK(memory.bytes[i] == 0xee, "byte %zu was written", i);
  pjrt_buffer_destroy(&client, in);
  pjrt_buffer_destroy(&client, out);
  pjrt_program_unload(&client, &loaded);
  pjrt_client_destroy(&client);
}

/* ---- What only frameworks ask for ---------------------------------------- */

static void test_facts(void) {
  pjrt_client client;
  pfl_error error;
  char message[PFL_MESSAGE_SIZE];
  CHECK_NEED(!plugin_case_client(NULL, 0, &client, &error));
  PJRT_Client_Devices_Args devices =
      PJRT_ARGS(Client_Devices_Args, .client = client.handle);
  CHECK(!api->PJRT_Client_Devices(&devices) && devices.num_devices == 4,
        "devices");
  for (int i = -1; i <= 4; i++) {
    PJRT_Client_LookupDevice_Args by_id =
        PJRT_ARGS(Client_LookupDevice_Args, .client = client.handle, .id = i);
    int code =
        take(api->PJRT_Client_LookupDevice(&by_id), message, sizeof message);
    CHECK(i >= 0 && i < 4 ? !code && by_id.device == devices.devices[i]
                          : code == PFL_STATUS_NOT_FOUND,
          "device %d", i);
  }
  PJRT_Device_DefaultMemory_Args memory =
      PJRT_ARGS(Device_DefaultMemory_Args, .device = devices.devices[2]);
  CHECK_NEED(!api->PJRT_Device_DefaultMemory(&memory));
  PJRT_Memory_Kind_Args kind =
      PJRT_ARGS(Memory_Kind_Args, .memory = memory.memory);
  PJRT_Memory_Id_Args id = PJRT_ARGS(Memory_Id_Args, .memory = memory.memory);
  CHECK(!api->PJRT_Memory_Kind(&kind) && !strcmp(kind.kind, "device") &&
            !api->PJRT_Memory_Id(&id) && id.id == 2,
        "memory");
  int assignment[4] = {9, 9, 9, 9};
  PJRT_Client_DefaultDeviceAssignment_Args assigned =
      PJRT_ARGS(Client_DefaultDeviceAssignment_Args, .client = client.handle,
                .num_replicas = 3, .num_partitions = 1,
                .default_assignment_size = 3, .default_assignment = assignment);
  CHECK(!api->PJRT_Client_DefaultDeviceAssignment(&assigned) &&
            assignment[2] == 2 && assignment[3] == 9,
        "assignment");
  assigned.default_assignment_size = 2;
  CHECK(take(api->PJRT_Client_DefaultDeviceAssignment(&assigned), message,
             sizeof message) == PFL_STATUS_INVALID_ARGUMENT,
        "too little room");
  PJRT_Client_TopologyDescription_Args topology =
      PJRT_ARGS(Client_TopologyDescription_Args, .client = client.handle);
  CHECK_NEED(!api->PJRT_Client_TopologyDescription(&topology));
  PJRT_TopologyDescription_Serialize_Args bytes = PJRT_ARGS(
      TopologyDescription_Serialize_Args, .topology = topology.topology);
  CHECK_NEED(!api->PJRT_TopologyDescription_Serialize(&bytes));
  CHECK(bytes.serialized_bytes_size == 7 &&
            !memcmp(bytes.serialized_bytes, "v5e:2x2", 7),
        "%.*s", (int)bytes.serialized_bytes_size, bytes.serialized_bytes);
  bytes.serialized_topology_deleter(bytes.serialized_topology);
  pjrt_client_destroy(&client);
}

int main(void) {
  plugin_case_load(&plugin);
  api = plugin.api;
  return CHECK_RUN(test_table, test_null, test_sizes, test_older,
                   test_oldest_run, test_facts);
}
