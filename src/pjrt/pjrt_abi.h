/* The part of the PJRT C ABI that this library calls, declared from its public
 * facts (openxla/xla, xla/pjrt/c/pjrt_c_api.h, version 0.90). Names and fields
 * are the ABI's own, so that a reader can look them up there;
 * tests/check_pjrt_abi.py holds every struct, field and slot below against the
 * official header.
 *
 * How the ABI works:
 * - A plugin is a shared library with one function, GetPjrtApi, which returns a
 *   table of functions. Each takes one struct, which the caller fills.
 * - Table and structs grow at their ends only (since version 0.57), and each
 *   begins with its size as its author knew it: a table without a slot, or a
 *   struct without a field, is an older one.
 * - A function returns NULL, or an error that the caller gives back. */
#ifndef PFL_PJRT_ABI_H
#define PFL_PJRT_ABI_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pjrt/pjrt_slots.h"

#define PJRT_ABI_MAJOR 0
#define PJRT_ABI_MINOR 90     /* what is declared here */
#define PJRT_ABI_MINOR_MIN 57 /* before it the table had another order */

/* ---- Handles, owned by the plugin --------------------------------------- */

typedef struct PJRT_Error PJRT_Error;
typedef struct PJRT_Event PJRT_Event;
typedef struct PJRT_Client PJRT_Client;
typedef struct PJRT_Device PJRT_Device;
typedef struct PJRT_Memory PJRT_Memory;
typedef struct PJRT_DeviceDescription PJRT_DeviceDescription;
typedef struct PJRT_TopologyDescription PJRT_TopologyDescription;
typedef struct PJRT_Executable PJRT_Executable;
typedef struct PJRT_LoadedExecutable PJRT_LoadedExecutable;
typedef struct PJRT_SerializedExecutable PJRT_SerializedExecutable;
typedef struct PJRT_Buffer PJRT_Buffer;
typedef struct PJRT_ExecuteContext PJRT_ExecuteContext;
typedef struct PJRT_Extension_Base PJRT_Extension_Base;

/* ---- Values -------------------------------------------------------------- */

/* The numbers of pfl_status. */
typedef int PJRT_Error_Code;

typedef enum PJRT_NamedValue_Type {
  PJRT_NamedValue_kString,
  PJRT_NamedValue_kInt64,
  PJRT_NamedValue_kInt64List,
  PJRT_NamedValue_kFloat,
  PJRT_NamedValue_kBool
} PJRT_NamedValue_Type;

/* Those with a pfl_dtype; the ABI has more, with the numbers between. */
typedef enum PJRT_Buffer_Type {
  PJRT_Buffer_Type_INVALID = 0,
  PJRT_Buffer_Type_S8 = 2,
  PJRT_Buffer_Type_S32 = 4,
  PJRT_Buffer_Type_F16 = 10,
  PJRT_Buffer_Type_F32 = 11,
  PJRT_Buffer_Type_BF16 = 13
} PJRT_Buffer_Type;

/* How long the plugin may read the host's memory. */
typedef enum PJRT_HostBufferSemantics {
  PJRT_HostBufferSemantics_kImmutableOnlyDuringCall = 0,
  PJRT_HostBufferSemantics_kImmutableUntilTransferCompletes = 1,
  PJRT_HostBufferSemantics_kImmutableZeroCopy = 2, /* or as before */
  PJRT_HostBufferSemantics_kMutableZeroCopy = 3
} PJRT_HostBufferSemantics;

typedef enum PJRT_Buffer_MemoryLayout_Type {
  PJRT_Buffer_MemoryLayout_Type_Tiled,
  PJRT_Buffer_MemoryLayout_Type_Strides
} PJRT_Buffer_MemoryLayout_Type;

/* ---- Structs -------------------------------------------------------------
 * "out" is what the function fills. What it points to is the plugin's and lives
 * as long as the handle it came from, unless said otherwise. */

