/* Tensors that stay in the memory of the chips between programs: made of zeros,
 * given to programs, which read them or write to them in place, read back, and
 * released.
 *
 *   device_resident k;
 *   PFL_TRY(device_resident_create(&slice, &tensor, 4, &k, error));
 *   device_resident *kept[] = {&k};
 *   status = device_run_resident(&slice, &program, inputs, n, outputs, m, kept,
 *                                1, &times, error);
 *   device_resident_release(&slice, &k);
 *
 * A program that writes to a tensor takes its memory over and gives it back as
 * a result: nothing is copied, and the tensor is at no time in two places. If
 * such a program fails, the tensor is lost.
 *
 * Threads: a tensor is used by one call at a time. */
#ifndef PFL_DEVICE_RESIDENT_H
#define PFL_DEVICE_RESIDENT_H

#include "device/device.h"
#include "device/transfer.h"

/* To be read only. Zero is no tensor. */
typedef struct device_resident {
  kernels_tensor tensor; /* as it lies on a chip; its name lives as long */
  int chips;
  PJRT_Buffer *buffers[DEVICE_CHIPS_MAX]; /* NULL: lost */
} device_resident;

/* Zeros on the first `chips` chips of the slice. INVALID_ARGUMENT,
 * RESOURCE_EXHAUSTED: the host's memory, or a chip's. What the plugin answers.
 * On failure *out_resident is zero. */
PFL_NODISCARD pfl_status device_resident_create(const device_slice *slice,
                                                const kernels_tensor *tensor,
                                                int chips,
                                                device_resident *out_resident,
                                                pfl_error *error);
void device_resident_release(const device_slice *slice,
                             device_resident *resident);

/* FAILED_PRECONDITION: it was lost. */
PFL_NODISCARD pfl_status device_resident_check(const device_resident *resident,
                                               pfl_error *error);

/* The whole tensor to the chips, or back. On failure a write leaves it as it
 * was. FAILED_PRECONDITION: it was lost. Otherwise as device_run. */
PFL_NODISCARD pfl_status device_resident_write(const device_slice *slice,
                                               device_resident *resident,
                                               const device_tensor *whole,
                                               pfl_error *error);
PFL_NODISCARD pfl_status device_resident_read(const device_slice *slice,
                                              const device_resident *resident,
                                              const device_tensor *whole,
                                              pfl_error *error);

/* As device_run (device.h), where arguments and results of a resident tensor's
 * name are that. FAILED_PRECONDITION: it was lost. INVALID_ARGUMENT: it lies
 * otherwise than the program has it, or a tensor is both resident and given. */
PFL_NODISCARD pfl_status device_run_resident(
    const device_slice *slice, const device_program *program,
    const device_tensor *inputs, int input_count, const device_tensor *outputs,
    int output_count, device_resident *const *residents, int resident_count,
    device_times *out_times, pfl_error *error);

#endif
