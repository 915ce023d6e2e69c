#include "pjrt/buffer.h"

#include "base/memory.h"

/* ---- Shapes -------------------------------------------------------------- */

/* A dtype and the ABI's number of it. */
#define TYPE_LIST(X) \
  X(F32, F32)        \
  X(BF16, BF16)      \
  X(F16, F16)        \
  X(I8, S8)          \
  X(I32, S32)

static PJRT_Buffer_Type type_of(pfl_dtype dtype) {
  switch (dtype) {
#define TYPE_CASE(ours, theirs) \
  case PFL_DTYPE_##ours: return PJRT_Buffer_Type_##theirs;
    TYPE_LIST(TYPE_CASE)
#undef TYPE_CASE
    case PFL_DTYPE_DEFAULT: break;
  }
  return PJRT_Buffer_Type_INVALID;
}

static pfl_dtype dtype_of(PJRT_Buffer_Type type) {
#define DTYPE_CASE(ours, theirs) \
  if (type == PJRT_Buffer_Type_##theirs) return PFL_DTYPE_##ours;
  TYPE_LIST(DTYPE_CASE)
#undef DTYPE_CASE
  return PFL_DTYPE_DEFAULT;
}

pfl_status pjrt_shape_bytes(const pjrt_shape *shape, int64_t *out_bytes,
                            pfl_error *error) {
  int64_t bytes = (int64_t)pfl_dtype_size(shape->dtype);
  if (!bytes)
    PFL_RAISE(error, INVALID_ARGUMENT, "dtype is %d, which is none",
              (int)shape->dtype);
  if (shape->rank < 0 || shape->rank > PJRT_RANK_MAX)
    PFL_RAISE(error, INVALID_ARGUMENT, "rank is %d, must be 0 .. %d",
              shape->rank, PJRT_RANK_MAX);
  for (int i = 0; i < shape->rank; i++)
    if (!base_multiply(bytes, shape->sizes[i], &bytes))
      PFL_RAISE(error, INVALID_ARGUMENT,
                "size %d of an array is %lld, which cannot be", i,
                (long long)shape->sizes[i]);
  *out_bytes = bytes;
  return PFL_STATUS_OK;
}

/* Bytes from the first element to the end of the last. */
static pfl_status find_extent(const pjrt_shape *shape, const int64_t *strides,
                              int64_t *out_bytes, pfl_error *error) {
  int64_t extent = (int64_t)pfl_dtype_size(shape->dtype);
  if (shape->rank && !strides)
    PFL_RAISE(error, INVALID_ARGUMENT, "a layout by strides has none");
  for (int i = 0; i < shape->rank; i++) {
    int64_t reach;
    if (shape->sizes[i] == 0) {
      *out_bytes = 0;
      return PFL_STATUS_OK;
    }
    if (!base_multiply(shape->sizes[i] - 1, strides[i], &reach) ||
        reach > INT64_MAX - extent)
      PFL_RAISE(error, INVALID_ARGUMENT,
                "byte stride %d is %lld: must be at least 0 and leave the "
                "array in memory",
                i, (long long)strides[i]);
    extent += reach;
  }
  *out_bytes = extent;
  return PFL_STATUS_OK;
}

/* ---- Layouts ------------------------------------------------------------- */

static pfl_status check_order(const pjrt_layout *layout, int rank,
                              pfl_error *error) {
  bool seen[PJRT_RANK_MAX] = {false};
  if (rank && !layout->minor_to_major)
    PFL_RAISE(error, INVALID_ARGUMENT, "a tiled layout has no minor_to_major");
  for (int i = 0; i < rank; i++) {
    int64_t dimension = layout->minor_to_major[i];
    if (dimension < 0 || dimension >= rank || seen[dimension])
      PFL_RAISE(error, INVALID_ARGUMENT,
                "minor_to_major[%d] is %lld: must name each of %d dimensions "
                "once",
                i, (long long)dimension, rank);
    seen[dimension] = true;
  }
  if (layout->tile_count && (!layout->tile_sizes || !layout->tile_ranks))
    PFL_RAISE(error, INVALID_ARGUMENT, "a layout's tiles have no sizes");
  return PFL_STATUS_OK;
}

/* The ABI's form of a layout, which may be NULL, and the least bytes that an
 * array has in it: tiles need more, which the plugin knows and checks.
 * Row-major is minor_to_major without tiles, the one form that every plugin
 * knows; `order` keeps it. */
static pfl_status write_layout(const pjrt_layout *layout,
                               const pjrt_shape *shape,
                               int64_t order[PJRT_RANK_MAX],
                               PJRT_Buffer_MemoryLayout *out,
                               int64_t *out_bytes, pfl_error *error) {
  int rank = shape->rank;
  PFL_TRY(pjrt_shape_bytes(shape, out_bytes, error));
  *out = PJRT_ARGS(Buffer_MemoryLayout, 0);
  if (layout && layout->order == PJRT_ORDER_STRIDES) {
    out->type = PJRT_Buffer_MemoryLayout_Type_Strides;
    out->strides = PJRT_ARGS(Buffer_MemoryLayout_Strides,
                             .byte_strides = layout->byte_strides,
                             .num_byte_strides = (size_t)rank);
    return find_extent(shape, layout->byte_strides, out_bytes, error);
  }
  out->type = PJRT_Buffer_MemoryLayout_Type_Tiled;
  out->tiled = PJRT_ARGS(Buffer_MemoryLayout_Tiled, .minor_to_major = order,
                         .minor_to_major_size = (size_t)rank);
  for (int i = 0; i < rank; i++) order[i] = rank - 1 - i;
  if (!layout || layout->order == PJRT_ORDER_ROW_MAJOR) return PFL_STATUS_OK;
  if (layout->order != PJRT_ORDER_TILED)
    PFL_RAISE(error, INVALID_ARGUMENT, "a layout's order is %d, which is none",
              (int)layout->order);
  out->tiled.minor_to_major = layout->minor_to_major;
  out->tiled.tile_dims = layout->tile_sizes;
  out->tiled.tile_dim_sizes = layout->tile_ranks;
  out->tiled.num_tiles = layout->tile_count;
  return check_order(layout, rank, error);
}

/* ---- In ------------------------------------------------------------------ */

static pfl_status check_upload(const pjrt_client *client,
                               const pjrt_upload *upload, pfl_error *error) {
  int64_t bytes;
  PFL_TRY(pjrt_device_check(client, upload->device, error));
  PFL_TRY(pjrt_shape_bytes(&upload->shape, &bytes, error));
  if (bytes && !upload->data)
    PFL_RAISE(error, INVALID_ARGUMENT, "an upload of %lld bytes has no data",
              (long long)bytes);
  if (!upload->byte_strides) return PFL_STATUS_OK;
  return find_extent(&upload->shape, upload->byte_strides, &bytes, error);
}

/* Hands on what the plugin made, or waits for it; what cannot be handed on is
 * given back. */
static pfl_status end_upload(const pjrt_client *client, PJRT_Buffer *buffer,
                             PJRT_Event *done, PJRT_Event **out_done,
                             PJRT_Buffer **out_buffer, pfl_error *error) {
  pfl_status status = PFL_STATUS_OK;
  if (!buffer || !done)
    status = pjrt_raise_nothing("Client_BufferFromHostBuffer",
                                buffer ? "event" : "buffer", error);
  if (!status && out_done) {
    *out_done = done;
  } else { /* also after a failure: the plugin may be reading the data */
    pfl_status waited = pjrt_event_await(client, done, status ? NULL : error);
    if (!status) status = waited;
  }
  if (status)
    pjrt_buffer_destroy(client, buffer);
  else
    *out_buffer = buffer;
  return status;
}

pfl_status pjrt_buffer_upload(const pjrt_client *client,
                              const pjrt_upload *upload, PJRT_Event **out_done,
                              PJRT_Buffer **out_buffer, pfl_error *error) {
  const pjrt_shape *shape = &upload->shape;
  int64_t order[PJRT_RANK_MAX], bytes;
  PJRT_Buffer_MemoryLayout layout;
  if (out_done) *out_done = NULL;
  *out_buffer = NULL;
  PFL_TRY(check_upload(client, upload, error));
  PFL_TRY(write_layout(upload->device_layout, shape, order, &layout, &bytes,
                       error));
  PJRT_Client_BufferFromHostBuffer_Args args = PJRT_ARGS(
      Client_BufferFromHostBuffer_Args, .client = client->handle,
      .data = upload->data, .type = type_of(shape->dtype), .dims = shape->sizes,
      .num_dims = (size_t)shape->rank, .byte_strides = upload->byte_strides,
      .num_byte_strides = upload->byte_strides ? (size_t)shape->rank : 0,
      .host_buffer_semantics =
          PJRT_HostBufferSemantics_kImmutableUntilTransferCompletes,
      .device = client->devices[upload->device].handle,
      .device_layout = upload->device_layout ? &layout : NULL);
  PFL_TRY(
      PJRT_CALL(&client->plugin, Client_BufferFromHostBuffer, &args, error));
  return end_upload(client, args.buffer, args.done_with_host_buffer, out_done,
                    out_buffer, error);
}

/* ---- Out ----------------------------------------------------------------- */

pfl_status pjrt_buffer_download(const pjrt_client *client, PJRT_Buffer *buffer,
                                const pjrt_download *download,
                                PJRT_Event **out_done, pfl_error *error) {
  pjrt_shape shape;
  int64_t order[PJRT_RANK_MAX], bytes;
  PJRT_Buffer_MemoryLayout layout;
  char nothing; /* where no bytes go: NULL would ask for their number */
  if (out_done) *out_done = NULL;
  PFL_TRY(pjrt_buffer_shape(client, buffer, &shape, error));
  PFL_TRY(
      write_layout(download->layout, &shape, order, &layout, &bytes, error));
  if ((uint64_t)bytes > download->size || (bytes && !download->data))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "a buffer has %lld bytes and there is room for %zu",
              (long long)bytes, download->data ? download->size : 0);
  PJRT_Buffer_ToHostBuffer_Args args =
      PJRT_ARGS(Buffer_ToHostBuffer_Args, .src = buffer, .host_layout = &layout,
                .dst = download->data ? download->data : &nothing,
                .dst_size = download->size);
  PFL_TRY(PJRT_CALL(&client->plugin, Buffer_ToHostBuffer, &args, error));
  if (!args.event)
    return pjrt_raise_nothing("Buffer_ToHostBuffer", "event", error);
  if (!out_done) return pjrt_event_await(client, args.event, error);
  *out_done = args.event;
  return PFL_STATUS_OK;
}