#define PJRT_HEAD     \
  size_t struct_size; \
  PJRT_Extension_Base *extension_start /* always NULL from here */

typedef struct PJRT_Api_Version {
  PJRT_HEAD;
  int major_version;
  int minor_version;
} PJRT_Api_Version;

typedef struct PJRT_NamedValue {
  PJRT_HEAD;
  const char *name;
  size_t name_size;
  PJRT_NamedValue_Type type;
  union {
    const char *string_value;
    int64_t int64_value;
    const int64_t *int64_array_value;
    float float_value;
    bool bool_value;
  };
  size_t value_size; /* characters or items; 1 for a scalar */
} PJRT_NamedValue;

typedef struct PJRT_Error_Destroy_Args {
  PJRT_HEAD;
  PJRT_Error *error;
} PJRT_Error_Destroy_Args;

typedef struct PJRT_Error_Message_Args {
  PJRT_HEAD;
  const PJRT_Error *error;
  const char *message; /* out */
  size_t message_size; /* out */
} PJRT_Error_Message_Args;

typedef struct PJRT_Error_GetCode_Args {
  PJRT_HEAD;
  const PJRT_Error *error;
  PJRT_Error_Code code; /* out */
} PJRT_Error_GetCode_Args;

typedef struct PJRT_Plugin_Initialize_Args {
  PJRT_HEAD;
} PJRT_Plugin_Initialize_Args;

typedef struct PJRT_Plugin_Attributes_Args {
  PJRT_HEAD;
  const PJRT_NamedValue *attributes; /* out; for the life of the process */
  size_t num_attributes;             /* out */
} PJRT_Plugin_Attributes_Args;

typedef struct PJRT_Event_Destroy_Args {
  PJRT_HEAD;
  PJRT_Event *event;
} PJRT_Event_Destroy_Args;

typedef struct PJRT_Event_IsReady_Args {
  PJRT_HEAD;
  PJRT_Event *event;
  bool is_ready; /* out */
} PJRT_Event_IsReady_Args;

typedef struct PJRT_Event_Await_Args {
  PJRT_HEAD;
  PJRT_Event *event;
} PJRT_Event_Await_Args;

/* `error` becomes the callback's. */
typedef void PJRT_Event_Callback(PJRT_Error *error, void *user_arg);

typedef struct PJRT_Event_OnReady_Args {
  PJRT_HEAD;
  PJRT_Event *event;
  PJRT_Event_Callback *callback;
  void *user_arg;
} PJRT_Event_OnReady_Args;

/* For programs that span machines; not used here. */
typedef void PJRT_KeyValueCallback(void);

typedef struct PJRT_Client_Create_Args {
  PJRT_HEAD;
  const PJRT_NamedValue *create_options;
  size_t num_options;
  PJRT_KeyValueCallback *kv_get_callback;
  void *kv_get_user_arg;
  PJRT_KeyValueCallback *kv_put_callback;
  void *kv_put_user_arg;
  PJRT_Client *client; /* out */
  PJRT_KeyValueCallback *kv_try_get_callback;
  void *kv_try_get_user_arg;
} PJRT_Client_Create_Args;

typedef struct PJRT_Client_Destroy_Args {
  PJRT_HEAD;
  PJRT_Client *client;
} PJRT_Client_Destroy_Args;

typedef struct PJRT_Client_PlatformName_Args {
  PJRT_HEAD;
  PJRT_Client *client;
  const char *platform_name; /* out */
  size_t platform_name_size; /* out */
} PJRT_Client_PlatformName_Args;

typedef struct PJRT_Client_PlatformVersion_Args {
  PJRT_HEAD;
  PJRT_Client *client;
  const char *platform_version; /* out */
  size_t platform_version_size; /* out */
} PJRT_Client_PlatformVersion_Args;

