/* What a buffer is: its type, shape and place. */
#include <string.h>

#include "sim/plugin_parts.h"

PJRT_Error *sim_Buffer_ElementType(PJRT_Buffer_ElementType_Args *args) {
  SIM_BEGIN(Buffer_ElementType, type);
  SIM_NEED(args->buffer);
  args->type = sim_buffer_type(args->buffer->tensor.dtype);
  return NULL;
}

PJRT_Error *sim_Buffer_Dimensions(PJRT_Buffer_Dimensions_Args *args) {
  SIM_BEGIN(Buffer_Dimensions, num_dims);
  SIM_NEED(args->buffer);
  args->dims = args->buffer->tensor.shape;
  args->num_dims = (size_t)args->buffer->tensor.rank;
  return NULL;
}

PJRT_Error *sim_Buffer_UnpaddedDimensions(
    PJRT_Buffer_UnpaddedDimensions_Args *args) {
  SIM_BEGIN(Buffer_UnpaddedDimensions, num_dims);
  SIM_NEED(args->buffer);
  args->unpadded_dims = args->buffer->tensor.shape;
  args->num_dims = (size_t)args->buffer->tensor.rank;
  return NULL;
}

PJRT_Error *sim_Buffer_DynamicDimensionIndices(
    PJRT_Buffer_DynamicDimensionIndices_Args *args) {
  SIM_BEGIN(Buffer_DynamicDimensionIndices, num_dynamic_dims);
  args->dynamic_dim_indices = NULL;
  args->num_dynamic_dims = 0;
  return NULL;
}

PJRT_Error *sim_Buffer_GetMemoryLayout(PJRT_Buffer_GetMemoryLayout_Args *args) {
  SIM_BEGIN(Buffer_GetMemoryLayout, layout.type);
  SIM_NEED(args->buffer);
  PJRT_Buffer_MemoryLayout *layout = &args->layout;
  layout->struct_size = PJRT_Buffer_MemoryLayout_STRUCT_SIZE;
  layout->extension_start = NULL;
  layout->type = PJRT_Buffer_MemoryLayout_Type_Tiled;
  layout->tiled = (PJRT_Buffer_MemoryLayout_Tiled){
      .struct_size = PJRT_Buffer_MemoryLayout_Tiled_STRUCT_SIZE,
      .minor_to_major = args->buffer->minor_to_major,
      .minor_to_major_size = (size_t)args->buffer->tensor.rank};
  return NULL;
}

PJRT_Error *sim_Buffer_OnDeviceSizeInBytes(
    PJRT_Buffer_OnDeviceSizeInBytes_Args *args) {
  SIM_BEGIN(Buffer_OnDeviceSizeInBytes, on_device_size_in_bytes);
  SIM_NEED(args->buffer);
  int64_t size, padded;
  pfl_error error;
  pfl_status status =
      sim_tensor_bytes(&args->buffer->tensor, &size, &padded, &error);
  if (!status) args->on_device_size_in_bytes = (size_t)padded;
  return sim_answer(status, &error);
}

PJRT_Error *sim_Buffer_Device(PJRT_Buffer_Device_Args *args) {
  SIM_BEGIN(Buffer_Device, device);
  SIM_NEED(args->buffer);
  args->device = args->buffer->device;
  return NULL;
}

PJRT_Error *sim_Buffer_Memory(PJRT_Buffer_Memory_Args *args) {
  SIM_BEGIN(Buffer_Memory, memory);
  SIM_NEED(args->buffer);
  args->memory = &args->buffer->device->memory;
  return NULL;
}

PJRT_Error *sim_Buffer_IsDeleted(PJRT_Buffer_IsDeleted_Args *args) {
  SIM_BEGIN(Buffer_IsDeleted, is_deleted);
  SIM_NEED(args->buffer);
  sim_lock(args->buffer->client);
  args->is_deleted = !args->buffer->storage;
  sim_unlock(args->buffer->client);
  return NULL;
}

PJRT_Error *sim_Buffer_IsOnCpu(PJRT_Buffer_IsOnCpu_Args *args) {
  SIM_BEGIN(Buffer_IsOnCpu, is_on_cpu);
  args->is_on_cpu = false;
  return NULL;
}

PJRT_Error *sim_Buffer_ReadyEvent(PJRT_Buffer_ReadyEvent_Args *args) {
  SIM_BEGIN(Buffer_ReadyEvent, event);
  SIM_NEED(args->buffer);
  sim_lock(args->buffer->client);
  bool deleted = !args->buffer->storage;
  sim_unlock(args->buffer->client);
  if (deleted)
    return sim_raise(PFL_STATUS_INVALID_ARGUMENT,
                     "the buffer was deleted or donated");
  args->event = sim_event_keep(args->buffer->ready);
  return NULL;
}
