#include "device/transfer.h"

#include <string.h>

#include "base/memory.h"

/* Room for a chip's part of a tensor that fits the program. */
static pfl_status make_part(const device_slice *slice,
                            const kernels_tensor *tensor, int chips,
                            const device_tensor *whole, void **out_part,
                            int64_t *out_bytes, pfl_error *error) {
  PFL_TRY(device_spread_check(tensor, chips, whole, error));
  PFL_TRY(device_part_bytes(tensor, out_bytes, error));
  *out_part = base_allocate(&slice->allocator, (size_t)*out_bytes);
  if (!*out_part)
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for tensor %s",
              tensor->name);
  return PFL_STATUS_OK;
}

pfl_status device_upload_part(const device_slice *slice,
                              const kernels_tensor *tensor, int64_t device,
                              const void *part, PJRT_Buffer **out_buffer,
                              pfl_error *error) {
  pjrt_upload upload = {.device = device,
                        .shape = {.dtype = tensor->dtype, .rank = tensor->rank},
                        .data = part};
  memcpy(upload.shape.sizes, tensor->shape, sizeof upload.shape.sizes);
  return pjrt_buffer_upload(&slice->client, &upload, NULL, out_buffer, error);
}

pfl_status device_upload(const device_slice *slice,
                         const kernels_tensor *tensor, int chips,
                         const int64_t *devices, const device_tensor *whole,
                         PJRT_Buffer **out_buffers, pfl_error *error) {
  void *part;
  int64_t bytes;
  for (int chip = 0; chip < chips; chip++) out_buffers[chip] = NULL;
  PFL_TRY(make_part(slice, tensor, chips, whole, &part, &bytes, error));
  pfl_status status = PFL_STATUS_OK;
  for (int chip = 0; chip < chips && !status; chip++) {
    device_spread(tensor, chips, chip, whole, part);
    status = device_upload_part(slice, tensor, devices[chip], part,
                                &out_buffers[chip], error);
  }
  base_release(&slice->allocator, part);
  if (!status) return status;
  pjrt_buffers_destroy(&slice->client, out_buffers, chips);
  for (int chip = 0; chip < chips; chip++) out_buffers[chip] = NULL;
  return status;
}

pfl_status device_download(const device_slice *slice,
                           const kernels_tensor *tensor, int chips,
                           PJRT_Buffer *const *buffers,
                           const device_tensor *whole, pfl_error *error) {
  void *part;
  int64_t bytes;
  PFL_TRY(make_part(slice, tensor, chips, whole, &part, &bytes, error));
  pfl_status status = PFL_STATUS_OK;
  int parts = tensor->split.split ? chips : 1; /* else all have the same */
  for (int chip = 0; chip < parts && !status; chip++) {
    pjrt_download download = {.data = part, .size = (size_t)bytes};
    status = pjrt_buffer_download(&slice->client, buffers[chip], &download,
                                  NULL, error);
    if (!status) device_gather(tensor, chips, chip, part, whole);
  }
  base_release(&slice->allocator, part);
  return status;
}