typedef struct PJRT_Client_AddressableDevices_Args {
  PJRT_HEAD;
  PJRT_Client *client;
  PJRT_Device *const *addressable_devices; /* out */
  size_t num_addressable_devices;          /* out */
} PJRT_Client_AddressableDevices_Args;

typedef struct PJRT_Program {
  PJRT_HEAD;
  char *code; /* read only where it is passed in */
  size_t code_size;
  const char *format; /* "mlir" */
  size_t format_size;
} PJRT_Program;

typedef struct PJRT_Client_Compile_Args {
  PJRT_HEAD;
  PJRT_Client *client;
  const PJRT_Program *program;
  const char *compile_options; /* a serialized CompileOptionsProto */
  size_t compile_options_size;
  PJRT_LoadedExecutable *executable; /* out; the caller's */
} PJRT_Client_Compile_Args;

typedef struct PJRT_Buffer_MemoryLayout_Tiled {
  PJRT_HEAD;
  const int64_t *minor_to_major; /* fastest varying dimension first */
  size_t minor_to_major_size;
  const int64_t *tile_dims;
  const size_t *tile_dim_sizes;
  size_t num_tiles;
} PJRT_Buffer_MemoryLayout_Tiled;

typedef struct PJRT_Buffer_MemoryLayout_Strides {
  PJRT_HEAD;
  const int64_t *byte_strides;
  size_t num_byte_strides;
} PJRT_Buffer_MemoryLayout_Strides;

typedef struct PJRT_Buffer_MemoryLayout {
  PJRT_HEAD;
  union {
    PJRT_Buffer_MemoryLayout_Tiled tiled;
    PJRT_Buffer_MemoryLayout_Strides strides;
  };
  PJRT_Buffer_MemoryLayout_Type type;
} PJRT_Buffer_MemoryLayout;

typedef struct PJRT_Client_BufferFromHostBuffer_Args {
  PJRT_HEAD;
  PJRT_Client *client;
  const void *data;
  PJRT_Buffer_Type type;
  const int64_t *dims;
  size_t num_dims;
  const int64_t *byte_strides; /* of `data` */
  size_t num_byte_strides;
  PJRT_HostBufferSemantics host_buffer_semantics;
  PJRT_Device *device;
  PJRT_Memory *memory;                     /* NULL: the device's */
  PJRT_Buffer_MemoryLayout *device_layout; /* NULL: dense, row-major */
  PJRT_Event *done_with_host_buffer;       /* out; the caller's */
  PJRT_Buffer *buffer;                     /* out; the caller's */
} PJRT_Client_BufferFromHostBuffer_Args;

typedef struct PJRT_DeviceDescription_Id_Args {
  PJRT_HEAD;
  PJRT_DeviceDescription *device_description;
  int id; /* out */
} PJRT_DeviceDescription_Id_Args;

typedef struct PJRT_DeviceDescription_Attributes_Args {
  PJRT_HEAD;
  PJRT_DeviceDescription *device_description;
  size_t num_attributes;             /* out */
  const PJRT_NamedValue *attributes; /* out */
} PJRT_DeviceDescription_Attributes_Args;

typedef struct PJRT_DeviceDescription_Kind_Args {
  PJRT_HEAD;
  PJRT_DeviceDescription *device_description;
  const char *device_kind; /* out */
  size_t device_kind_size; /* out */
} PJRT_DeviceDescription_Kind_Args;

typedef struct PJRT_Device_GetDescription_Args {
  PJRT_HEAD;
  PJRT_Device *device;
  PJRT_DeviceDescription *device_description; /* out */
} PJRT_Device_GetDescription_Args;

