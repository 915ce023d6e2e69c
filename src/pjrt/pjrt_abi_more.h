/* The rest of the PJRT C ABI that a plugin of our own implements: what
 * frameworks call and this library does not. See pjrt_abi.h, whose rules hold
 * here, tests/check_pjrt_abi.py included. */
#ifndef PFL_PJRT_ABI_MORE_H
#define PFL_PJRT_ABI_MORE_H

#include "pjrt/pjrt_abi.h"

typedef struct PJRT_SerializedTopology PJRT_SerializedTopology;
typedef void PJRT_SerializedTopology_Deleter(PJRT_SerializedTopology *);

struct PJRT_Event_Error_Args {
  PJRT_HEAD;
  PJRT_Event *event;
};

struct PJRT_Client_ProcessIndex_Args {
  PJRT_HEAD;
  PJRT_Client *client;
  int process_index; /* out */
};

struct PJRT_Client_Devices_Args {
  PJRT_HEAD;
  PJRT_Client *client;
  PJRT_Device *const *devices; /* out */
  size_t num_devices;          /* out */
};

struct PJRT_Client_LookupDevice_Args {
  PJRT_HEAD;
  PJRT_Client *client;
  int id;
  PJRT_Device *device; /* out */
};

struct PJRT_Client_LookupAddressableDevice_Args {
  PJRT_HEAD;
  PJRT_Client *client;
  int local_hardware_id;
  PJRT_Device *addressable_device; /* out */
};

struct PJRT_Client_AddressableMemories_Args {
  PJRT_HEAD;
  PJRT_Client *client;
  PJRT_Memory *const *addressable_memories; /* out */
  size_t num_addressable_memories;          /* out */
};

struct PJRT_Client_DefaultDeviceAssignment_Args {
  PJRT_HEAD;
  PJRT_Client *client;
  int num_replicas;
  int num_partitions;
  size_t default_assignment_size; /* ints there is room for */
  int *default_assignment;        /* filled: ids, [replica][partition] */
};

struct PJRT_Client_TopologyDescription_Args {
  PJRT_HEAD;
  PJRT_Client *client;
  PJRT_TopologyDescription *topology; /* out; the client's */
};

struct PJRT_DeviceDescription_ProcessIndex_Args {
  PJRT_HEAD;
  PJRT_DeviceDescription *device_description;
  int process_index; /* out */
};

struct PJRT_DeviceDescription_DebugString_Args {
  PJRT_HEAD;
  PJRT_DeviceDescription *device_description;
  const char *debug_string; /* out */
  size_t debug_string_size; /* out */
};

struct PJRT_DeviceDescription_ToString_Args {
  PJRT_HEAD;
  PJRT_DeviceDescription *device_description;
  const char *to_string; /* out */
  size_t to_string_size; /* out */
};

struct PJRT_Device_IsAddressable_Args {
  PJRT_HEAD;
  PJRT_Device *device;
  bool is_addressable; /* out */
};

struct PJRT_Device_LocalHardwareId_Args {
  PJRT_HEAD;
  PJRT_Device *device;
  int local_hardware_id; /* out */
};

struct PJRT_Device_AddressableMemories_Args {
  PJRT_HEAD;
  PJRT_Device *device;
  PJRT_Memory *const *memories; /* out */
  size_t num_memories;          /* out */
};

struct PJRT_Device_DefaultMemory_Args {
  PJRT_HEAD;
  PJRT_Device *device;
  PJRT_Memory *memory; /* out */
};

struct PJRT_Memory_Id_Args {
  PJRT_HEAD;
  PJRT_Memory *memory;
  int id; /* out */
};

struct PJRT_Memory_Kind_Args {
  PJRT_HEAD;
  PJRT_Memory *memory;
  const char *kind; /* out */
  size_t kind_size; /* out */
};

struct PJRT_Memory_Kind_Id_Args {
  PJRT_HEAD;
  PJRT_Memory *memory;
  int kind_id; /* out */
};

struct PJRT_Memory_DebugString_Args {
  PJRT_HEAD;
  PJRT_Memory *memory;
  const char *debug_string; /* out */
  size_t debug_string_size; /* out */
};

struct PJRT_Memory_ToString_Args {
  PJRT_HEAD;
  PJRT_Memory *memory;
  const char *to_string; /* out */
  size_t to_string_size; /* out */
};

struct PJRT_Memory_AddressableByDevices_Args {
  PJRT_HEAD;
  PJRT_Memory *memory;
  PJRT_Device *const *devices; /* out */
  size_t num_devices;          /* out */
};

struct PJRT_Executable_Name_Args {
  PJRT_HEAD;
  PJRT_Executable *executable;
  const char *executable_name; /* out */
  size_t executable_name_size; /* out */
};

