/* Buffers, and their ways in and out. */
#include <string.h>

#include "base/memory.h"
#include "sim/plugin_parts.h"

/* ---- Types and layouts --------------------------------------------------- */

static const struct {
  pfl_dtype dtype;
  PJRT_Buffer_Type type;
} types[] = {{PFL_DTYPE_F32, PJRT_Buffer_Type_F32},
             {PFL_DTYPE_BF16, PJRT_Buffer_Type_BF16},
             {PFL_DTYPE_F16, PJRT_Buffer_Type_F16},
             {PFL_DTYPE_I8, PJRT_Buffer_Type_S8},
             {PFL_DTYPE_I32, PJRT_Buffer_Type_S32}};
enum { TYPES = sizeof types / sizeof *types };

PJRT_Buffer_Type sim_buffer_type(pfl_dtype dtype) {
  for (int i = 0; i < TYPES; i++)
    if (types[i].dtype == dtype) return types[i].type;
  return PJRT_Buffer_Type_INVALID;
}

/* An array as a caller describes it. */
static pfl_status read_tensor(PJRT_Buffer_Type type, const int64_t *dims,
                              size_t rank, xla_tensor *out, pfl_error *error) {
  int64_t size, padded;
  *out = (xla_tensor){0};
  for (int i = 0; i < TYPES; i++)
    if (types[i].type == type) out->dtype = types[i].dtype;
  if (!out->dtype)
    PFL_RAISE(error, UNIMPLEMENTED,
              "element type %d: there are F32, BF16, F16, S8 and S32",
              (int)type);
  if (rank > XLA_RANK_MAX)
    PFL_RAISE(error, UNIMPLEMENTED, "%zu dimensions: must be at most %d", rank,
              XLA_RANK_MAX);
  if (rank && !dims) PFL_RAISE(error, INVALID_ARGUMENT, "dims is NULL");
  out->rank = (int)rank;
  for (int i = 0; i < out->rank; i++) {
    if (dims[i] < 0)
      PFL_RAISE(error, INVALID_ARGUMENT,
                "dims[%d] is %lld: must not be less "
                "than 0",
                i, (long long)dims[i]);
    out->shape[i] = dims[i];
  }
  return sim_tensor_bytes(out, &size, &padded, error);
}

/* Strides of a dense array whose dimensions vary in the order given, the
 * fastest first. */
static void strides_in_order(const xla_tensor *tensor, const int64_t *order,
                             int64_t *out_strides) {
  uint64_t stride = pfl_dtype_size(tensor->dtype); /* wraps, if one is 0 */
  for (int i = 0; i < tensor->rank; i++) {
    out_strides[order[i]] = (int64_t)stride;
    stride *= (uint64_t)base_max(tensor->shape[order[i]], 1);
  }
}

static void order_row_major(int rank, int64_t *out_order) {
  for (int i = 0; i < rank; i++) out_order[i] = rank - 1 - i;
}

/* Bytes from the first to the end of the last element; false if a stride is
 * negative or there are too many. */
static bool measure_strides(const xla_tensor *tensor, const int64_t *strides,
                            int64_t *out_bytes) {
  *out_bytes = (int64_t)pfl_dtype_size(tensor->dtype);
  for (int i = 0; i < tensor->rank; i++)
    if (!tensor->shape[i]) {
      *out_bytes = 0;
      return true;
    }
  for (int i = 0; i < tensor->rank; i++) {
    int64_t span;
    if (!base_multiply(tensor->shape[i] - 1, strides[i], &span) ||
        __builtin_add_overflow(*out_bytes, span, out_bytes))
      return false;
  }
  return true;
}