/* ---- What it is ---------------------------------------------------------- */

pfl_status pjrt_buffer_shape(const pjrt_client *client, PJRT_Buffer *buffer,
                             pjrt_shape *out_shape, pfl_error *error) {
  PJRT_Buffer_ElementType_Args type =
      PJRT_ARGS(Buffer_ElementType_Args, .buffer = buffer);
  PFL_TRY(PJRT_CALL(&client->plugin, Buffer_ElementType, &type, error));
  PJRT_Buffer_Dimensions_Args dimensions =
      PJRT_ARGS(Buffer_Dimensions_Args, .buffer = buffer);
  PFL_TRY(PJRT_CALL(&client->plugin, Buffer_Dimensions, &dimensions, error));
  pjrt_shape shape = {.dtype = dtype_of(type.type)};
  if (!shape.dtype || dimensions.num_dims > PJRT_RANK_MAX)
    PFL_RAISE(error, UNIMPLEMENTED,
              "a buffer has element type %d and %zu dimensions; known are "
              "f32, bf16, f16, int8, int32 and up to %d",
              (int)type.type, dimensions.num_dims, PJRT_RANK_MAX);
  if (dimensions.num_dims && !dimensions.dims)
    return pjrt_raise_nothing("Buffer_Dimensions", "dimensions", error);
  shape.rank = (int)dimensions.num_dims;
  for (int i = 0; i < shape.rank; i++) shape.sizes[i] = dimensions.dims[i];
  *out_shape = shape;
  return PFL_STATUS_OK;
}

pfl_status pjrt_buffer_is_donated(const pjrt_client *client,
                                  PJRT_Buffer *buffer, bool *out_donated,
                                  pfl_error *error) {
  PJRT_Buffer_IsDeleted_Args args =
      PJRT_ARGS(Buffer_IsDeleted_Args, .buffer = buffer);
  PFL_TRY(PJRT_CALL(&client->plugin, Buffer_IsDeleted, &args, error));
  *out_donated = args.is_deleted;
  return PFL_STATUS_OK;
}

void pjrt_buffer_destroy(const pjrt_client *client, PJRT_Buffer *buffer) {
  PJRT_DESTROY(&client->plugin, Buffer_Destroy, buffer, buffer);
}

void pjrt_buffers_destroy(const pjrt_client *client,
                          PJRT_Buffer *const *buffers, int64_t count) {
  for (int64_t i = 0; i < count; i++) pjrt_buffer_destroy(client, buffers[i]);
}