struct PJRT_Executable_NumReplicas_Args {
  PJRT_HEAD;
  PJRT_Executable *executable;
  size_t num_replicas; /* out */
};

struct PJRT_Executable_NumPartitions_Args {
  PJRT_HEAD;
  PJRT_Executable *executable;
  size_t num_partitions; /* out */
};

struct PJRT_Executable_SizeOfGeneratedCodeInBytes_Args {
  PJRT_HEAD;
  PJRT_Executable *executable;
  int64_t size_in_bytes; /* out */
};

struct PJRT_Executable_OutputMemoryKinds_Args {
  PJRT_HEAD;
  PJRT_Executable *executable;
  size_t num_outputs;              /* out */
  const char *const *memory_kinds; /* out */
  const size_t *memory_kind_sizes; /* out */
};

struct PJRT_Executable_OptimizedProgram_Args {
  PJRT_HEAD;
  PJRT_Executable *executable;
  PJRT_Program *program; /* its format and code_size are out; its code, where
                            there is any, is filled */
};

struct PJRT_Executable_OutputElementTypes_Args {
  PJRT_HEAD;
  PJRT_Executable *executable;
  PJRT_Buffer_Type *output_types; /* out */
  size_t num_output_types;        /* out */
};

struct PJRT_Executable_OutputDimensions_Args {
  PJRT_HEAD;
  PJRT_Executable *executable;
  size_t num_outputs;      /* out */
  const int64_t *dims;     /* out; of all outputs in turn */
  const size_t *dim_sizes; /* out; how many each has */
};

struct PJRT_Executable_Fingerprint_Args {
  PJRT_HEAD;
  PJRT_Executable *executable;
  const char *executable_fingerprint; /* out */
  size_t executable_fingerprint_size; /* out */
};

struct PJRT_LoadedExecutable_Delete_Args {
  PJRT_HEAD;
  PJRT_LoadedExecutable *executable;
};

struct PJRT_LoadedExecutable_IsDeleted_Args {
  PJRT_HEAD;
  PJRT_LoadedExecutable *executable;
  bool is_deleted; /* out */
};

struct PJRT_LoadedExecutable_Fingerprint_Args {
  PJRT_HEAD;
  PJRT_LoadedExecutable *executable;
  const char *executable_fingerprint; /* out */
  size_t executable_fingerprint_size; /* out */
};

struct PJRT_Buffer_UnpaddedDimensions_Args {
  PJRT_HEAD;
  PJRT_Buffer *buffer;
  const int64_t *unpadded_dims; /* out */
  size_t num_dims;              /* out */
};

struct PJRT_Buffer_DynamicDimensionIndices_Args {
  PJRT_HEAD;
  PJRT_Buffer *buffer;
  const size_t *dynamic_dim_indices; /* out */
  size_t num_dynamic_dims;           /* out */
};

struct PJRT_Buffer_GetMemoryLayout_Args {
  PJRT_HEAD;
  PJRT_Buffer *buffer;
  PJRT_Buffer_MemoryLayout layout; /* out */
};

struct PJRT_Buffer_OnDeviceSizeInBytes_Args {
  PJRT_HEAD;
  PJRT_Buffer *buffer;
  size_t on_device_size_in_bytes; /* out */
};

struct PJRT_Buffer_Device_Args {
  PJRT_HEAD;
  PJRT_Buffer *buffer;
  PJRT_Device *device; /* out */
};

struct PJRT_Buffer_Memory_Args {
  PJRT_HEAD;
  PJRT_Buffer *buffer;
  PJRT_Memory *memory; /* out */
};

struct PJRT_Buffer_Delete_Args {
  PJRT_HEAD;
  PJRT_Buffer *buffer;
};

struct PJRT_Buffer_CopyToDevice_Args {
  PJRT_HEAD;
  PJRT_Buffer *buffer;
  PJRT_Device *dst_device;
  PJRT_Buffer *dst_buffer; /* out; the caller's */
};

struct PJRT_Buffer_CopyToMemory_Args {
  PJRT_HEAD;
  PJRT_Buffer *buffer;
  PJRT_Memory *dst_memory;
  PJRT_Buffer *dst_buffer; /* out; the caller's */
};

struct PJRT_Buffer_IsOnCpu_Args {
  PJRT_HEAD;
  PJRT_Buffer *buffer;
  bool is_on_cpu; /* out */
};

struct PJRT_Buffer_ReadyEvent_Args {
  PJRT_HEAD;
  PJRT_Buffer *buffer;
  PJRT_Event *event; /* out; the caller's */
};