/* minor_to_major of a layout without tiles, checked. */
static pfl_status read_order(const PJRT_Buffer_MemoryLayout_Tiled *tiled,
                             int rank, int64_t *out_order, pfl_error *error) {
  bool seen[XLA_RANK_MAX] = {false};
  if (tiled->num_tiles)
    PFL_RAISE(error, UNIMPLEMENTED, "a layout with tiles: must be without");
  if (tiled->minor_to_major_size != (size_t)rank ||
      (rank && !tiled->minor_to_major))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "a layout has %zu dimensions, the array %d",
              tiled->minor_to_major_size, rank);
  for (int i = 0; i < rank; i++) {
    int64_t dimension = tiled->minor_to_major[i];
    if (dimension < 0 || dimension >= rank || seen[dimension])
      PFL_RAISE(error, INVALID_ARGUMENT,
                "minor_to_major[%d] is %lld: must be 0 to %d, each once", i,
                (long long)dimension, rank - 1);
    seen[dimension] = true;
    out_order[i] = dimension;
  }
  return PFL_STATUS_OK;
}

static pfl_status check_layout(const PJRT_Buffer_MemoryLayout *layout,
                               pfl_error *error) {
  if (layout->struct_size < SIM_END(PJRT_Buffer_MemoryLayout, type))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "the struct_size of a layout is %zu: must be %zu or more",
              layout->struct_size, SIM_END(PJRT_Buffer_MemoryLayout, type));
  if (layout->type != PJRT_Buffer_MemoryLayout_Type_Tiled &&
      layout->type != PJRT_Buffer_MemoryLayout_Type_Strides)
    PFL_RAISE(error, INVALID_ARGUMENT, "a layout is of type %d: must be 0 or 1",
              (int)layout->type);
  return PFL_STATUS_OK;
}

/* The strides that a layout of the host means; NULL is the device's order. */
static pfl_status read_layout(const PJRT_Buffer_MemoryLayout *layout,
                              const PJRT_Buffer *buffer, int64_t *out_strides,
                              pfl_error *error) {
  const xla_tensor *tensor = &buffer->tensor;
  int64_t order[XLA_RANK_MAX];
  strides_in_order(tensor, buffer->minor_to_major, out_strides);
  if (!layout) return PFL_STATUS_OK;
  PFL_TRY(check_layout(layout, error));
  if (layout->type == PJRT_Buffer_MemoryLayout_Type_Tiled) {
    PFL_TRY(read_order(&layout->tiled, tensor->rank, order, error));
    strides_in_order(tensor, order, out_strides);
    return PFL_STATUS_OK;
  }
  const PJRT_Buffer_MemoryLayout_Strides *given = &layout->strides;
  if (given->num_byte_strides != (size_t)tensor->rank ||
      (tensor->rank && !given->byte_strides))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "a layout has %zu strides, the array %d dimensions",
              given->num_byte_strides, tensor->rank);
  if (tensor->rank)
    memcpy(out_strides, given->byte_strides,
           (size_t)tensor->rank * sizeof *out_strides);
  return PFL_STATUS_OK;
}

/* The order of an array on the device; NULL is row-major. */
static pfl_status read_device_layout(const PJRT_Buffer_MemoryLayout *layout,
                                     int rank, int64_t *out_order,
                                     pfl_error *error) {
  order_row_major(rank, out_order);
  if (!layout) return PFL_STATUS_OK;
  PFL_TRY(check_layout(layout, error));
  if (layout->type != PJRT_Buffer_MemoryLayout_Type_Tiled)
    PFL_RAISE(error, UNIMPLEMENTED,
              "device_layout has strides: must be of minor_to_major");
  return read_order(&layout->tiled, rank, out_order, error);
}

/* ---- Copying ------------------------------------------------------------- */

static void copy_dimensions(const xla_tensor *tensor, int dimension, size_t run,
                            int runs_from, char *to, const int64_t *to_strides,
                            const char *from, const int64_t *from_strides) {
  if (dimension == runs_from) {
    memcpy(to, from, run);
    return;
  }
  for (int64_t i = 0; i < tensor->shape[dimension]; i++)
    copy_dimensions(tensor, dimension + 1, run, runs_from,
                    to + i * to_strides[dimension], to_strides,
                    from + i * from_strides[dimension], from_strides);
}

