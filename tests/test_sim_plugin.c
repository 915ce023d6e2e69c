/* libpflash_sim.so as a client sees it: devices, memory, buffers, events,
 * lifetimes, threads, traces. test_sim_programs.c has its programs. */
#include <pthread.h>
#include <unistd.h>

#include "base/json.h"
#include "base/memory.h"
#include "directory.h"
#include "plugin_client.h"

/* ---- Devices ------------------------------------------------------------- */

static void test_devices(void) {
  open_client();
  CHECK(client.device_count == 4 &&
            !strcmp(base_text_get(&client.platform), "sim"),
        "%lld devices of %s", (long long)client.device_count,
        base_text_get(&client.platform));
  for (int i = 0; i < 4; i++) {
    const pjrt_device_info *info = &client.devices[i].info;
    CHECK(info->id == i && !strcmp(info->kind, "TPU v5 lite (simulated)") &&
              info->coordinate_count == 3 && info->coordinates[0] == i % 2 &&
              info->coordinates[1] == i / 2 && !info->coordinates[2] &&
              !info->core,
          "device %d is %s", i, info->kind);
    pjrt_device_memory memory;
    CHECK(!pjrt_device_memory_get(&client, i, &memory, &error) &&
              memory.bytes_limit == 16909334528 && !memory.num_allocs &&
              memory.pool_bytes == -1,
          "%s", error.message);
  }
  close_client();
}

static void test_topologies(void) {
  static const struct {
    const char *name;
    int64_t devices;
  } cases[] = {{"v5e:2x2", 4}, {"v5e:1x1", 1}, {"v5e:2x4", 0}, {"v4", 0},
               {"", 0},        {"v5e:2x", 0},  {"v5e:2x22", 0}};
  pjrt_plugin plugin;
  plugin_case_load(&plugin);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    PJRT_TopologyDescription *topology = NULL;
    pjrt_device_info infos[4];
    int64_t count = 0;
    pfl_status status =
        pjrt_topology_create(&plugin, cases[i].name, &topology, &error);
    if (!status)
      status =
          pjrt_topology_devices(&plugin, topology, infos, 4, &count, &error);
    CHECK(count == cases[i].devices &&
              status == (count ? PFL_STATUS_OK : PFL_STATUS_INVALID_ARGUMENT),
          "%s: %lld devices", cases[i].name, (long long)count);
    pjrt_topology_destroy(&plugin, topology);
    PJRT_NamedValue option = pjrt_option_text("topology", cases[i].name);
    status = plugin_case_client(&option, 1, &client, &error);
    CHECK(client.device_count == cases[i].devices &&
              status == (count ? PFL_STATUS_OK : PFL_STATUS_INVALID_ARGUMENT),
          "a client of %s: %s", cases[i].name, error.message);
    pjrt_client_destroy(&client);
  }
}