struct PJRT_TopologyDescription_PlatformName_Args {
  PJRT_HEAD;
  const PJRT_TopologyDescription *topology;
  const char *platform_name; /* out */
  size_t platform_name_size; /* out */
};

struct PJRT_TopologyDescription_Serialize_Args {
  PJRT_HEAD;
  PJRT_TopologyDescription *topology;
  const char *serialized_bytes;                 /* out; until deleted */
  size_t serialized_bytes_size;                 /* out */
  PJRT_SerializedTopology *serialized_topology; /* out; to be deleted by */
  PJRT_SerializedTopology_Deleter *serialized_topology_deleter; /* out */
};

struct PJRT_TopologyDescription_Attributes_Args {
  PJRT_HEAD;
  PJRT_TopologyDescription *topology;
  const PJRT_NamedValue *attributes; /* out */
  size_t num_attributes;             /* out */
};

#define PJRT_MORE_STRUCT_LIST(X)                                     \
  X(Event_Error_Args, event)                                         \
  X(Client_ProcessIndex_Args, process_index)                         \
  X(Client_Devices_Args, num_devices)                                \
  X(Client_LookupDevice_Args, device)                                \
  X(Client_LookupAddressableDevice_Args, addressable_device)         \
  X(Client_AddressableMemories_Args, num_addressable_memories)       \
  X(Client_DefaultDeviceAssignment_Args, default_assignment)         \
  X(Client_TopologyDescription_Args, topology)                       \
  X(DeviceDescription_ProcessIndex_Args, process_index)              \
  X(DeviceDescription_DebugString_Args, debug_string_size)           \
  X(DeviceDescription_ToString_Args, to_string_size)                 \
  X(Device_IsAddressable_Args, is_addressable)                       \
  X(Device_LocalHardwareId_Args, local_hardware_id)                  \
  X(Device_AddressableMemories_Args, num_memories)                   \
  X(Device_DefaultMemory_Args, memory)                               \
  X(Memory_Id_Args, id)                                              \
  X(Memory_Kind_Args, kind_size)                                     \
  X(Memory_Kind_Id_Args, kind_id)                                    \
  X(Memory_DebugString_Args, debug_string_size)                      \
  X(Memory_ToString_Args, to_string_size)                            \
  X(Memory_AddressableByDevices_Args, num_devices)                   \
  X(Executable_Name_Args, executable_name_size)                      \
  X(Executable_NumReplicas_Args, num_replicas)                       \
  X(Executable_NumPartitions_Args, num_partitions)                   \
  X(Executable_SizeOfGeneratedCodeInBytes_Args, size_in_bytes)       \
  X(Executable_OutputMemoryKinds_Args, memory_kind_sizes)            \
  X(Executable_OptimizedProgram_Args, program)                       \
  X(Executable_OutputElementTypes_Args, num_output_types)            \
  X(Executable_OutputDimensions_Args, dim_sizes)                     \
  X(Executable_Fingerprint_Args, executable_fingerprint_size)        \
  X(LoadedExecutable_Delete_Args, executable)                        \
  X(LoadedExecutable_IsDeleted_Args, is_deleted)                     \
  X(LoadedExecutable_Fingerprint_Args, executable_fingerprint_size)  \
  X(Buffer_UnpaddedDimensions_Args, num_dims)                        \
  X(Buffer_DynamicDimensionIndices_Args, num_dynamic_dims)           \
  X(Buffer_GetMemoryLayout_Args, layout)                             \
  X(Buffer_OnDeviceSizeInBytes_Args, on_device_size_in_bytes)        \
  X(Buffer_Device_Args, device)                                      \
  X(Buffer_Memory_Args, memory)                                      \
  X(Buffer_Delete_Args, buffer)                                      \
  X(Buffer_CopyToDevice_Args, dst_buffer)                            \
  X(Buffer_CopyToMemory_Args, dst_buffer)                            \
  X(Buffer_IsOnCpu_Args, is_on_cpu)                                  \
  X(Buffer_ReadyEvent_Args, event)                                   \
  X(TopologyDescription_PlatformName_Args, platform_name_size)       \
  X(TopologyDescription_Serialize_Args, serialized_topology_deleter) \
  X(TopologyDescription_Attributes_Args, num_attributes)

enum {
#define PJRT_STRUCT_SIZE_ENUM(name, last) \
  PJRT_##name##_STRUCT_SIZE =             \
      offsetof(PJRT_##name, last) + sizeof(((PJRT_##name *)0)->last),
  PJRT_MORE_STRUCT_LIST(PJRT_STRUCT_SIZE_ENUM)
#undef PJRT_STRUCT_SIZE_ENUM
};

#endif