static void copy_strided(const xla_tensor *tensor, char *to,
                         const int64_t *to_strides, const char *from,
                         const int64_t *from_strides) {
  int64_t run = (int64_t)pfl_dtype_size(tensor->dtype);
  int dimension = tensor->rank;
  for (int i = 0; i < tensor->rank; i++)
    if (!tensor->shape[i]) return;
  /* the inner dimensions that are dense on both sides go as one */
  for (; dimension && to_strides[dimension - 1] == run &&
         from_strides[dimension - 1] == run;
       dimension--)
    run *= tensor->shape[dimension - 1];
  copy_dimensions(tensor, 0, (size_t)run, dimension, to, to_strides, from,
                  from_strides);
}

/* ---- Buffers ------------------------------------------------------------- */

pfl_status sim_buffer_create(sim_storage *storage, const xla_tensor *tensor,
                             const int64_t *minor_to_major, PJRT_Event *ready,
                             PJRT_Buffer **out_buffer, pfl_error *error) {
  PJRT_Buffer *buffer = base_allocate(&sim_heap, sizeof *buffer);
  if (!buffer) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory on the host");
  *buffer = (PJRT_Buffer){.client = storage->device->client,
                          .device = storage->device,
                          .tensor = *tensor,
                          .ready = sim_event_keep(ready),
                          .storage = storage};
  if (minor_to_major)
    memcpy(buffer->minor_to_major, minor_to_major,
           (size_t)tensor->rank * sizeof *minor_to_major);
  else
    order_row_major(tensor->rank, buffer->minor_to_major);
  sim_client_keep(buffer->client);
  *out_buffer = buffer;
  return PFL_STATUS_OK;
}

/* The buffer's storage with a reference more, or without it, as `take` says;
 * NULL if it is deleted. */
static sim_storage *get_storage(PJRT_Buffer *buffer, bool take) {
  sim_lock(buffer->client);
  sim_storage *storage = buffer->storage;
  if (take)
    buffer->storage = NULL;
  else if (storage)
    storage->references++;
  sim_unlock(buffer->client);
  return storage;
}

PJRT_Error *sim_Buffer_Delete(PJRT_Buffer_Delete_Args *args) {
  SIM_BEGIN(Buffer_Delete, buffer);
  SIM_NEED(args->buffer);
  sim_storage_release(get_storage(args->buffer, true));
  return NULL;
}

PJRT_Error *sim_Buffer_Destroy(PJRT_Buffer_Destroy_Args *args) {
  SIM_BEGIN(Buffer_Destroy, buffer);
  PJRT_Buffer *buffer = args->buffer;
  if (!buffer) return NULL;
  sim_storage_release(get_storage(buffer, true));
  sim_event_release(buffer->ready);
  PJRT_Client *client = buffer->client;
  base_release(&sim_heap, buffer);
  sim_client_release(client);
  return NULL;
}

/* ---- In ------------------------------------------------------------------ */

typedef struct upload {
  sim_task task;
  xla_tensor tensor;
  const char *data;
  int64_t strides[XLA_RANK_MAX]; /* of data */
  int64_t order[XLA_RANK_MAX];   /* minor to major, on the device */
  sim_storage *storage;
  PJRT_Event *done;
} upload;

static void copy_in(const upload *job) {
  int64_t strides[XLA_RANK_MAX];
  strides_in_order(&job->tensor, job->order, strides);
  copy_strided(&job->tensor, job->storage->bytes, strides, job->data,
               job->strides);
}

static void run_upload(sim_task *task) {
  upload *job = (upload *)task;
  if (job->data) copy_in(job);
  sim_storage_release(job->storage);
  sim_event_end(job->done, PFL_STATUS_OK, NULL);
  base_release(&sim_heap, job);
}

