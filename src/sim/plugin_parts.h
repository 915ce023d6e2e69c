/* What the plugin's files share.
 *
 * A client has one worker, which does in turn whatever is asked of it: copies
 * in, programs, copies out. So each finds done what it was asked after, nothing
 * has to track who waits for whom, and the host meets a device that is late.
 *
 *   PJRT_Buffer ──> sim_storage, the bytes, which tasks may outlast the buffer
 *   PJRT_Executable, PJRT_LoadedExecutable ──> sim_executable, which never
 *                                              changes
 *   all of them ──> PJRT_Client, which is there until the last is given back
 *
 * One mutex, the client's, guards its queue, its counts, and what changes of
 * its buffers and loaded executables; an event has its own. */
#ifndef PFL_SIM_PLUGIN_PARTS_H
#define PFL_SIM_PLUGIN_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "pjrt/artifact.h"
#include "pjrt/pjrt_abi_more.h"
#include "pjrt/sha256.h"
#include "sim/slice.h"
#include "xla/program.h"

/* malloc's memory, for everything. */
extern const pfl_allocator sim_heap;

/* ---- The functions ------------------------------------------------------- */

#define SIM_SLOT_CALL(name) PJRT_Error *sim_##name(PJRT_##name##_Args *args);
#define SIM_SLOT_VOID(name) void sim_##name(PJRT_##name##_Args *args);
PJRT_SLOT_LIST(SIM_SLOT_CALL, SIM_SLOT_VOID, SIM_SLOT_CALL)
#undef SIM_SLOT_CALL
#undef SIM_SLOT_VOID

/* Begins a function: the caller's struct must reach to `last`, the last field
 * that every caller of this ABI has. */
