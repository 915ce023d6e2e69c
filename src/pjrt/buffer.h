/* Arrays in the memory of a device, and their ways in and out.
 *
 *   pjrt_upload upload = {.shape = {PFL_DTYPE_BF16, 2, {4096, 128}},
 *                         .data = data, .device = 0};
 *   PJRT_Buffer *buffer;
 *   PFL_TRY(pjrt_buffer_upload(&client, &upload, NULL, &buffer, error));
 *   ...
 *   pfl_status status =
 *       pjrt_buffer_download(&client, buffer, &(pjrt_download){
 *           .data = data, .size = size}, NULL, error);
 *   pjrt_buffer_destroy(&client, buffer);
 *
 * Ownership and threads: see client.h. A buffer that was donated to a program
 * is empty and still to be given back. */
#ifndef PFL_PJRT_BUFFER_H
#define PFL_PJRT_BUFFER_H

#include "pallas_flash/dtype.h"
#include "pjrt/client.h"

#define PJRT_RANK_MAX 8

typedef struct pjrt_shape {
  pfl_dtype dtype; /* never DEFAULT */
  int rank;
  int64_t sizes[PJRT_RANK_MAX]; /* outermost first */
} pjrt_shape;

/* The order of an array's elements in memory. */
typedef enum pjrt_order {
  PJRT_ORDER_ROW_MAJOR = 0, /* dense, the last dimension fastest */
  PJRT_ORDER_STRIDES,       /* any, by byte_strides */
  PJRT_ORDER_TILED          /* dense, by minor_to_major and tiles */
} pjrt_order;

/* All zero is row-major. The arrays are the caller's, and read only during the
 * call that is given the layout. */
typedef struct pjrt_layout {
  pjrt_order order;
  const int64_t *byte_strides;   /* [rank], of STRIDES; none negative */
  const int64_t *minor_to_major; /* [rank], of TILED: the fastest dimension
                                    first, each once */
  const int64_t *tile_sizes;     /* of TILED: those of one tile after the other,
                                    as XLA writes T(8,128)(2,1) */
  const size_t *tile_ranks;      /* [tile_count] */
  size_t tile_count;
} pjrt_layout;

/* Bytes of a dense array. INVALID_ARGUMENT: no dtype, a rank or size out of
 * range, more bytes than there can be. */
PFL_NODISCARD pfl_status pjrt_shape_bytes(const pjrt_shape *shape,
                                          int64_t *out_bytes, pfl_error *error);

/* ---- In ------------------------------------------------------------------ */

/* All zero is the default but for shape and data. */
typedef struct pjrt_upload {
  int64_t device; /* a place in client->devices */
  pjrt_shape shape;
  const void *data;
  const int64_t *byte_strides;      /* [rank] of `data`; NULL: row-major */
  const pjrt_layout *device_layout; /* NULL: row-major as the program sees it,
                                       with the tiles the device prefers */
} pjrt_upload;

/* Copies an array to a device. With out_done the call returns at once and
 * `data` must stay as it is until that event is over; with NULL it returns when
 * `data` is the caller's again. A program may take the buffer before the copy
 * has ended: the plugin keeps the order.
 * INVALID_ARGUMENT, RESOURCE_EXHAUSTED (the device's memory), whatever the
 * plugin answers. */
PFL_NODISCARD pfl_status pjrt_buffer_upload(const pjrt_client *client,
                                            const pjrt_upload *upload,
                                            PJRT_Event **out_done,
                                            PJRT_Buffer **out_buffer,
                                            pfl_error *error);

/* ---- Out ----------------------------------------------------------------- */

typedef struct pjrt_download {
  void *data;
  size_t size;               /* bytes at `data` */
  const pjrt_layout *layout; /* at `data`; NULL: row-major. XLA's plugins know
                                TILED without tiles and no other */
} pjrt_download;

/* Copies a buffer to the host. With out_done the call returns at once and
 * `data` holds the array when that event is over; with NULL it waits.
 * INVALID_ARGUMENT: a layout that does not fit the buffer, or less room than it
 * needs. Also what became of the program that the buffer comes from. */
PFL_NODISCARD pfl_status pjrt_buffer_download(const pjrt_client *client,
                                              PJRT_Buffer *buffer,
                                              const pjrt_download *download,
                                              PJRT_Event **out_done,
                                              pfl_error *error);

/* ---- What it is ---------------------------------------------------------- */

/* UNIMPLEMENTED: a dtype or rank that this library has not. */
PFL_NODISCARD pfl_status pjrt_buffer_shape(const pjrt_client *client,
                                           PJRT_Buffer *buffer,
                                           pjrt_shape *out_shape,
                                           pfl_error *error);

/* Whether a program took its memory. */
PFL_NODISCARD pfl_status pjrt_buffer_is_donated(const pjrt_client *client,
                                                PJRT_Buffer *buffer,
                                                bool *out_donated,
                                                pfl_error *error);

/* NULL is allowed. */
void pjrt_buffer_destroy(const pjrt_client *client, PJRT_Buffer *buffer);
void pjrt_buffers_destroy(const pjrt_client *client,
                          PJRT_Buffer *const *buffers, int64_t count);

#endif