static pfl_status find_place(const PJRT_Client_BufferFromHostBuffer_Args *args,
                             PJRT_Device **out_device, pfl_error *error) {
  PJRT_Device *device = args->memory ? args->memory->device : args->device;
  if (!device) PFL_RAISE(error, INVALID_ARGUMENT, "device is NULL");
  if (device->client != args->client ||
      (args->device && args->device != device))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "device and memory do not belong together, or to the client");
  *out_device = device;
  return PFL_STATUS_OK;
}

static pfl_status describe_upload(
    const PJRT_Client_BufferFromHostBuffer_Args *args, upload *job,
    pfl_error *error) {
  PFL_TRY(
      read_tensor(args->type, args->dims, args->num_dims, &job->tensor, error));
  if ((int)args->host_buffer_semantics < 0 ||
      args->host_buffer_semantics > PJRT_HostBufferSemantics_kMutableZeroCopy)
    PFL_RAISE(error, INVALID_ARGUMENT, "host_buffer_semantics is %d",
              (int)args->host_buffer_semantics);
  int64_t row_major[XLA_RANK_MAX];
  PFL_TRY(read_device_layout(args->device_layout, job->tensor.rank, job->order,
                             error));
  order_row_major(job->tensor.rank, row_major);
  strides_in_order(&job->tensor, row_major, job->strides);
  if (args->num_byte_strides) {
    if (args->num_byte_strides != args->num_dims || !args->byte_strides)
      PFL_RAISE(error, INVALID_ARGUMENT,
                "%zu byte_strides for %zu dims: must be as many, or none",
                args->num_byte_strides, args->num_dims);
    memcpy(job->strides, args->byte_strides,
           args->num_dims * sizeof *job->strides);
  }
  int64_t size, padded;
  PFL_TRY(sim_tensor_bytes(&job->tensor, &size, &padded, error));
  if (size && !args->data) PFL_RAISE(error, INVALID_ARGUMENT, "data is NULL");
  job->data = size ? args->data : NULL;
  return PFL_STATUS_OK;
}

/* Storage, event and buffer of a job whose array is known. */
static pfl_status begin_upload(PJRT_Device *device, upload *job,
                               PJRT_Buffer **out_buffer, pfl_error *error) {
  PFL_TRY(sim_storage_create(device, &job->storage, error));
  PFL_TRY(sim_storage_fill(job->storage, &job->tensor, error));
  job->done = sim_event_create();
  if (!job->done) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory on the host");
  return sim_buffer_create(job->storage, &job->tensor, job->order, job->done,
                           out_buffer, error);
}

/* What a job that did not come to be has so far. */
static void drop_upload(upload *job, PJRT_Buffer *buffer) {
  PJRT_Buffer_Destroy_Args args = {.struct_size = sizeof args,
                                   .buffer = buffer};
  if (buffer)
    sim_Buffer_Destroy(&args);
  else
    sim_storage_release(job->storage);
  sim_event_release(job->done); /* twice: nobody else knows of it */
  sim_event_release(job->done);
  base_release(&sim_heap, job);
}

static pfl_status put(PJRT_Client_BufferFromHostBuffer_Args *args,
                      pfl_error *error) {
  PJRT_Device *device = NULL;
  PJRT_Buffer *buffer = NULL;
  PFL_TRY(find_place(args, &device, error));
  upload *job = base_allocate(&sim_heap, sizeof *job);
  if (!job) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory on the host");
  *job = (upload){.task = {.run = run_upload}};
  pfl_status status = describe_upload(args, job, error);
  if (!status) status = begin_upload(device, job, &buffer, error);
  PJRT_Event *done = job->done;
  if (!status) {
    sim_storage_keep(job->storage); /* the task's */
    if (args->host_buffer_semantics ==
            PJRT_HostBufferSemantics_kImmutableOnlyDuringCall &&
        job->data) {
      copy_in(job);
      job->data = NULL;
    }
    sim_storage *storage = job->storage;
    status = sim_client_submit(args->client, &job->task, error);
    if (status) sim_storage_release(storage);
  }
  if (status) {
    drop_upload(job, buffer);
    return status;
  }
  args->done_with_host_buffer = done;
  args->buffer = buffer;
  return PFL_STATUS_OK;
}