#define SIM_BEGIN(name, last)                                           \
  do {                                                                  \
    PJRT_Error *sim_bad_ =                                              \
        sim_check_args(args, #name, SIM_END(PJRT_##name##_Args, last)); \
    if (sim_bad_) return sim_bad_;                                      \
  } while (0)

/* Where a field ends, and whether the caller's struct reaches that far. */
#define SIM_END(type, field) (offsetof(type, field) + sizeof((type *)0)->field)
#define SIM_REACHES(given, type, field) \
  ((given)->struct_size >= SIM_END(type, field))

PJRT_Error *sim_check_args(const void *args, const char *name, size_t least);

/* Needs a handle or a pointer: SIM_NEED(args->client). */
#define SIM_NEED(pointer)                                                  \
  do {                                                                     \
    if (!(pointer)) return sim_raise_null(&#pointer[sizeof "args->" - 1]); \
  } while (0)

PJRT_Error *sim_raise_null(const char *what);

/* ---- Errors -------------------------------------------------------------- */

struct PJRT_Error {
  pfl_error error;
};

/* NULL for OK. There is always an error to be had: without memory it is one
 * that says so. */
PJRT_Error *sim_answer(pfl_status status, const pfl_error *error);

__attribute__((format(printf, 2, 3))) PJRT_Error *sim_raise(pfl_status status,
                                                            const char *format,
                                                            ...);

/* ---- Events -------------------------------------------------------------- */

/* An event has two references to begin with: the caller's, and that of whoever
 * will end it. NULL if there is no memory. */
PJRT_Event *sim_event_create(void);
PJRT_Event *sim_event_keep(PJRT_Event *event);
void sim_event_release(PJRT_Event *event); /* NULL is allowed */

/* Ends it, once, and gives that reference back. `error` is read if the status
 * is not OK. */
void sim_event_end(PJRT_Event *event, pfl_status status,
                   const pfl_error *error);

/* ---- Topologies ---------------------------------------------------------- */

/* HBM of a chip that a program may use: what libtpu 0.0.52 says of v5e:2x2. */
#define SIM_HBM_BYTES INT64_C(16909334528)

struct PJRT_DeviceDescription {
  int id;
  int64_t coordinates[3];
  char name[64], text[128]; /* short and long */
  PJRT_NamedValue attributes[4];
};

/* Points into itself: it does not move. */
struct PJRT_TopologyDescription {
  const char *name; /* "v5e:2x2" */
  int device_count;
  PJRT_DeviceDescription descriptions[SIM_CHIPS_MAX];
  PJRT_DeviceDescription *list[SIM_CHIPS_MAX];
  int64_t wrap[3];
  PJRT_NamedValue attributes[2];
};

/* INVALID_ARGUMENT names what there is. */
PFL_NODISCARD pfl_status sim_topology_init(const char *name, size_t length,
                                           PJRT_TopologyDescription *topology,
                                           pfl_error *error);

/* Values for attributes. */
PJRT_NamedValue sim_named_integer(const char *name, int64_t value);
PJRT_NamedValue sim_named_integers(const char *name, const int64_t *values,
                                   size_t count);

extern const char sim_platform_name[];
extern const char sim_platform_version[];

/* ---- Settings ------------------------------------------------------------ */

/* Of a client: its options of these names, or the environment's variables
 * PFLASH_SIM_SEED and so on. */
typedef struct sim_settings {
  int64_t seed;       /* of the chips' hostility; 1 */
  int64_t hostile;    /* 1; 0: chips without malice */
  int64_t threads;    /* of the host; 0: one for each CPU */
  int64_t step_limit; /* ops that a chip may execute in a run; 0: 2^40 */
  char topology[16];  /* "v5e:2x2" or "v5e:1x1" */
  char trace[4096];   /* a file for what the chips do; empty: none */
} sim_settings;

/* What the options say, or else the environment, or else the defaults.
 * INVALID_ARGUMENT names an option or variable, what it was and what it must
 * be. */
PFL_NODISCARD pfl_status sim_settings_read(const PJRT_NamedValue *options,
                                           size_t count,
                                           sim_settings *out_settings,
                                           pfl_error *error);

/* ---- Traces -------------------------------------------------------------- */

/* A file in the Trace Event Format (Chrome, Perfetto). */
typedef struct sim_trace sim_trace;

PFL_NODISCARD pfl_status sim_trace_open(const char *path, int chips,
                                        sim_trace **out_trace,
                                        pfl_error *error);
/* A sim_trace_fn; `user` is the trace. */
void sim_trace_add(void *user, const sim_span *span);
/* Before each run: it follows those before. */
void sim_trace_begin(sim_trace *trace);
void sim_trace_close(sim_trace *trace); /* NULL is allowed */

/* ---- Clients ------------------------------------------------------------- */

struct PJRT_Memory {
  PJRT_Device *device;
  char text[64];
};

struct PJRT_Device {
  PJRT_Client *client;
  int number;
  PJRT_DeviceDescription *description;
  PJRT_Memory memory;
  PJRT_Memory *memory_list[1];
  /* bytes of HBM, tiles included; under the client's mutex */
  int64_t in_use, peak, largest, allocations;
};

/* Something for the worker. It frees itself. */
typedef struct sim_task sim_task;
struct sim_task {
  sim_task *next;
  void (*run)(sim_task *task);
};

struct PJRT_Client {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  pthread_t worker;
  int64_t references; /* the caller's, and all that is made of the client */
  bool ended;         /* nothing more is taken */
  sim_task *first, **last;
  sim_settings settings;
  PJRT_TopologyDescription topology;
  PJRT_Device devices[SIM_CHIPS_MAX];
  PJRT_Device *device_list[SIM_CHIPS_MAX];
  PJRT_Memory *memory_list[SIM_CHIPS_MAX];
  sim_slice *slice; /* the worker's */
  sim_trace *trace; /* likewise; NULL: none */
};

void sim_client_keep(PJRT_Client *client);
void sim_client_release(PJRT_Client *client);

static inline void sim_lock(PJRT_Client *client) {
  pthread_mutex_lock(&client->mutex);
}
static inline void sim_unlock(PJRT_Client *client) {
  pthread_mutex_unlock(&client->mutex);
}

/* FAILED_PRECONDITION: the client was destroyed; the task is still the
 * caller's. */
PFL_NODISCARD pfl_status sim_client_submit(PJRT_Client *client, sim_task *task,
                                           pfl_error *error);

/* ---- Storage ------------------------------------------------------------- */

/* An array in the memory of a device, dense. The bytes, and
 * whether it failed, are the worker's once a task has it. */
typedef struct sim_storage {
  PJRT_Device *device;
  int64_t references; /* under the client's mutex */
  void *bytes;        /* NULL as long as there are none */
  int64_t size;       /* bytes */
  int64_t padded;     /* bytes of HBM, 0 as long as there are none */
  pfl_error failure;  /* OK, or why there are no bytes: of the program that
                         should have made them */
} sim_storage;

/* Bytes of an array, and those that it takes of HBM. INVALID_ARGUMENT: more
 * than there can be. */
PFL_NODISCARD pfl_status sim_tensor_bytes(const xla_tensor *tensor,
                                          int64_t *out_size,
                                          int64_t *out_padded,
                                          pfl_error *error);

/* With one reference and no bytes; keeps the client. RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status sim_storage_create(PJRT_Device *device,
                                            sim_storage **out_storage,
                                            pfl_error *error);

/* Gives it bytes, undefined ones. RESOURCE_EXHAUSTED: the device's memory, or
 * the host's. */
PFL_NODISCARD pfl_status sim_storage_fill(sim_storage *storage,
                                          const xla_tensor *tensor,
                                          pfl_error *error);
sim_storage *sim_storage_keep(sim_storage *storage);
void sim_storage_release(sim_storage *storage); /* NULL is allowed */

/* Gives `to` the bytes of `from`, which has none then. */
void sim_storage_move(sim_storage *from, sim_storage *to);

/* ---- Buffers ------------------------------------------------------------- */

struct PJRT_Buffer {
  PJRT_Client *client;
  PJRT_Device *device;
  xla_tensor tensor;
  int64_t minor_to_major[XLA_RANK_MAX]; /* of the storage */
  PJRT_Event *ready;                    /* of whatever fills it */
  sim_storage *storage; /* NULL: deleted or donated; under the mutex */
};

/* Takes over `storage` and keeps `ready`. minor_to_major NULL is row-major.
 * RESOURCE_EXHAUSTED; then the storage is still the caller's. */
PFL_NODISCARD pfl_status sim_buffer_create(sim_storage *storage,
                                           const xla_tensor *tensor,
                                           const int64_t *minor_to_major,
                                           PJRT_Event *ready,
                                           PJRT_Buffer **out_buffer,
                                           pfl_error *error);

PJRT_Buffer_Type sim_buffer_type(pfl_dtype dtype);

/* ---- Executables --------------------------------------------------------- */

enum { SIM_COSTS = 4 };

/* A program made ready; it never changes. */
typedef struct sim_executable {
  atomic_int references;
  xla_document document;
  const xla_program *program; /* the document's */
  int value_count;
  sim_program **calls; /* [call_count] */
  int *last_use; /* [value_count]: the last call that reads a value, -1 for
                    none, call_count if it is an output */
  base_text serialized;
  char fingerprint[SHA256_HEX_SIZE];
  pjrt_compiled_memory memory;
  PJRT_NamedValue costs[SIM_COSTS];
  /* of the outputs */
  PJRT_Buffer_Type types[XLA_LIST_MAX];
  size_t ranks[XLA_LIST_MAX];
  int64_t sizes[XLA_LIST_MAX * XLA_RANK_MAX];
  const char *memory_kinds[XLA_LIST_MAX];
  size_t memory_kind_sizes[XLA_LIST_MAX];
} sim_executable;

/* Compiles StableHLO for at most `chips`; gives it with one reference. */
PFL_NODISCARD pfl_status sim_executable_compile(const void *text, size_t size,
                                                const void *options,
                                                size_t options_size, int chips,
                                                sim_executable **out_executable,
                                                pfl_error *error);
PFL_NODISCARD pfl_status
sim_executable_deserialize(const void *bytes, size_t size, int chips,
                           sim_executable **out_executable, pfl_error *error);
sim_executable *sim_executable_keep(sim_executable *executable);
void sim_executable_release(sim_executable *executable); /* NULL is allowed */

struct PJRT_Executable {
  sim_executable *made;
};

struct PJRT_LoadedExecutable {
  PJRT_Client *client;
  sim_executable *made; /* NULL: deleted; under the client's mutex */
  int device_count;
};

/* Its executable with a reference more; NULL if it is deleted. */
sim_executable *sim_loaded_keep(PJRT_LoadedExecutable *loaded);

extern const char sim_memory_kind[];

#endif
