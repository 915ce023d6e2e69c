/* The table, and the functions that a simulated slice has no use for: they say
 * so. */
#include <string.h>

#include "sim/plugin_api.h"
#include "sim/plugin_parts.h"

#define MISSING_LIST(X)                               \
  X(Client_CreateViewOfDeviceBuffer)                  \
  X(Executable_OptimizedProgram)                      \
  X(Buffer_CopyToDevice)                              \
  X(Buffer_CopyToMemory)                              \
  X(Buffer_UnsafePointer)                             \
  X(Buffer_IncreaseExternalReferenceCount)            \
  X(Buffer_DecreaseExternalReferenceCount)            \
  X(Buffer_OpaqueDeviceMemoryDataPointer)             \
  X(CopyToDeviceStream_Destroy)                       \
  X(CopyToDeviceStream_AddChunk)                      \
  X(CopyToDeviceStream_TotalBytes)                    \
  X(CopyToDeviceStream_GranuleSize)                   \
  X(CopyToDeviceStream_CurrentBytes)                  \
  X(ExecuteContext_Create)                            \
  X(ExecuteContext_Destroy)                           \
  X(Buffer_CopyRawToHost)                             \
  X(AsyncHostToDeviceTransferManager_Destroy)         \
  X(AsyncHostToDeviceTransferManager_TransferData)    \
  X(Client_CreateBuffersForAsyncHostToDevice)         \
  X(AsyncHostToDeviceTransferManager_RetrieveBuffer)  \
  X(AsyncHostToDeviceTransferManager_Device)          \
  X(AsyncHostToDeviceTransferManager_BufferCount)     \
  X(AsyncHostToDeviceTransferManager_BufferSize)      \
  X(AsyncHostToDeviceTransferManager_SetBufferError)  \
  X(AsyncHostToDeviceTransferManager_AddMetadata)     \
  X(Client_DmaMap)                                    \
  X(Client_DmaUnmap)                                  \
  X(Client_CreateUninitializedBuffer)                 \
  X(Client_UpdateGlobalProcessInfo)                   \
  X(TopologyDescription_Deserialize)                  \
  X(Client_CreateAliasBuffer)                         \
  X(Client_FulfillAliasBuffer)                        \
  X(LoadedExecutable_GetDeviceAssignment)             \
  X(Client_CreateErrorBuffer)                         \
  X(AsyncHostToDeviceTransferManager_TransferLiteral) \
  X(Buffer_CopyRawToHostFuture)                       \
  X(Device_PoisonExecution)                           \
  X(Device_CreateAsyncTrackingEvent)                  \
  X(AsyncTrackingEvent_Destroy)                       \
  X(Executable_GetCompileOptions)                     \
  X(Buffer_DonateWithControlDependency)               \
  X(Event_Create)                                     \
  X(Event_Set)

#define MISSING_FUNCTION(name)                                                 \
  PJRT_Error *sim_##name(PJRT_##name##_Args *args) {                           \
    (void)args;                                                                \
    return sim_raise(PFL_STATUS_UNIMPLEMENTED, "the simulator has no PJRT_%s", \
                     #name);                                                   \
  }
MISSING_LIST(MISSING_FUNCTION)

PJRT_Error *sim_Plugin_Attributes(PJRT_Plugin_Attributes_Args *args) {
  SIM_BEGIN(Plugin_Attributes, num_attributes);
  static const int64_t version[3] = {1, 0, 0};
  static const PJRT_NamedValue attributes[] = {
      {.struct_size = PJRT_NamedValue_STRUCT_SIZE,
       .name = "stablehlo_current_version",
       .name_size = 25,
       .type = PJRT_NamedValue_kInt64List,
       .int64_array_value = version,
       .value_size = 3}};
  args->attributes = attributes;
  args->num_attributes = 1;
  return NULL;
}

const PJRT_Api *sim_plugin_api(void) {
  static const PJRT_Api api = {
      .struct_size = sizeof api,
      .pjrt_api_version = {.struct_size = PJRT_Api_Version_STRUCT_SIZE,
                           .major_version = PJRT_ABI_MAJOR,
                           .minor_version = PJRT_ABI_MINOR},
#define TABLE_ENTRY(name) .PJRT_##name = sim_##name,
      PJRT_SLOT_LIST(TABLE_ENTRY, TABLE_ENTRY, TABLE_ENTRY)
#undef TABLE_ENTRY
  };
  return &api;
}