/* Everything but `device` is out; all but the first may be unknown. */
typedef struct PJRT_Device_MemoryStats_Args {
  PJRT_HEAD;
  PJRT_Device *device;
  int64_t bytes_in_use;
  int64_t peak_bytes_in_use;
  bool peak_bytes_in_use_is_set;
  int64_t num_allocs;
  bool num_allocs_is_set;
  int64_t largest_alloc_size;
  bool largest_alloc_size_is_set;
  int64_t bytes_limit;
  bool bytes_limit_is_set;
  int64_t bytes_reserved;
  bool bytes_reserved_is_set;
  int64_t peak_bytes_reserved;
  bool peak_bytes_reserved_is_set;
  int64_t bytes_reservable_limit;
  bool bytes_reservable_limit_is_set;
  int64_t largest_free_block_bytes;
  bool largest_free_block_bytes_is_set;
  int64_t pool_bytes;
  bool pool_bytes_is_set;
  int64_t peak_pool_bytes;
  bool peak_pool_bytes_is_set;
} PJRT_Device_MemoryStats_Args;

typedef struct PJRT_Executable_Destroy_Args {
  PJRT_HEAD;
  PJRT_Executable *executable;
} PJRT_Executable_Destroy_Args;

typedef struct PJRT_Executable_NumOutputs_Args {
  PJRT_HEAD;
  PJRT_Executable *executable;
  size_t num_outputs; /* out; of each device */
} PJRT_Executable_NumOutputs_Args;

typedef struct PJRT_Executable_GetCostAnalysis_Args {
  PJRT_HEAD;
  PJRT_Executable *executable;
  size_t num_properties;             /* out */
  const PJRT_NamedValue *properties; /* out */
} PJRT_Executable_GetCostAnalysis_Args;

/* Everything but `executable` is out. */
typedef struct PJRT_Executable_GetCompiledMemoryStats_Args {
  PJRT_HEAD;
  PJRT_Executable *executable;
  int64_t generated_code_size_in_bytes;
  int64_t argument_size_in_bytes;
  int64_t output_size_in_bytes;
  int64_t alias_size_in_bytes; /* of arguments used again as outputs */
  int64_t temp_size_in_bytes;
  int64_t host_generated_code_size_in_bytes;
  int64_t host_argument_size_in_bytes;
  int64_t host_output_size_in_bytes;
  int64_t host_alias_size_in_bytes;
  int64_t host_temp_size_in_bytes;
  int64_t peak_memory_in_bytes; /* since 0.72 */
  int64_t total_size_in_bytes;  /* since 0.90 */
} PJRT_Executable_GetCompiledMemoryStats_Args;

typedef void PJRT_SerializedExecutable_Deleter(PJRT_SerializedExecutable *);

typedef struct PJRT_Executable_Serialize_Args {
  PJRT_HEAD;
  const PJRT_Executable *executable;
  const char *serialized_bytes;                     /* out; until deleted */
  size_t serialized_bytes_size;                     /* out */
  PJRT_SerializedExecutable *serialized_executable; /* out; to be deleted by */
  PJRT_SerializedExecutable_Deleter *serialized_executable_deleter; /* out */
} PJRT_Executable_Serialize_Args;

typedef struct PJRT_Executable_DeserializeAndLoad_Args {
  PJRT_HEAD;
  PJRT_Client *client;
  const char *serialized_executable;
  size_t serialized_executable_size;
  PJRT_LoadedExecutable *loaded_executable;          /* out; the caller's */
  const char *overridden_serialized_compile_options; /* NULL: none; 0.71 */
  size_t overridden_serialized_compile_options_size;
} PJRT_Executable_DeserializeAndLoad_Args;

typedef struct PJRT_LoadedExecutable_Destroy_Args {
  PJRT_HEAD;
  PJRT_LoadedExecutable *executable;
} PJRT_LoadedExecutable_Destroy_Args;

typedef struct PJRT_LoadedExecutable_GetExecutable_Args {
  PJRT_HEAD;
  PJRT_LoadedExecutable *loaded_executable;
  PJRT_Executable *executable; /* out; the caller's */
} PJRT_LoadedExecutable_GetExecutable_Args;

