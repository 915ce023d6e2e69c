/* A PJRT plugin for tests: see fake_plugin.h. */
#include <signal.h>
#include <unistd.h>

#include "fake_work.h"
#include "pjrt/plugin.h"

enum { TEXT = 64 };

#define EXPORT __attribute__((visibility("default")))

EXPORT fake_orders fake_plugin_orders;
EXPORT PJRT_GetApi GetPjrtApi;

/* ---- Errors -------------------------------------------------------------- */

static void call_Error_Destroy(PJRT_Error_Destroy_Args *args) {
  unmake(args->error);
}

static void call_Error_Message(PJRT_Error_Message_Args *args) {
  if (orders->odd_words) return;
  args->message = args->error->message;
  args->message_size = strlen(args->error->message);
}

static PJRT_Error *call_Error_GetCode(PJRT_Error_GetCode_Args *args) {
  if (orders->odd_words) return raise_error(13, "no code");
  args->code = args->error->code;
  return NULL;
}

/* ---- Orders -------------------------------------------------------------- */

/* How much a call gives of what it promises. */
static _Thread_local enum { WHOLE, HALF, EMPTY } gives;

static void die(void) {
  static const char words[] = "CHECK failed: as ordered\n";
  if (orders->floods)
    for (int i = 0; i < 1 << 19; i++)
      for (int end = 1; end <= 2; end++)
        if (write(end, words, sizeof words - 1) < 0) _exit(8);
  if (write(2, words, sizeof words - 1) < 0) _exit(8);
  if (orders->dies_of == -2) _exit(7);
  if (orders->dies_of == -1)
    for (;;) pause();
  if (orders->dies_of) {
    signal((int)orders->dies_of, SIG_DFL);
    raise((int)orders->dies_of);
  }
}

static bool strikes(long order, long call, const char *name) {
  if (order != call) return false;
  snprintf(orders->struck, sizeof orders->struck, "%s", name);
  return true;
}

/* What every function does first. */
static PJRT_Error *enter(const char *name, size_t size, size_t needed) {
  long call = atomic_fetch_add(&orders->calls, 1) + 1;
  if (!strcmp(orders->dies_in, name)) die();
  if (orders->larger_structs) needed += 8;
  if (size < needed)
    return raise_error(3, "Unexpected PJRT_%s_Args size: expected %zu, got %zu",
                       name, needed, size);
  if (strikes(orders->fail_at, call, name))
    return raise_error(9, "call %ld fails, as ordered", call);
  gives = strikes(orders->empty_at, call, name)  ? EMPTY
          : strikes(orders->half_at, call, name) ? HALF
                                                 : WHOLE;
  return NULL;
}

/* A function of the table. */
#define FAKE(name) static PJRT_Error *name(PJRT_##name##_Args *args)

/* ---- Events -------------------------------------------------------------- */

FAKE(Event_Destroy) {
  release_event(args->event);
  return NULL;
}

FAKE(Event_IsReady) {
  pthread_mutex_lock(&lock);
  args->is_ready = args->event->is_over;
  pthread_mutex_unlock(&lock);
  return NULL;
}

FAKE(Event_Await) {
  pthread_mutex_lock(&lock);
  while (!args->event->is_over) pthread_cond_wait(&changed, &lock);
  pthread_mutex_unlock(&lock);
  return outcome(args->event);
}

FAKE(Event_OnReady) {
  pthread_mutex_lock(&lock);
  bool at_once = args->event->is_over;
  args->event->callback = args->callback;
  args->event->user_arg = args->user_arg;
  pthread_mutex_unlock(&lock);
  if (at_once) args->callback(outcome(args->event), args->user_arg);
  return NULL;
}

/* ---- The plugin ---------------------------------------------------------- */

FAKE(Plugin_Initialize) {
  (void)args;
  return NULL;
}

