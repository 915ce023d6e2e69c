/* A client of a plugin: the devices that this process may use, and waiting for
 * what they do. Buffers are in buffer.h, programs in execute.h.
 *
 *   pjrt_plugin plugin;
 *   pjrt_client client;
 *   PFL_TRY(pjrt_plugin_load(path, &plugin, error));
 *   PFL_TRY(pjrt_client_create(&plugin, NULL, 0, &allocator, &client, error));
 *   ... client.devices[0 .. device_count - 1] ...
 *   pjrt_client_destroy(&client);
 *
 * Ownership: the caller owns every handle that a call gives it in out_...
 * (PJRT_Buffer *, PJRT_Event *, pjrt_program) and gives it back, in any order,
 * before the client is destroyed. A call that fails gives none.
 *
 * Threads: a client does not change; any number of threads may make calls with
 * it, and with the buffers and programs made of it, at once. One thread, last,
 * gives a handle back.
 *
 * Errors: what a plugin answers is a status with its words, see PJRT_CALL. */
#ifndef PFL_PJRT_CLIENT_H
#define PFL_PJRT_CLIENT_H

#include "pjrt/aot.h"

/* Against nonsense: a host of TPUs has up to 8. */
#define PJRT_DEVICES_MAX 4096

/* A device of this process. Its place in pjrt_client.devices is what calls
 * name it by; info.id is the plugin's number of it. */
typedef struct pjrt_device {
  PJRT_Device *handle;
  pjrt_device_info info;
} pjrt_device;

/* To be read only. */
typedef struct pjrt_client {
  pjrt_plugin plugin;
  pfl_allocator allocator;
  PJRT_Client *handle;
  base_text platform;   /* "tpu" */
  base_text version;    /* the platform's, in its own words */
  pjrt_device *devices; /* the addressable ones, in the plugin's order */
  int64_t device_count; /* at least 1 */
} pjrt_client;

/* ---- Clients ------------------------------------------------------------- */

/* An option for pjrt_client_create. Both strings stay the caller's. */
PJRT_NamedValue pjrt_option_text(const char *name, const char *value);
PJRT_NamedValue pjrt_option_integer(const char *name, int64_t value);

/* Takes hold of the plugin's devices: of a TPU, alone, until it is destroyed.
 * The options are the plugin's own; most need none. `plugin` and `allocator`
 * are copied. Where there are no devices a plugin may take its time to say so.
 * FAILED_PRECONDITION: the client has no devices. Whatever the plugin answers.
 * RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status pjrt_client_create(const pjrt_plugin *plugin,
                                            const PJRT_NamedValue *options,
                                            size_t option_count,
                                            const pfl_allocator *allocator,
                                            pjrt_client *out_client,
                                            pfl_error *error);

/* A zero client has nothing. */
void pjrt_client_destroy(pjrt_client *client);

/* INVALID_ARGUMENT if `device` is no place in client->devices. */
PFL_NODISCARD pfl_status pjrt_device_check(const pjrt_client *client,
                                           int64_t device, pfl_error *error);

/* ---- Memory of a device -------------------------------------------------- */

#define PJRT_DEVICE_MEMORY_LIST(X) \
  X(peak_bytes_in_use)             \
  X(num_allocs)                    \
  X(largest_alloc_size)            \
  X(bytes_limit)                   \
  X(bytes_reserved)                \
  X(peak_bytes_reserved)           \
  X(bytes_reservable_limit)        \
  X(largest_free_block_bytes)      \
  X(pool_bytes)                    \
  X(peak_pool_bytes)

/* As the ABI calls them; -1: the plugin does not say. */
typedef struct pjrt_device_memory {
  int64_t bytes_in_use;
#define PJRT_DEVICE_MEMORY_FIELD(name) int64_t name;
  PJRT_DEVICE_MEMORY_LIST(PJRT_DEVICE_MEMORY_FIELD)
#undef PJRT_DEVICE_MEMORY_FIELD
} pjrt_device_memory;

/* UNIMPLEMENTED: this plugin does not count. */
PFL_NODISCARD pfl_status pjrt_device_memory_get(const pjrt_client *client,
                                                int64_t device,
                                                pjrt_device_memory *out_memory,
                                                pfl_error *error);

/* ---- Events -------------------------------------------------------------- */

/* Waits for what was begun and gives the event back, whatever comes of it.
 * There is no time limit: PJRT cannot call off what a device is at. Returns how
 * it ended; also a plugin that fails to wait is taken to have ended. NULL is an
 * event that is over. */
PFL_NODISCARD pfl_status pjrt_event_await(const pjrt_client *client,
                                          PJRT_Event *event, pfl_error *error);

/* The same for each of `count`, however those before it ended; returns the
 * first failure. */
PFL_NODISCARD pfl_status pjrt_events_await(const pjrt_client *client,
                                           PJRT_Event *const *events,
                                           int64_t count, pfl_error *error);

/* Whether it is over, well or not; the event stays. */
PFL_NODISCARD pfl_status pjrt_event_is_ready(const pjrt_client *client,
                                             PJRT_Event *event, bool *out_ready,
                                             pfl_error *error);

/* Told of an event's end, once: `outcome->status` is how, with its message. */
typedef void pjrt_event_fn(void *user, const pfl_error *outcome);

/* Has `call` called when the event is over, at once if it is: on this thread
 * or on one of the plugin's, which must not be held up. The event stays, and
 * may be given back before it is over. On failure `call` is never called. */
PFL_NODISCARD pfl_status pjrt_event_on_ready(const pjrt_client *client,
                                             PJRT_Event *event,
                                             pjrt_event_fn *call, void *user,
                                             pfl_error *error);

/* Gives an event back without waiting. */
void pjrt_event_destroy(const pjrt_client *client, PJRT_Event *event);

#endif