typedef struct PJRT_LoadedExecutable_AddressableDevices_Args {
  PJRT_HEAD;
  PJRT_LoadedExecutable *executable;
  PJRT_Device *const *addressable_devices; /* out */
  size_t num_addressable_devices;          /* out */
} PJRT_LoadedExecutable_AddressableDevices_Args;

typedef struct PJRT_ExecuteOptions {
  PJRT_HEAD;
  void *send_callbacks;
  void *recv_callbacks;
  size_t num_send_ops;
  size_t num_recv_ops;
  int launch_id;
  const int64_t *non_donatable_input_indices;
  size_t num_non_donatable_input_indices;
  PJRT_ExecuteContext *context;
  const char *call_location;
  size_t num_tasks;
  int *task_ids;
  int64_t *incarnation_ids;
} PJRT_ExecuteOptions;

typedef struct PJRT_LoadedExecutable_Execute_Args {
  PJRT_HEAD;
  PJRT_LoadedExecutable *executable;
  PJRT_ExecuteOptions *options;
  PJRT_Buffer *const *const *argument_lists; /* [num_devices][num_args] */
  size_t num_devices;
  size_t num_args;
  PJRT_Buffer **const *output_lists;   /* [num_devices][outputs], filled */
  PJRT_Event **device_complete_events; /* [num_devices], filled, or NULL */
  PJRT_Device *execute_device;         /* NULL: as compiled */
} PJRT_LoadedExecutable_Execute_Args;

typedef struct PJRT_Buffer_Destroy_Args {
  PJRT_HEAD;
  PJRT_Buffer *buffer;
} PJRT_Buffer_Destroy_Args;

typedef struct PJRT_Buffer_ElementType_Args {
  PJRT_HEAD;
  PJRT_Buffer *buffer;
  PJRT_Buffer_Type type; /* out */
} PJRT_Buffer_ElementType_Args;

typedef struct PJRT_Buffer_Dimensions_Args {
  PJRT_HEAD;
  PJRT_Buffer *buffer;
  const int64_t *dims; /* out */
  size_t num_dims;     /* out */
} PJRT_Buffer_Dimensions_Args;

typedef struct PJRT_Buffer_IsDeleted_Args {
  PJRT_HEAD;
  PJRT_Buffer *buffer;
  bool is_deleted; /* out; also when it was donated */
} PJRT_Buffer_IsDeleted_Args;

typedef struct PJRT_Buffer_ToHostBuffer_Args {
  PJRT_HEAD;
  PJRT_Buffer *src;
  PJRT_Buffer_MemoryLayout *host_layout; /* NULL: the device's order */
  void *dst;                             /* NULL: ask for dst_size */
  size_t dst_size;                       /* in, or out */
  PJRT_Event *event;                     /* out; the caller's */
} PJRT_Buffer_ToHostBuffer_Args;

typedef struct PJRT_TopologyDescription_Create_Args {
  PJRT_HEAD;
  const char *topology_name;
  size_t topology_name_size;
  const PJRT_NamedValue *create_options;
  size_t num_options;
  PJRT_TopologyDescription *topology; /* out; the caller's */
} PJRT_TopologyDescription_Create_Args;

typedef struct PJRT_TopologyDescription_Destroy_Args {
  PJRT_HEAD;
  PJRT_TopologyDescription *topology;
} PJRT_TopologyDescription_Destroy_Args;

typedef struct PJRT_TopologyDescription_PlatformVersion_Args {
  PJRT_HEAD;
  PJRT_TopologyDescription *topology;
  const char *platform_version; /* out */
  size_t platform_version_size; /* out */
} PJRT_TopologyDescription_PlatformVersion_Args;

typedef struct PJRT_TopologyDescription_GetDeviceDescriptions_Args {
  PJRT_HEAD;
  const PJRT_TopologyDescription *topology;
  PJRT_DeviceDescription *const *descriptions; /* out */
  size_t num_descriptions;                     /* out */
} PJRT_TopologyDescription_GetDeviceDescriptions_Args;