static void test_options(void) {
  static char long_path[5000];
  memset(long_path, 'x', sizeof long_path - 1);
  const struct {
    PJRT_NamedValue option;
    const char *words;
  } cases[] = {
      {pjrt_option_integer("speed", 1), "no option \"speed\""},
      {pjrt_option_text("seed", "1"), "option seed must be an integer"},
      {pjrt_option_integer("trace", 1), "option trace must be a string"},
      {pjrt_option_integer("seed", -1), "option seed is -1: must be 0 to"},
      {pjrt_option_integer("hostile", 2),
       "option hostile is 2: must be 0 to 1"},
      {pjrt_option_integer("threads", 1025), "must be 0 to 1024"},
      {pjrt_option_text("trace", long_path), "must be shorter"},
      {pjrt_option_text("trace", "/nowhere/at/all"), "cannot be written"},
      {pjrt_option_text("topology", "v5e:2x2x1x1x1x1x1"), "must be shorter"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    CHECK(plugin_case_client(&cases[i].option, 1, &client, &error) &&
              strstr(error.message, cases[i].words),
          "case %zu: %s", i, error.message);
  PJRT_NamedValue large = pjrt_option_integer("seed", 1);
  large.struct_size += 8;
  CHECK(plugin_case_client(&large, 1, &client, &error) ==
            PFL_STATUS_INVALID_ARGUMENT,
        "a newer option");
  static const char *const bad[][2] = {{"PFLASH_SIM_SEED", "12x"},
                                       {"PFLASH_SIM_HOSTILE", ""},
                                       {"PFLASH_SIM_THREADS", "-1"},
                                       {"PFLASH_SIM_TOPOLOGY", "v9"}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    setenv(bad[i][0], bad[i][1], 1);
    CHECK(plugin_case_client(NULL, 0, &client, &error) ==
              PFL_STATUS_INVALID_ARGUMENT,
          "%s=%s", bad[i][0], bad[i][1]);
    unsetenv(bad[i][0]);
  }
  setenv("PFLASH_SIM_TOPOLOGY", "v5e:1x1", 1);
  CHECK(
      !plugin_case_client(NULL, 0, &client, &error) && client.device_count == 1,
      "%s", error.message);
  pjrt_client_destroy(&client);
  unsetenv("PFLASH_SIM_TOPOLOGY");
}

/* ---- Buffers ------------------------------------------------------------- */

/* Random strides that put every element of the shape somewhere of its own: a
 * random order of dimensions, with gaps. Returns the bytes they need. */
static int64_t random_strides(const pjrt_shape *shape, int64_t *out_strides,
                              int64_t *out_order) {
  int64_t step = (int64_t)pfl_dtype_size(shape->dtype);
  for (int i = 0; i < shape->rank; i++) out_order[i] = i;
  for (int i = shape->rank; i-- > 1;) {
    int64_t k = check_between(0, i), kept = out_order[i];
    out_order[i] = out_order[k];
    out_order[k] = kept;
  }
  for (int i = 0; i < shape->rank; i++) {
    if (!(check_random() % 3))
      step += check_between(0, 3) * (int64_t)pfl_dtype_size(shape->dtype);
    out_strides[out_order[i]] = step;
    step *= shape->sizes[out_order[i]] ? shape->sizes[out_order[i]] : 1;
  }
  return step;
}

/* The element number i of the shape, in row-major order, by strides. */
static size_t offset_of(const pjrt_shape *shape, const int64_t *strides,
                        int64_t i) {
  int64_t offset = 0;
  for (int d = shape->rank; d-- > 0; i /= shape->sizes[d])
    offset += i % shape->sizes[d] * strides[d];
  return (size_t)offset;
}

/* In by random strides, out by others, on a device of a random order. */
static void check_copy(const pjrt_shape *shape) {
  int64_t from[PJRT_RANK_MAX], to[PJRT_RANK_MAX], order[PJRT_RANK_MAX];
  int64_t device_order[PJRT_RANK_MAX], items = 1, ignored[PJRT_RANK_MAX];
  int64_t in_bytes = random_strides(shape, from, order);
  int64_t out_bytes = random_strides(shape, to, order);
  size_t item = pfl_dtype_size(shape->dtype);
  random_strides(shape, ignored, device_order);
  for (int i = 0; i < shape->rank; i++) items *= shape->sizes[i];
  uint8_t *in = malloc((size_t)in_bytes), *out = malloc((size_t)out_bytes);
  CHECK_NEED(in && out);
  for (int64_t i = 0; i < in_bytes; i++) in[i] = (uint8_t)check_random();
  memset(out, 0, (size_t)out_bytes);
  pjrt_layout device_layout = {.order = PJRT_ORDER_TILED,
                               .minor_to_major = device_order};
  pjrt_layout layout = {.order = PJRT_ORDER_STRIDES, .byte_strides = to};
  PJRT_Buffer *buffer = NULL;
  pfl_status status =
      pjrt_buffer_upload(&client,
                         &(pjrt_upload){.device = 1,
                                        .shape = *shape,
                                        .data = in,
                                        .byte_strides = from,
                                        .device_layout = &device_layout},
                         NULL, &buffer, &error);
  CHECK(!status, "%s", error.message);
  if (!status)
    status = pjrt_buffer_download(
        &client, buffer, &(pjrt_download){out, (size_t)out_bytes, &layout},
        NULL, &error);
  CHECK(!status, "%s", error.message);
  for (int64_t i = 0; !status && i < items; i++)
    CHECK(!memcmp(in + offset_of(shape, from, i), out + offset_of(shape, to, i),
                  item),
          "element %lld", (long long)i);
  pjrt_buffer_destroy(&client, buffer);
  free(in);
  free(out);
}

static void test_copies(void) {
  open_client();
  for (int i = check_cases(300); i--;) {
    pjrt_shape shape = {(pfl_dtype)check_between(1, PFL_DTYPE_I32),
                        (int)check_between(0, 5),
                        {0}};
    for (int d = 0; d < shape.rank; d++)
      shape.sizes[d] = check_between(check_random() % 8 ? 1 : 0, 5);
    check_copy(&shape);
  }
  close_client();
}

/* Bytes of HBM, as libtpu 0.0.52 counts the arguments of a program for a v5e
 * that has these arrays row-major. */
static void test_padding(void) {
  static const struct {
    xla_tensor tensor;
    int64_t bytes;
  } cases[] = {{{PFL_DTYPE_I32, 0, {0}}, 512},
               {{PFL_DTYPE_F32, 1, {1}}, 512},
               {{PFL_DTYPE_F32, 1, {100}}, 512},
               {{PFL_DTYPE_F32, 1, {200}}, 1024},
               {{PFL_DTYPE_F32, 1, {600}}, 4096},
               {{PFL_DTYPE_F32, 1, {1025}}, 8192},
               {{PFL_DTYPE_F32, 1, {5000}}, 20480},
               {{PFL_DTYPE_BF16, 1, {600}}, 2048},
               {{PFL_DTYPE_BF16, 1, {3000}}, 6144},
               {{PFL_DTYPE_I8, 1, {5000}}, 5120},
               {{PFL_DTYPE_F32, 2, {1, 1}}, 512},
               {{PFL_DTYPE_F32, 2, {3, 5}}, 2048},
               {{PFL_DTYPE_F32, 2, {9, 129}}, 16384},
               {{PFL_DTYPE_BF16, 2, {3, 5}}, 1024},
               {{PFL_DTYPE_BF16, 2, {17, 129}}, 12288},
               {{PFL_DTYPE_I8, 2, {3, 100}}, 512},
               {{PFL_DTYPE_I8, 2, {33, 129}}, 10240},
               {{PFL_DTYPE_F32, 3, {7, 1, 64}}, 3584},
               {{PFL_DTYPE_F32, 3, {7, 2, 64}}, 7168},
               {{PFL_DTYPE_BF16, 3, {7, 4, 64}}, 7168},
               {{PFL_DTYPE_F32, 2, {0, 5}}, 0}};
  static const char data[5000 * 4];
  open_client();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    PJRT_Buffer *buffer = upload(2, &cases[i].tensor, data);
    CHECK(bytes_in_use(2) == cases[i].bytes && !bytes_in_use(0),
          "case %zu: %lld", i, (long long)bytes_in_use(2));
    pjrt_buffer_destroy(&client, buffer);
  }
  close_client();
}

/* HBM is full before the host's memory is touched. */
static void test_limit(void) {
  static const float data[PLUGIN_CASE_ITEMS];
  open_client();
  PJRT_Buffer *small = upload(0, &plugin_case_tile, data), *large = NULL;
  pjrt_upload asked = {.shape = {PFL_DTYPE_I8, 2, {1 << 20, 16128}},
                       .data = data};
  CHECK(pjrt_buffer_upload(&client, &asked, NULL, &large, &error) ==
                PFL_STATUS_RESOURCE_EXHAUSTED &&
            strstr(error.message,
                   "device 0 is full: 16911433728 bytes are "
                   "asked for, 131072 of 16909334528"),
        "%s", error.message);
  CHECK(bytes_in_use(0) == 131072, "%lld", (long long)bytes_in_use(0));
  pjrt_buffer_destroy(&client, small);
  pjrt_device_memory memory;
  CHECK(!pjrt_device_memory_get(&client, 0, &memory, &error) &&
            memory.peak_bytes_in_use == 131072 && memory.num_allocs == 1 &&
            memory.largest_alloc_size == 131072,
        "peak %lld", (long long)memory.peak_bytes_in_use);
  close_client();
}

/* ---- Events, lifetimes, threads ------------------------------------------ */

/* Everything is asked for at once, and given back before it is done. */
static void test_late(void) {
  const int output = 2;
  const xla_call call = make_call(&adder, pair);
  xla_program program = make_program(4, &call, 1, &output, 1);
  static float data[PLUGIN_CASE_ITEMS], back[4][PLUGIN_CASE_ITEMS];
  pjrt_program loaded;
  open_client();
  compile(&program, &loaded);
  for (int i = 0; i < PLUGIN_CASE_ITEMS; i++) data[i] = (float)i;
  PJRT_Event *events[4 * 2 + 4 + 4];
  PJRT_Buffer *in[8], *out[4];
  int count = 0;
  for (int i = 0; i < 8; i++) {
    pjrt_upload asked = {
        .device = i / 2, .shape = {PFL_DTYPE_F32, 2, {256, 128}}, .data = data};
    CHECK_NEED(
        !pjrt_buffer_upload(&client, &asked, &events[count++], &in[i], &error));
  }
  pjrt_run run = {.arguments = in, .argument_count = 2};
  CHECK_NEED(
      !pjrt_program_run(&client, &loaded, &run, &events[count], out, &error));
  count += 4;
  pjrt_buffers_destroy(&client, in, 8);
  pjrt_program_unload(&client, &loaded);
  for (int i = 0; i < 4; i++) {
    pjrt_download whole = {back[i], sizeof back[i], NULL};
    CHECK_NEED(!pjrt_buffer_download(&client, out[i], &whole, &events[count++],
                                     &error));
  }
  pjrt_buffers_destroy(&client, out, 4);
  CHECK(!pjrt_events_await(&client, events, count, &error), "%s",
        error.message);
  for (int i = 0; i < 4; i++)
    for (int k = 0; k < PLUGIN_CASE_ITEMS; k += 1001)
      CHECK(back[i][k] == 2 * data[k], "chip %d, [%d] is %g", i, k,
            (double)back[i][k]);
  close_client();
}

typedef struct heard {
  pthread_mutex_t mutex;
  pthread_cond_t told;
  int times;
} heard;

static void hear(void *user, const pfl_error *outcome) {
  heard *told = user;
  pthread_mutex_lock(&told->mutex);
  told->times += outcome->status ? 100 : 1;
  pthread_cond_signal(&told->told);
  pthread_mutex_unlock(&told->mutex);
}

static void test_events(void) {
  static const float data[PLUGIN_CASE_ITEMS];
  heard told = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
  open_client();
  for (int i = 0; i < check_cases(200); i++) {
    PJRT_Buffer *buffer;
    PJRT_Event *done;
    pjrt_upload asked = {.shape = {PFL_DTYPE_F32, 2, {256, 128}}, .data = data};
    CHECK_NEED(!pjrt_buffer_upload(&client, &asked, &done, &buffer, &error));
    for (int k = 0; k < 3; k++)
      CHECK(!pjrt_event_on_ready(&client, done, hear, &told, &error), "%s",
            error.message);
    bool ready = false;
    while (i % 2 && !ready)
      CHECK_NEED(!pjrt_event_is_ready(&client, done, &ready, &error));
    pjrt_event_destroy(&client, done);
    pthread_mutex_lock(&told.mutex);
    while (told.times < 3) pthread_cond_wait(&told.told, &told.mutex);
    CHECK(told.times == 3, "told %d times", told.times);
    told.times = 0;
    pthread_mutex_unlock(&told.mutex);
    pjrt_buffer_destroy(&client, buffer);
  }
  close_client();
}

/* What outlives its client is given back later, and does nothing more. */
static void test_orphans(void) {
  const int output = 2;
  const xla_call call = make_call(&adder, pair);
  xla_program program = make_program(1, &call, 1, &output, 1);
  static float data[PLUGIN_CASE_ITEMS];
  pjrt_program loaded;
  open_client();
  compile(&program, &loaded);
  PJRT_Buffer *buffer = upload_number(0, 1);
  const PJRT_Api *api = client.plugin.api;
  PJRT_Client_Destroy_Args destroy =
      PJRT_ARGS(Client_Destroy_Args, .client = client.handle);
  CHECK_NEED(!api->PJRT_Client_Destroy(&destroy));
  CHECK(download(buffer, data, sizeof data) == PFL_STATUS_FAILED_PRECONDITION &&
            strstr(error.message, "the client was destroyed"),
        "%s", error.message);
  PJRT_Buffer *in[] = {buffer, buffer}, *out[1];
  pjrt_run run = {.arguments = in, .argument_count = 2};
  CHECK(pjrt_program_run(&client, &loaded, &run, NULL, out, &error) ==
            PFL_STATUS_FAILED_PRECONDITION,
        "%s", error.message);
  pjrt_program_unload(&client, &loaded);
  pjrt_buffer_destroy(&client, buffer);
  /* the rest of the client is ours */
  base_text_release(&client.platform);
  base_text_release(&client.version);
  base_release(&plugin_case_heap, client.devices);
}

enum { THREADS = 4 };
static pjrt_program shared;

static void *use_client(void *argument) {
  int *number = argument, wrong = 0;
  static const int rounds = 12;
  float *data = malloc(2 * PLUGIN_CASE_ITEMS * sizeof *data);
  for (int round = 0; data && round < rounds; round++) {
    PJRT_Buffer *in[2] = {NULL}, *out = NULL;
    pfl_error why;
    for (int i = 0; i < PLUGIN_CASE_ITEMS; i++)
      data[i] = (float)(*number * 1000 + round + i % 7);
    pjrt_upload asked = {.shape = {PFL_DTYPE_F32, 2, {256, 128}}, .data = data};
    for (int i = 0; i < 2; i++)
      wrong += pjrt_buffer_upload(&client, &asked, NULL, &in[i], &why) != 0;
    pjrt_run run = {.arguments = in, .argument_count = 2};
    wrong += pjrt_program_run(&client, &shared, &run, NULL, &out, &why) != 0;
    float *back = data + PLUGIN_CASE_ITEMS;
    pjrt_download whole = {back, PLUGIN_CASE_ITEMS * sizeof *back, NULL};
    wrong += pjrt_buffer_download(&client, out, &whole, NULL, &why) != 0;
    for (int i = 0; i < PLUGIN_CASE_ITEMS; i++) wrong += back[i] != 2 * data[i];
    pjrt_buffers_destroy(&client, in, 2);
    pjrt_buffer_destroy(&client, out);
  }
  *number = data ? wrong : -1;
  free(data);
  return NULL;
}

static void test_threads(void) {
  const int output = 2;
  const xla_call call = make_call(&adder, pair);
  xla_program program = make_program(1, &call, 1, &output, 1);
  pthread_t threads[THREADS];
  int values[THREADS];
  open_client();
  compile(&program, &shared);
  for (int i = 0; i < THREADS; i++) {
    values[i] = i + 1;
    CHECK_NEED(!pthread_create(&threads[i], NULL, use_client, &values[i]));
  }
  for (int i = 0; i < THREADS; i++) {
    CHECK_NEED(!pthread_join(threads[i], NULL));
    CHECK(!values[i], "thread %d: %d things were wrong", i, values[i]);
  }
  pjrt_program_unload(&client, &shared);
  close_client();
}

/* ---- Traces -------------------------------------------------------------- */

/* Two runs on four chips: JSON with every chip in it. */
static void test_trace(void) {
  const int output = 2;
  const xla_call call = make_call(&adder, pair);
  xla_program program = make_program(4, &call, 1, &output, 1);
  const char *path = in_directory("trace.json");
  PJRT_NamedValue option = pjrt_option_text("trace", path);
  pjrt_program loaded;
  CHECK_NEED(!plugin_case_client(&option, 1, &client, &error));
  compile(&program, &loaded);
  PJRT_Buffer *in[8], *out[4];
  for (int i = 0; i < 8; i++) in[i] = upload_number(i / 2, 1);
  pjrt_run run = {.arguments = in, .argument_count = 2};
  for (int i = 0; i < 2; i++) {
    CHECK_NEED(!pjrt_program_run(&client, &loaded, &run, NULL, out, &error));
    pjrt_buffers_destroy(&client, out, 4);
  }
  pjrt_buffers_destroy(&client, in, 8);
  pjrt_program_unload(&client, &loaded);
  close_client();
  json_document document;
  size_t size;
  char *text = get_file(path, &size);
  pfl_status status =
      json_parse(text, size, &plugin_case_heap, &document, &error);
  CHECK(!status, "%s: %s", error.message, text);
  int spans[4] = {0};
  for (const json_value *item = status ? NULL : json_first(document.root); item;
       item = item->next) {
    const char *phase = json_string(json_object_get(item, "ph"));
    int64_t chip = -1;
    double duration = -1;
    json_int64(json_object_get(item, "pid"), &chip);
    CHECK_NEED(phase && chip >= 0 && chip < 4);
    if (strcmp(phase, "X")) continue;
    spans[chip]++;
    CHECK(json_double(json_object_get(item, "dur"), &duration) &&
              duration >= 0 && json_string(json_object_get(item, "name")),
          "a span lasts %g", duration);
  }
  for (int i = 0; i < 4; i++) CHECK(spans[i] >= 2, "chip %d: %d", i, spans[i]);
  json_release(&document);
  free(text);
  unlink(path);
}

int main(void) {
  directory_make();
  plugin_case_kernel(build_vector_add, &adder);
  int failed = CHECK_RUN(test_devices, test_topologies, test_options,
                         test_copies, test_padding, test_limit, test_late,
                         test_events, test_orphans, test_threads, test_trace);
  base_text_release(&adder);
  directory_remove();
  return failed;
}