static const int64_t places[FAKE_DEVICES][3] = {
    {0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {1, 1, 0}};
static PJRT_NamedValue values[FAKE_DEVICES][2];
static const size_t value_count = 2;

static void write_values(void) {
  for (int i = 0; i < FAKE_DEVICES; i++) {
    values[i][0] = PJRT_ARGS(NamedValue, .name = "flops", .name_size = 5,
                             .type = PJRT_NamedValue_kFloat, .float_value = 12,
                             .value_size = 1);
    values[i][1] = PJRT_ARGS(NamedValue, .name = "coords", .name_size = 6,
                             .type = PJRT_NamedValue_kInt64List,
                             .int64_array_value = places[i], .value_size = 3);
    if (orders->short_values) values[i][0].struct_size -= 8;
  }
}

FAKE(Plugin_Attributes) {
  args->num_attributes = value_count;
  if (gives == WHOLE) args->attributes = values[0];
  return NULL;
}

/* ---- Devices ------------------------------------------------------------- */

struct PJRT_DeviceDescription {
  int number;
};

struct PJRT_Device {
  PJRT_DeviceDescription description;
};

static PJRT_Device devices[FAKE_DEVICES] = {{{0}}, {{1}}, {{2}}, {{3}}};
static PJRT_Device *const device_list[] = {&devices[0], &devices[1],
                                           &devices[2], &devices[3]};
static PJRT_DeviceDescription *const description_list[] = {
    &devices[0].description, &devices[1].description, &devices[2].description,
    &devices[3].description};

FAKE(DeviceDescription_Id) {
  args->id = 10 + args->device_description->number;
  return NULL;
}

FAKE(DeviceDescription_Attributes) {
  args->num_attributes = value_count;
  if (gives == WHOLE)
    args->attributes = values[args->device_description->number];
  return NULL;
}

FAKE(DeviceDescription_Kind) {
  args->device_kind_size = 4;
  if (gives == WHOLE) args->device_kind = "fake";
  return NULL;
}

FAKE(Device_GetDescription) {
  if (gives == WHOLE) args->device_description = &args->device->description;
  return NULL;
}

FAKE(Device_MemoryStats) {
  args->bytes_in_use = 5;
  args->bytes_limit = FAKE_DEVICE_BYTES;
  args->bytes_limit_is_set = true;
  args->num_allocs = 77; /* and does not mean it */
  return NULL;
}

/* ---- Clients ------------------------------------------------------------- */

struct PJRT_Client {
  char name[TEXT];
  size_t devices;
};

FAKE(Client_Create) {
  if (gives == EMPTY) return NULL;
  PJRT_Client *client = args->client = make(sizeof *client);
  *client = (PJRT_Client){"fake", FAKE_DEVICES};
  for (size_t i = 0; i < args->num_options; i++) {
    const PJRT_NamedValue *option = &args->create_options[i];
    if (option->type == PJRT_NamedValue_kString)
      snprintf(client->name, sizeof client->name, "%.*s",
               (int)option->value_size, option->string_value);
    else
      client->devices = (size_t)option->int64_value;
  }
  return NULL;
}

FAKE(Client_Destroy) {
  pthread_mutex_lock(&lock);
  while (working) pthread_cond_wait(&changed, &lock);
  pthread_mutex_unlock(&lock);
  unmake(args->client);
  return NULL;
}

FAKE(Client_PlatformName) {
  args->platform_name_size = strlen(args->client->name);
  if (gives == WHOLE) args->platform_name = args->client->name;
  return NULL;
}

FAKE(Client_PlatformVersion) {
  args->platform_version_size = 3;
  if (gives == WHOLE) args->platform_version = "0.1 without its end";
  return NULL;
}

FAKE(Client_AddressableDevices) {
  args->num_addressable_devices = gives == EMPTY ? 0 : args->client->devices;
  if (gives == WHOLE) args->addressable_devices = device_list;
  return NULL;
}

/* ---- Buffers ------------------------------------------------------------- */

struct PJRT_Buffer {
  PJRT_Buffer_Type type;
  size_t rank;
  int64_t sizes[RANK];
  const PJRT_Device *device;
  array *array; /* NULL: taken by a program */
};

static int64_t element_bytes(PJRT_Buffer_Type type) {
  switch (type) {
    case PJRT_Buffer_Type_S8: return 1;
    case PJRT_Buffer_Type_F16:
    case PJRT_Buffer_Type_BF16: return 2;
    default: return 4;
  }
}

/* The copy of a whole buffer; row-major on the host, until told otherwise. */
static work describe_copy(const PJRT_Buffer *buffer, void *host, bool to_host) {
  work todo = {.array = buffer->array,
               .host = host,
               .to_host = to_host,
               .rank = (int)buffer->rank,
               .element = element_bytes(buffer->type)};
  int64_t stride = todo.element;
  for (int i = todo.rank; i-- > 0; stride *= buffer->sizes[i]) {
    todo.sizes[i] = buffer->sizes[i];
    todo.strides[i] = stride;
  }
  return todo;
}

static PJRT_Buffer *make_buffer(const PJRT_Buffer *like) {
  PJRT_Buffer *buffer = make(sizeof *buffer);
  int64_t bytes = element_bytes(like->type);
  *buffer = *like;
  for (size_t i = 0; i < like->rank; i++) bytes *= like->sizes[i];
  buffer->array = make_array(bytes);
  return buffer;
}

FAKE(Client_BufferFromHostBuffer) {
  PJRT_Buffer like = {
      .type = args->type, .rank = args->num_dims, .device = args->device};
  const PJRT_Buffer_MemoryLayout *layout = args->device_layout;
  if (layout && layout->type == PJRT_Buffer_MemoryLayout_Type_Strides)
    return raise_error(3, "no strides on a device");
  if (gives == EMPTY) return NULL;
  memcpy(like.sizes, args->dims, args->num_dims * sizeof *args->dims);
  PJRT_Buffer *buffer = args->buffer = make_buffer(&like);
  if (buffer->array->bytes > FAKE_DEVICE_BYTES) {
    release_array(buffer->array);
    unmake(buffer);
    return raise_error(8, "the device has no room for it");
  }
  work todo = describe_copy(buffer, (void *)args->data, false);
  if (args->num_byte_strides)
    memcpy(todo.strides, args->byte_strides,
           args->num_byte_strides * sizeof *args->byte_strides);
  if (gives == WHOLE) args->done_with_host_buffer = begin(&todo);
  return NULL;
}

FAKE(Buffer_ToHostBuffer) {
  const PJRT_Buffer_MemoryLayout *layout = args->host_layout;
  if (!args->src->array) return raise_error(3, "the buffer was donated");
  if (gives == EMPTY) return NULL;
  work todo = describe_copy(args->src, args->dst, true);
  if (layout->type == PJRT_Buffer_MemoryLayout_Type_Strides) {
    memcpy(todo.strides, layout->strides.byte_strides,
           layout->strides.num_byte_strides * sizeof *todo.strides);
  } else {
    int64_t stride = todo.element;
    if (layout->tiled.num_tiles) return raise_error(12, "no tiles on the host");
    for (int i = 0; i < todo.rank; i++) {
      int64_t dimension = layout->tiled.minor_to_major[i];
      todo.strides[dimension] = stride;
      stride *= todo.sizes[dimension];
    }
  }
  wait_until_written(args->src->array);
  args->event = begin(&todo);
  return NULL;
}

FAKE(Buffer_Destroy) {
  release_array(args->buffer->array);
  unmake(args->buffer);
  return NULL;
}

FAKE(Buffer_ElementType) {
  if (gives == WHOLE) args->type = args->buffer->type;
  return NULL;
}

FAKE(Buffer_Dimensions) {
  args->num_dims = args->buffer->rank;
  if (gives == WHOLE) args->dims = args->buffer->sizes;
  return NULL;
}

FAKE(Buffer_IsDeleted) {
  args->is_deleted = !args->buffer->array;
  return NULL;
}

/* ---- Programs ------------------------------------------------------------ */

struct PJRT_Executable {
  char text[TEXT];
  int devices, outputs, taken;
};

struct PJRT_LoadedExecutable {
  PJRT_Executable executable;
  PJRT_Device *devices[FAKE_DEVICES];
};

static PJRT_Error *read_program(const char *code, size_t size,
                                PJRT_Executable *out) {
  if (size >= sizeof out->text) return raise_error(3, "too long a program");
  memset(out, 0, sizeof *out);
  memcpy(out->text, code, size);
  if (sscanf(out->text, "fake %d devices %d outputs %d taken", &out->devices,
             &out->outputs, &out->taken) != 3 ||
      out->devices < 1 || out->devices > FAKE_DEVICES)
    return raise_error(3, "no program:\n  \"%s\"\n", out->text);
  return NULL;
}

static PJRT_Error *load_program(const char *code, size_t size,
                                PJRT_LoadedExecutable **out) {
  PJRT_Executable read;
  PJRT_Error *error = read_program(code, size, &read);
  if (error || gives == EMPTY) return error;
  PJRT_LoadedExecutable *loaded = *out = make(sizeof *loaded);
  loaded->executable = read;
  for (int i = 0; i < FAKE_DEVICES; i++)
    loaded->devices[i] = &devices[FAKE_DEVICES - 1 - i];
  return NULL;
}

FAKE(Executable_DeserializeAndLoad) {
  return load_program(args->serialized_executable,
                      args->serialized_executable_size,
                      &args->loaded_executable);
}

FAKE(Client_Compile) {
  return load_program(args->program->code, args->program->code_size,
                      &args->executable);
}

FAKE(LoadedExecutable_Destroy) {
  unmake(args->executable);
  return NULL;
}

FAKE(LoadedExecutable_GetExecutable) {
  if (gives == EMPTY) return NULL;
  args->executable = make(sizeof *args->executable);
  *args->executable = args->loaded_executable->executable;
  return NULL;
}

FAKE(LoadedExecutable_AddressableDevices) {
  args->num_addressable_devices =
      gives == EMPTY ? 0 : (size_t)args->executable->executable.devices;
  if (gives == WHOLE) args->addressable_devices = args->executable->devices;
  return NULL;
}

FAKE(Executable_Destroy) {
  unmake(args->executable);
  return NULL;
}

FAKE(Executable_NumOutputs) {
  args->num_outputs = (size_t)args->executable->outputs;
  return NULL;
}

FAKE(Executable_GetCostAnalysis) {
  args->num_properties = value_count;
  if (gives == WHOLE) args->properties = values[0];
  return NULL;
}

FAKE(Executable_GetCompiledMemoryStats) {
  args->temp_size_in_bytes = 33;
  args->total_size_in_bytes = 44;
  return NULL;
}

static void delete_bytes(PJRT_SerializedExecutable *bytes) { unmake(bytes); }

FAKE(Executable_Serialize) {
  if (gives == EMPTY) return NULL;
  char *bytes = make(TEXT);
  memcpy(bytes, args->executable->text, TEXT);
  if (gives == WHOLE) args->serialized_bytes = bytes;
  args->serialized_bytes_size = strlen(bytes);
  args->serialized_executable = (PJRT_SerializedExecutable *)bytes;
  args->serialized_executable_deleter = delete_bytes;
  return NULL;
}

/* ---- Running ------------------------------------------------------------- */

static bool is_kept(const PJRT_ExecuteOptions *options, size_t argument) {
  for (size_t i = 0; i < options->num_non_donatable_input_indices; i++)
    if (options->non_donatable_input_indices[i] == (int64_t)argument)
      return true;
  return false;
}

static PJRT_Error *check_arguments(
    const PJRT_LoadedExecutable_Execute_Args *args) {
  const PJRT_LoadedExecutable *program = args->executable;
  if (args->num_devices != (size_t)program->executable.devices ||
      args->num_args < (size_t)program->executable.outputs)
    return raise_error(3, "%zu devices and %zu arguments do not fit \"%s\"",
                       args->num_devices, args->num_args,
                       program->executable.text);
  for (size_t d = 0; d < args->num_devices; d++)
    for (size_t i = 0; i < args->num_args; i++) {
      const PJRT_Buffer *buffer = args->argument_lists[d][i];
      if (!buffer->array) return raise_error(3, "argument %zu was donated", i);
      if (buffer->device != program->devices[d])
        return raise_error(3, "argument %zu is not on device %zu", i, d);
    }
  return NULL;
}

FAKE(LoadedExecutable_Execute) {
  const PJRT_Executable *program = &args->executable->executable;
  PJRT_Error *error = check_arguments(args);
  if (error || gives == EMPTY) return error;
  size_t count = (size_t)program->devices;
  for (size_t d = 0; d < count; d++) {
    for (size_t i = 0; i < (size_t)program->outputs; i++) {
      const PJRT_Buffer *from = args->argument_lists[(d + i) % count][i];
      if (gives == HALF && (d || i)) continue;
      wait_until_written(from->array);
      PJRT_Buffer *made = args->output_lists[d][i] = make_buffer(from);
      made->device = args->executable->devices[d];
      memcpy(made->array->elements, from->array->elements,
             (size_t)from->array->bytes);
    }
    if (gives == WHOLE || !d)
      args->device_complete_events[d] = begin(&(work){0});
  }
  for (size_t d = 0; d < count; d++)
    for (size_t i = 0; i < (size_t)program->taken; i++)
      if (!is_kept(args->options, i)) {
        release_array(args->argument_lists[d][i]->array);
        args->argument_lists[d][i]->array = NULL;
      }
  return NULL;
}

/* ---- Ahead of time ------------------------------------------------------- */

static PJRT_TopologyDescription *const topology =
    (PJRT_TopologyDescription *)places; /* there is but one */

FAKE(TopologyDescription_Create) {
  if (args->topology_name_size < 4 || memcmp(args->topology_name, "fake", 4))
    return raise_error(3, "no topology %.*s", (int)args->topology_name_size,
                       args->topology_name);
  if (gives == EMPTY) return NULL;
  args->topology = topology;
  atomic_fetch_add(&orders->live, 1);
  return NULL;
}

FAKE(TopologyDescription_Destroy) {
  (void)args;
  atomic_fetch_sub(&orders->live, 1);
  return NULL;
}

FAKE(TopologyDescription_PlatformVersion) {
  args->platform_version_size = 3;
  if (gives == WHOLE) args->platform_version = "0.1";
  return NULL;
}

FAKE(TopologyDescription_GetDeviceDescriptions) {
  args->num_descriptions = FAKE_DEVICES;
  if (gives == WHOLE) args->descriptions = description_list;
  return NULL;
}

FAKE(Compile) {
  PJRT_Executable read;
  PJRT_Error *error =
      read_program(args->program->code, args->program->code_size, &read);
  if (error || gives == EMPTY) return error;
  args->executable = make(sizeof read);
  *args->executable = read;
  return NULL;
}

/* ---- The table ----------------------------------------------------------- */

#define CALLS(X)                               \
  X(Plugin_Initialize)                         \
  X(Plugin_Attributes)                         \
  X(Event_IsReady)                             \
  X(Event_OnReady)                             \
  X(DeviceDescription_Id)                      \
  X(DeviceDescription_Attributes)              \
  X(DeviceDescription_Kind)                    \
  X(Device_GetDescription)                     \
  X(Device_MemoryStats)                        \
  X(Client_Create)                             \
  X(Client_PlatformName)                       \
  X(Client_PlatformVersion)                    \
  X(Client_AddressableDevices)                 \
  X(Client_BufferFromHostBuffer)               \
  X(Client_Compile)                            \
  X(Buffer_ToHostBuffer)                       \
  X(Buffer_ElementType)                        \
  X(Buffer_Dimensions)                         \
  X(Buffer_IsDeleted)                          \
  X(Executable_DeserializeAndLoad)             \
  X(Executable_NumOutputs)                     \
  X(Executable_GetCostAnalysis)                \
  X(Executable_GetCompiledMemoryStats)         \
  X(Executable_Serialize)                      \
  X(LoadedExecutable_GetExecutable)            \
  X(LoadedExecutable_AddressableDevices)       \
  X(LoadedExecutable_Execute)                  \
  X(TopologyDescription_Create)                \
  X(TopologyDescription_PlatformVersion)       \
  X(TopologyDescription_GetDeviceDescriptions) \
  X(Compile)

/* These do what they are to do also when they are to fail: no caller could go
 * on from less. */
#define ENDS(X)               \
  X(Event_Await)              \
  X(Event_Destroy)            \
  X(Client_Destroy)           \
  X(Buffer_Destroy)           \
  X(Executable_Destroy)       \
  X(LoadedExecutable_Destroy) \
  X(TopologyDescription_Destroy)

#define WRAP_CALL(name)                                                  \
  static PJRT_Error *call_##name(PJRT_##name##_Args *args) {             \
    PJRT_Error *error =                                                  \
        enter(#name, args->struct_size, PJRT_##name##_Args_STRUCT_SIZE); \
    return error ? error : name(args);                                   \
  }
#define WRAP_END(name)                                                   \
  static PJRT_Error *call_##name(PJRT_##name##_Args *args) {             \
    PJRT_Error *error =                                                  \
        enter(#name, args->struct_size, PJRT_##name##_Args_STRUCT_SIZE); \
    PJRT_Error *own = name(args);                                        \
    if (error) unmake(own);                                              \
    return error ? error : own;                                          \
  }
CALLS(WRAP_CALL)
ENDS(WRAP_END)

static PJRT_Api table;

static void write_table(void) {
  table = (PJRT_Api){.struct_size = sizeof table};
  if (orders->table_bytes) table.struct_size = (size_t)orders->table_bytes;
  table.pjrt_api_version = PJRT_ARGS(
      Api_Version, .major_version = (int)orders->major,
      .minor_version = orders->minor ? (int)orders->minor : PJRT_ABI_MINOR);
#define FILL(name) \
  if (strcmp(orders->missing, #name)) table.PJRT_##name = call_##name;
  FILL(Error_Destroy)
  FILL(Error_Message)
  FILL(Error_GetCode)
  CALLS(FILL)
  ENDS(FILL)
}

static void read_orders(const char *text) {
  char name[TEXT], value[TEXT];
  int used;
  for (; sscanf(text, " %63[a-z_]=%63s%n", name, value, &used) == 2;
       text += used) {
#define READ(order) \
  if (!strcmp(name, #order)) orders->order = strtol(value, NULL, 10);
    FAKE_ORDER_LIST(READ)
    if (!strcmp(name, "missing")) strcpy(orders->missing, value);
    if (!strcmp(name, "dies_in")) strcpy(orders->dies_in, value);
  }
}

const PJRT_Api *GetPjrtApi(void) {
  const char *text = getenv("FAKE_PLUGIN");
  if (text) read_orders(text);
  write_table();
  write_values();
  return orders->no_table ? NULL : &table;
}