typedef struct PJRT_Compile_Args {
  PJRT_HEAD;
  const PJRT_TopologyDescription *topology;
  const PJRT_Program *program;
  const char *compile_options; /* a serialized CompileOptionsProto */
  size_t compile_options_size;
  PJRT_Client *client;         /* may be NULL */
  PJRT_Executable *executable; /* out; the caller's */
} PJRT_Compile_Args;

/* Each struct and its last field. A struct's size, for `struct_size`, ends with
 * that field: sizeof would count padding that a newer version may use. */
#define PJRT_STRUCT_LIST(X)                                            \
  X(Api_Version, minor_version)                                        \
  X(NamedValue, value_size)                                            \
  X(Error_Destroy_Args, error)                                         \
  X(Error_Message_Args, message_size)                                  \
  X(Error_GetCode_Args, code)                                          \
  X(Plugin_Initialize_Args, extension_start)                           \
  X(Plugin_Attributes_Args, num_attributes)                            \
  X(Event_Destroy_Args, event)                                         \
  X(Event_IsReady_Args, is_ready)                                      \
  X(Event_Await_Args, event)                                           \
  X(Event_OnReady_Args, user_arg)                                      \
  X(Client_Create_Args, kv_try_get_user_arg)                           \
  X(Client_Destroy_Args, client)                                       \
  X(Client_PlatformName_Args, platform_name_size)                      \
  X(Client_PlatformVersion_Args, platform_version_size)                \
  X(Client_AddressableDevices_Args, num_addressable_devices)           \
  X(Program, format_size)                                              \
  X(Client_Compile_Args, executable)                                   \
  X(Buffer_MemoryLayout_Tiled, num_tiles)                              \
  X(Buffer_MemoryLayout_Strides, num_byte_strides)                     \
  X(Buffer_MemoryLayout, type)                                         \
  X(Client_BufferFromHostBuffer_Args, buffer)                          \
  X(DeviceDescription_Id_Args, id)                                     \
  X(DeviceDescription_Attributes_Args, attributes)                     \
  X(DeviceDescription_Kind_Args, device_kind_size)                     \
  X(Device_GetDescription_Args, device_description)                    \
  X(Device_MemoryStats_Args, peak_pool_bytes_is_set)                   \
  X(Executable_Destroy_Args, executable)                               \
  X(Executable_NumOutputs_Args, num_outputs)                           \
  X(Executable_GetCostAnalysis_Args, properties)                       \
  X(Executable_GetCompiledMemoryStats_Args, total_size_in_bytes)       \
  X(Executable_Serialize_Args, serialized_executable_deleter)          \
  X(Executable_DeserializeAndLoad_Args,                                \
    overridden_serialized_compile_options_size)                        \
  X(LoadedExecutable_Destroy_Args, executable)                         \
  X(LoadedExecutable_GetExecutable_Args, executable)                   \
  X(LoadedExecutable_AddressableDevices_Args, num_addressable_devices) \
  X(ExecuteOptions, incarnation_ids)                                   \
  X(LoadedExecutable_Execute_Args, execute_device)                     \
  X(Buffer_Destroy_Args, buffer)                                       \
  X(Buffer_ElementType_Args, type)                                     \
  X(Buffer_Dimensions_Args, num_dims)                                  \
  X(Buffer_IsDeleted_Args, is_deleted)                                 \
  X(Buffer_ToHostBuffer_Args, event)                                   \
  X(TopologyDescription_Create_Args, topology)                         \
  X(TopologyDescription_Destroy_Args, topology)                        \
  X(TopologyDescription_PlatformVersion_Args, platform_version_size)   \
  X(TopologyDescription_GetDeviceDescriptions_Args, num_descriptions)  \
  X(Compile_Args, executable)

