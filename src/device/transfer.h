/* Whole tensors to the chips and back. */
#ifndef PFL_DEVICE_TRANSFER_H
#define PFL_DEVICE_TRANSFER_H

#include "device/device.h"
#include "xla/program.h"

enum { DEVICE_CHIPS_MAX = XLA_REPLICAS_MAX };

/* Spreads a tensor over `chips` devices, by their places in the client's list;
 * on failure out_buffers [chips] are all NULL. INVALID_ARGUMENT: another tensor
 * than the program's. RESOURCE_EXHAUSTED. What the plugin answers. */
PFL_NODISCARD pfl_status device_upload(const device_slice *slice,
                                       const kernels_tensor *tensor, int chips,
                                       const int64_t *devices,
                                       const device_tensor *whole,
                                       PJRT_Buffer **out_buffers,
                                       pfl_error *error);

/* The same bytes to every chip: `part` is one chip's. */
PFL_NODISCARD pfl_status device_upload_part(const device_slice *slice,
                                            const kernels_tensor *tensor,
                                            int64_t device, const void *part,
                                            PJRT_Buffer **out_buffer,
                                            pfl_error *error);

/* Gathers it. */
PFL_NODISCARD pfl_status device_download(const device_slice *slice,
                                         const kernels_tensor *tensor,
                                         int chips, PJRT_Buffer *const *buffers,
                                         const device_tensor *whole,
                                         pfl_error *error);

#endif
