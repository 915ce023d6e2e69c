/* The memory of the simulated chips: counted as XLA lays arrays out in HBM, and
 * limited as a chip's is. */
#include <string.h>

#include "base/memory.h"
#include "sim/plugin_parts.h"

/* ---- How much an array takes --------------------------------------------- */

/* The next power of two, or multiple of `tile` where that is more. */
static int64_t pad_to_tile(int64_t size, int64_t least, int64_t tile) {
  while (least < tile && least < size) least *= 2;
  return base_round_up(size, least);
}

/* Row-major arrays are laid out in tiles of 8 x 128, smaller ones of few rows,
 * a vector in tiles of up to 1024; in all a multiple of 512 bytes. That is how
 * libtpu 0.0.52 counts the arguments of programs for a v5e. */
pfl_status sim_tensor_bytes(const xla_tensor *tensor, int64_t *out_size,
                            int64_t *out_padded, pfl_error *error) {
  int64_t shape[XLA_RANK_MAX], item = (int64_t)pfl_dtype_size(tensor->dtype);
  int64_t items, padded;
  int rank = tensor->rank;
  memcpy(shape, tensor->shape, sizeof shape);
  bool fits =
      base_product(shape, rank, &items) && base_multiply(items, item, out_size);
  for (int i = 0; fits && i < rank; i++) fits = shape[i] < INT64_MAX / 2048;
  if (fits && rank == 1) shape[0] = pad_to_tile(shape[0], 128, 1024);
  if (fits && rank > 1) {
    shape[rank - 1] = base_round_up(shape[rank - 1], 128);
    shape[rank - 2] = pad_to_tile(shape[rank - 2], 1, 8);
  }
  if (!fits || !base_product(shape, rank, &padded) ||
      !base_multiply(padded, item, &padded) || padded > INT64_MAX - 512)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "an array has more bytes than 64 bits count");
  *out_padded = base_round_up(padded, 512);
  return PFL_STATUS_OK;
}

/* ---- Storage ------------------------------------------------------------- */

pfl_status sim_storage_create(PJRT_Device *device, sim_storage **out_storage,
                              pfl_error *error) {
  sim_storage *storage = base_allocate(&sim_heap, sizeof *storage);
  if (!storage) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory on the host");
  *storage = (sim_storage){.device = device, .references = 1};
  sim_client_keep(device->client);
  *out_storage = storage;
  return PFL_STATUS_OK;
}

/* Counts `bytes` of HBM as taken. */
static pfl_status reserve(PJRT_Device *device, int64_t bytes,
                          pfl_error *error) {
  sim_lock(device->client);
  int64_t in_use = device->in_use;
  bool fits = bytes <= SIM_HBM_BYTES - in_use;
  if (fits) {
    device->in_use += bytes;
    device->peak = base_max(device->peak, device->in_use);
    device->largest = base_max(device->largest, bytes);
    device->allocations++;
  }
  sim_unlock(device->client);
  if (!fits)
    PFL_RAISE(error, RESOURCE_EXHAUSTED,
              "HBM of simulated device %d is full: %lld bytes are asked for, "
              "%lld of %lld are in use",
              device->number, (long long)bytes, (long long)in_use,
              (long long)SIM_HBM_BYTES);
  return PFL_STATUS_OK;
}

static void unreserve(PJRT_Device *device, int64_t bytes) {
  sim_lock(device->client);
  device->in_use -= bytes;
  sim_unlock(device->client);
}

pfl_status sim_storage_fill(sim_storage *storage, const xla_tensor *tensor,
                            pfl_error *error) {
  int64_t size, padded;
  PFL_TRY(sim_tensor_bytes(tensor, &size, &padded, error));
  PFL_TRY(reserve(storage->device, padded, error));
  storage->bytes = base_allocate(&sim_heap, (size_t)size);
  if (!storage->bytes) {
    unreserve(storage->device, padded);
    PFL_RAISE(error, RESOURCE_EXHAUSTED,
              "the host has no %lld bytes for the HBM of a simulated device",
              (long long)size);
  }
  storage->size = size;
  storage->padded = padded;
  return PFL_STATUS_OK;
}

sim_storage *sim_storage_keep(sim_storage *storage) {
  sim_lock(storage->device->client);
  storage->references++;
  sim_unlock(storage->device->client);
  return storage;
}

void sim_storage_release(sim_storage *storage) {
  if (!storage) return;
  PJRT_Client *client = storage->device->client;
  sim_lock(client);
  bool last = !--storage->references;
  if (last) storage->device->in_use -= storage->padded;
  sim_unlock(client);
  if (!last) return;
  base_release(&sim_heap, storage->bytes);
  base_release(&sim_heap, storage);
  sim_client_release(client);
}

void sim_storage_move(sim_storage *from, sim_storage *to) {
  to->bytes = from->bytes;
  to->size = from->size;
  to->padded = from->padded;
  from->bytes = NULL;
  from->size = from->padded = 0;
}