/* PJRT_Compile_Args_STRUCT_SIZE and so on. */
enum {
#define PJRT_STRUCT_SIZE_ENUM(name, last) \
  PJRT_##name##_STRUCT_SIZE =             \
      offsetof(PJRT_##name, last) + sizeof(((PJRT_##name *)0)->last),
  PJRT_STRUCT_LIST(PJRT_STRUCT_SIZE_ENUM)
#undef PJRT_STRUCT_SIZE_ENUM
};

/* ---- The table ----------------------------------------------------------- */

/* Structs that nothing here fills; pjrt_abi_more.h declares those that the
 * simulator's plugin reads. */
#define PJRT_SLOT_PASS(name)
#define PJRT_SLOT_NAME(name) \
  typedef struct PJRT_##name##_Args PJRT_##name##_Args;
PJRT_SLOT_LIST(PJRT_SLOT_PASS, PJRT_SLOT_PASS, PJRT_SLOT_NAME)
#undef PJRT_SLOT_PASS
#undef PJRT_SLOT_NAME

typedef struct PJRT_Api {
  PJRT_HEAD;
  PJRT_Api_Version pjrt_api_version;
#define PJRT_SLOT_CALL(name) PJRT_Error *(*PJRT_##name)(PJRT_##name##_Args *);
#define PJRT_SLOT_VOID(name) void (*PJRT_##name)(PJRT_##name##_Args *);
  PJRT_SLOT_LIST(PJRT_SLOT_CALL, PJRT_SLOT_VOID, PJRT_SLOT_CALL)
#undef PJRT_SLOT_CALL
#undef PJRT_SLOT_VOID
} PJRT_Api;

/* What the plugin's library exports. */
typedef const PJRT_Api *PJRT_GetApi(void);

/* ---- What a wrong declaration would break first -------------------------- */

static_assert(sizeof(void *) == 8 && sizeof(size_t) == 8 && sizeof(int) == 4 &&
                  sizeof(bool) == 1,
              "the ABI is that of a 64-bit machine");
static_assert(sizeof(PJRT_NamedValue_Type) == 4, "enums are ints");
static_assert(offsetof(PJRT_Api, PJRT_Error_Destroy) == 40, "16 + a version");
static_assert(offsetof(PJRT_Api, PJRT_Client_Create) == 120, "slot 10");
static_assert(offsetof(PJRT_Api, PJRT_Compile) == 752, "slot 89");
static_assert(sizeof(PJRT_Api) == 1064, "128 slots");
static_assert(PJRT_NamedValue_STRUCT_SIZE == 56, "");
static_assert(offsetof(PJRT_NamedValue, int64_value) == 40, "");
static_assert(PJRT_Program_STRUCT_SIZE == 48, "");
static_assert(PJRT_Error_GetCode_Args_STRUCT_SIZE == 28, "no padding");
static_assert(PJRT_Client_Create_Args_STRUCT_SIZE == 88, "");
static_assert(PJRT_Client_BufferFromHostBuffer_Args_STRUCT_SIZE == 120, "");
static_assert(PJRT_Buffer_MemoryLayout_STRUCT_SIZE == 76, "no padding");
static_assert(PJRT_Buffer_ToHostBuffer_Args_STRUCT_SIZE == 56, "");
static_assert(PJRT_Executable_Serialize_Args_STRUCT_SIZE == 56, "");
static_assert(PJRT_Executable_GetCompiledMemoryStats_Args_STRUCT_SIZE == 120,
              "");
static_assert(PJRT_ExecuteOptions_STRUCT_SIZE == 112, "");
static_assert(PJRT_LoadedExecutable_Execute_Args_STRUCT_SIZE == 80, "");
static_assert(PJRT_Device_MemoryStats_Args_STRUCT_SIZE == 185, "no padding");
static_assert(PJRT_Compile_Args_STRUCT_SIZE == 64, "");

#endif
