#include "device/resident.h"

#include <string.h>

#include "base/memory.h"

static const int64_t in_order[DEVICE_CHIPS_MAX] = {0, 1, 2, 3};

static pfl_status upload_zeros(const device_slice *slice, const void *zeros,
                               device_resident *resident, pfl_error *error) {
  for (int chip = 0; chip < resident->chips; chip++)
    PFL_TRY(device_upload_part(slice, &resident->tensor, chip, zeros,
                               &resident->buffers[chip], error));
  return PFL_STATUS_OK;
}

pfl_status device_resident_create(const device_slice *slice,
                                  const kernels_tensor *tensor, int chips,
                                  device_resident *out_resident,
                                  pfl_error *error) {
  int64_t bytes;
  *out_resident = (device_resident){.chips = 0};
  if (chips < 1 || chips > DEVICE_CHIPS_MAX ||
      chips > slice->client.device_count)
    PFL_RAISE(error, INVALID_ARGUMENT, "chips is %d: there are %lld", chips,
              (long long)slice->client.device_count);
  PFL_TRY(device_part_bytes(tensor, &bytes, error));
  void *zeros = base_allocate(&slice->allocator, (size_t)bytes);
  if (!zeros)
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for tensor %s",
              tensor->name);
  memset(zeros, 0, (size_t)bytes);
  *out_resident = (device_resident){.tensor = *tensor, .chips = chips};
  pfl_status status = upload_zeros(slice, zeros, out_resident, error);
  base_release(&slice->allocator, zeros);
  if (status) device_resident_release(slice, out_resident);
  return status;
}

void device_resident_release(const device_slice *slice,
                             device_resident *resident) {
  pjrt_buffers_destroy(&slice->client, resident->buffers, resident->chips);
  *resident = (device_resident){.chips = 0};
}

pfl_status device_resident_check(const device_resident *resident,
                                 pfl_error *error) {
  for (int chip = 0; chip < resident->chips; chip++)
    if (!resident->buffers[chip])
      PFL_RAISE(error, FAILED_PRECONDITION,
                "tensor %s was lost: a program that had taken its memory over "
                "failed",
                resident->tensor.name);
  return PFL_STATUS_OK;
}

pfl_status device_resident_write(const device_slice *slice,
                                 device_resident *resident,
                                 const device_tensor *whole, pfl_error *error) {
  PJRT_Buffer *buffers[DEVICE_CHIPS_MAX];
  PFL_TRY(device_resident_check(resident, error));
  PFL_TRY(device_upload(slice, &resident->tensor, resident->chips, in_order,
                        whole, buffers, error));
  pjrt_buffers_destroy(&slice->client, resident->buffers, resident->chips);
  memcpy(resident->buffers, buffers, (size_t)resident->chips * sizeof *buffers);
  return PFL_STATUS_OK;
}

pfl_status device_resident_read(const device_slice *slice,
                                const device_resident *resident,
                                const device_tensor *whole, pfl_error *error) {
  PFL_TRY(device_resident_check(resident, error));
  return device_download(slice, &resident->tensor, resident->chips,
                         resident->buffers, whole, error);
}