PJRT_Error *sim_Client_BufferFromHostBuffer(
    PJRT_Client_BufferFromHostBuffer_Args *args) {
  SIM_BEGIN(Client_BufferFromHostBuffer, buffer);
  SIM_NEED(args->client);
  pfl_error error;
  return sim_answer(put(args, &error), &error);
}

/* ---- Out ----------------------------------------------------------------- */

typedef struct download {
  sim_task task;
  xla_tensor tensor;
  char *data;
  int64_t strides[XLA_RANK_MAX];        /* of data */
  int64_t device_strides[XLA_RANK_MAX]; /* of the storage */
  sim_storage *storage;
  PJRT_Event *done;
} download;

static void run_download(sim_task *task) {
  download *job = (download *)task;
  pfl_error failure = job->storage->failure;
  if (!failure.status && job->storage->bytes)
    copy_strided(&job->tensor, job->data, job->strides, job->storage->bytes,
                 job->device_strides);
  sim_storage_release(job->storage);
  sim_event_end(job->done, failure.status, &failure);
  base_release(&sim_heap, job);
}

static pfl_status submit_download(const PJRT_Buffer *buffer,
                                  const int64_t *strides, void *data,
                                  sim_storage *storage, PJRT_Event **out_done,
                                  pfl_error *error) {
  download *job = base_allocate(&sim_heap, sizeof *job);
  PJRT_Event *done = job ? sim_event_create() : NULL;
  if (!done) {
    base_release(&sim_heap, job);
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory on the host");
  }
  *job = (download){.task = {.run = run_download},
                    .tensor = buffer->tensor,
                    .data = data,
                    .storage = storage,
                    .done = done};
  memcpy(job->strides, strides, sizeof job->strides);
  strides_in_order(&job->tensor, buffer->minor_to_major, job->device_strides);
  pfl_status status = sim_client_submit(buffer->client, &job->task, error);
  if (status) {
    sim_event_release(done);
    sim_event_release(done);
    base_release(&sim_heap, job);
    return status;
  }
  *out_done = done;
  return PFL_STATUS_OK;
}

static pfl_status get(PJRT_Buffer_ToHostBuffer_Args *args, pfl_error *error) {
  const xla_tensor *tensor = &args->src->tensor;
  int64_t strides[XLA_RANK_MAX] = {0}, needed;
  PFL_TRY(read_layout(args->host_layout, args->src, strides, error));
  if (!measure_strides(tensor, strides, &needed))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "a host layout has a negative stride, or more bytes than there "
              "can be");
  if (!args->dst) {
    args->dst_size = (size_t)needed;
    args->event = NULL;
    return PFL_STATUS_OK;
  }
  if (args->dst_size < (size_t)needed)
    PFL_RAISE(error, INVALID_ARGUMENT, "dst_size is %zu: must be %lld or more",
              args->dst_size, (long long)needed);
  sim_storage *storage = get_storage(args->src, false);
  if (!storage)
    PFL_RAISE(error, INVALID_ARGUMENT, "the buffer was deleted or donated");
  pfl_status status = submit_download(args->src, strides, args->dst, storage,
                                      &args->event, error);
  if (status) sim_storage_release(storage);
  return status;
}

PJRT_Error *sim_Buffer_ToHostBuffer(PJRT_Buffer_ToHostBuffer_Args *args) {
  SIM_BEGIN(Buffer_ToHostBuffer, event);
  SIM_NEED(args->src);
  pfl_error error;
  return sim_answer(get(args, &error), &error);
}
