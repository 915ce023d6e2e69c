/* Programs on devices: the client API, over a plugin that does as it is told.
 */
#include <pthread.h>
#include <unistd.h>

#include "fake_case.h"

static pjrt_client client; /* of most tests */
static pfl_error error;

static void open_client(void) {
  fake_reset();
  CHECK_NEED(!fake_client(&heap, &client, &error));
}

static void close_client(void) {
  pjrt_client_destroy(&client);
  fake_reset();
}

/* ---- Clients ------------------------------------------------------------- */

static void test_client(void) {
  fake_reset();
  pjrt_plugin plugin;
  CHECK_NEED(!pjrt_plugin_load(fake_path, &plugin, &error));
  PJRT_NamedValue options[] = {pjrt_option_text("name", "fake slice"),
                               pjrt_option_integer("devices", 3)};
  CHECK_NEED(!pjrt_client_create(&plugin, options, 2, &heap, &client, &error));
  CHECK(!strcmp(base_text_get(&client.platform), "fake slice") &&
            !strcmp(base_text_get(&client.version), "0.1"),
        "%s, %s", base_text_get(&client.platform),
        base_text_get(&client.version));
  CHECK(client.device_count == 3, "%lld", (long long)client.device_count);
  for (int i = 0; i < 3; i++) {
    const pjrt_device_info *info = &client.devices[i].info;
    CHECK(info->id == 10 + i && !strcmp(info->kind, "fake") &&
              info->coordinate_count == 3 && info->coordinates[0] == i % 2 &&
              info->coordinates[1] == i / 2 && info->coordinates[2] == 0,
          "device %d is %s %d", i, info->kind, info->id);
  }
  pjrt_device_memory memory;
  CHECK(!pjrt_device_memory_get(&client, 2, &memory, &error) &&
            memory.bytes_in_use == 5 &&
            memory.bytes_limit == FAKE_DEVICE_BYTES && memory.num_allocs == -1,
        "%lld of %lld bytes", (long long)memory.bytes_in_use,
        (long long)memory.bytes_limit);
  CHECK(pjrt_device_memory_get(&client, 3, &memory, &error) ==
                PFL_STATUS_INVALID_ARGUMENT &&
            strstr(error.message, "device is 3, must be 0 .. 2"),
        "%s", error.message);
  close_client();
  options[1] = pjrt_option_integer("devices", 0);
  CHECK(pjrt_client_create(&plugin, options, 2, &heap, &client, &error) ==
                PFL_STATUS_FAILED_PRECONDITION &&
            !client.handle,
        "%s", error.message);
  pjrt_client_destroy(&client); /* a zero client has nothing */
  fake_reset();
}

/* ---- Buffers ------------------------------------------------------------- */

static const pfl_dtype dtypes[] = {PFL_DTYPE_F32, PFL_DTYPE_BF16, PFL_DTYPE_F16,
                                   PFL_DTYPE_I8, PFL_DTYPE_I32};

enum { ARRAY_MOST = 3 * 5 * 7 * 4 };

/* An array of bytes that are all different enough. */
static void fill(uint8_t *bytes, int64_t count) {
  for (int64_t i = 0; i < count; i++) bytes[i] = (uint8_t)check_random();
}

/* Whether `a`, by strides, holds what `b` does. */
static bool is_same(const pjrt_shape *shape, const uint8_t *a,
                    const int64_t *a_strides, const uint8_t *b,
                    const int64_t *b_strides) {
  size_t element = pfl_dtype_size(shape->dtype);
  for (int64_t i = 0; i < shape->sizes[0]; i++)
    for (int64_t j = 0; j < shape->sizes[1]; j++)
      for (int64_t k = 0; k < shape->sizes[2]; k++)
        if (memcmp(a + i * a_strides[0] + j * a_strides[1] + k * a_strides[2],
                   b + i * b_strides[0] + j * b_strides[1] + k * b_strides[2],
                   element))
          return false;
  return true;
}

static PJRT_Buffer *upload(const pjrt_upload *asked) {
  PJRT_Buffer *buffer = NULL;
  CHECK_NEED(!pjrt_buffer_upload(&client, asked, NULL, &buffer, &error));
  return buffer;
}

static pfl_status download(PJRT_Buffer *buffer, void *data, size_t size,
                           const pjrt_layout *layout) {
  pjrt_download asked = {data, size, layout};
  return pjrt_buffer_download(&client, buffer, &asked, NULL, &error);
}

/* The orders of three dimensions: in from every one, out to every one. */
static void check_orders(const pjrt_shape *shape, const int64_t *from,
                         const int64_t *to) {
  static uint8_t in[ARRAY_MOST], out[ARRAY_MOST];
  int64_t bytes, in_strides[3], out_strides[3];
  CHECK_NEED(!pjrt_shape_bytes(shape, &bytes, &error));
  int64_t in_step = (int64_t)pfl_dtype_size(shape->dtype), out_step = in_step;
  for (int i = 0; i < 3; i++) {
    in_strides[from[i]] = in_step;
    out_strides[to[i]] = out_step;
    in_step *= shape->sizes[from[i]];
    out_step *= shape->sizes[to[i]];
  }
  fill(in, bytes);
  pjrt_layout order = {.order = PJRT_ORDER_TILED, .minor_to_major = to};
  pjrt_layout strides = {.order = PJRT_ORDER_STRIDES,
                         .byte_strides = out_strides};
  PJRT_Buffer *buffer = upload(&(pjrt_upload){.shape = *shape,
                                              .data = in,
                                              .byte_strides = in_strides,
                                              .device_layout = &order});
  pjrt_shape got;
  CHECK(!pjrt_buffer_shape(&client, buffer, &got, &error) &&
            got.dtype == shape->dtype && got.rank == 3 &&
            !memcmp(got.sizes, shape->sizes, 3 * sizeof *got.sizes),
        "%s", error.message);
  const pjrt_layout *layouts[] = {&order, &strides};
  for (int i = 0; i < 2; i++) {
    memset(out, 0, sizeof out);
    CHECK(!download(buffer, out, (size_t)bytes, layouts[i]) &&
              is_same(shape, in, in_strides, out, out_strides),
          "layout %d: %s", i, error.message);
    CHECK(download(buffer, out, (size_t)bytes - 1, layouts[i]) ==
              PFL_STATUS_INVALID_ARGUMENT,
          "too little room");
  }
  pjrt_buffer_destroy(&client, buffer);
}

static void test_orders(void) {
  static const int64_t orders_of_three[6][3] = {
      {0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  open_client();
  for (int i = 0; i < 6 * 6; i++) {
    pjrt_shape shape = {dtypes[i % 5], 3, {3, 5, 7}};
    check_orders(&shape, orders_of_three[i / 6], orders_of_three[i % 6]);
  }
  close_client();
}

static void test_row_major(void) {
  static const pjrt_shape shapes[] = {
      {PFL_DTYPE_F32, 0, {0}},
      {PFL_DTYPE_BF16, 1, {5}},
      {PFL_DTYPE_I8, 2, {3, 0}},
      {PFL_DTYPE_I32, 4, {2, 3, 1, 4}},
      {PFL_DTYPE_I8, 8, {2, 1, 2, 1, 2, 1, 2, 3}}};
  open_client();
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    uint8_t in[256], out[256] = {0};
    int64_t bytes;
    CHECK_NEED(!pjrt_shape_bytes(&shapes[i], &bytes, &error));
    fill(in, bytes);
    PJRT_Buffer *buffer =
        upload(&(pjrt_upload){.shape = shapes[i], .data = bytes ? in : NULL});
    CHECK(!download(buffer, bytes ? out : NULL, (size_t)bytes, NULL) &&
              !memcmp(in, out, (size_t)bytes),
          "shape %zu: %s", i, error.message);
    pjrt_buffer_destroy(&client, buffer);
  }
  close_client();
}

static void test_bad_buffers(void) {
  static const int64_t negative[] = {-4, 4}, far[] = {INT64_MAX / 2, 4};
  static const int64_t twice[] = {0, 0}, beyond[] = {0, 2};
  static const int64_t row_major[] = {1, 0}, tile[] = {8, 128};
  static const size_t tile_rank = 2;
  static const pjrt_layout strides = {.order = PJRT_ORDER_STRIDES},
                           no_order = {.order = (pjrt_order)7},
                           unnamed = {.order = PJRT_ORDER_TILED},
                           doubled = {.order = PJRT_ORDER_TILED,
                                      .minor_to_major = twice},
                           outside = {.order = PJRT_ORDER_TILED,
                                      .minor_to_major = beyond},
                           sizeless = {.order = PJRT_ORDER_TILED,
                                       .minor_to_major = row_major,
                                       .tile_count = 1};
  static float data[6];
  const pjrt_shape good = {PFL_DTYPE_F32, 2, {2, 3}};
  const struct {
    pjrt_upload upload;
    const char *words;
  } cases[] = {
      {{.shape = good}, "no data"},
      {{.shape = good, .data = data, .device = -1}, "device is -1"},
      {{.shape = good, .data = data, .device = 4}, "device is 4"},
      {{.shape = {PFL_DTYPE_DEFAULT, 1, {2}}, .data = data}, "dtype is 0"},
      {{.shape = {PFL_DTYPE_F32, 9, {1}}, .data = data}, "rank is 9"},
      {{.shape = {PFL_DTYPE_F32, -1, {1}}, .data = data}, "rank is -1"},
      {{.shape = {PFL_DTYPE_F32, 2, {2, -3}}, .data = data}, "size 1"},
      {{.shape = {PFL_DTYPE_F32, 2, {1ll << 40, 1ll << 40}}, .data = data},
       "size 1"},
      {{.shape = good, .data = data, .byte_strides = negative}, "stride 0"},
      {{.shape = {PFL_DTYPE_F32, 2, {5, 3}}, .data = data, .byte_strides = far},
       "stride 0"},
      {{.shape = good, .data = data, .device_layout = &strides}, "strides"},
      {{.shape = good, .data = data, .device_layout = &no_order}, "order is 7"},
      {{.shape = good, .data = data, .device_layout = &unnamed},
       "minor_to_major"},
      {{.shape = good, .data = data, .device_layout = &doubled},
       "minor_to_major[1] is 0"},
      {{.shape = good, .data = data, .device_layout = &outside},
       "minor_to_major[1] is 2"},
      {{.shape = good, .data = data, .device_layout = &sizeless}, "tiles"}};
  open_client();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    PJRT_Buffer *buffer = (PJRT_Buffer *)data;
    PJRT_Event *done = (PJRT_Event *)data;
    pfl_status status =
        pjrt_buffer_upload(&client, &cases[i].upload, &done, &buffer, &error);
    CHECK(status == PFL_STATUS_INVALID_ARGUMENT && !buffer && !done &&
              strstr(error.message, cases[i].words),
          "case %zu: %s", i, error.message);
  }
  PJRT_Buffer *buffer = upload(&(pjrt_upload){.shape = good, .data = data});
  static const pjrt_layout tiles = {.order = PJRT_ORDER_TILED,
                                    .minor_to_major = row_major,
                                    .tile_sizes = tile,
                                    .tile_ranks = &tile_rank,
                                    .tile_count = 1};
  CHECK(download(buffer, data, sizeof data, &tiles) == PFL_STATUS_UNIMPLEMENTED,
        "what the plugin cannot: %s", error.message);
  CHECK(
      download(buffer, NULL, sizeof data, NULL) == PFL_STATUS_INVALID_ARGUMENT,
      "nowhere");
  pjrt_buffer_destroy(&client, buffer);
  pjrt_buffer_destroy(&client, NULL);
  static char large[FAKE_DEVICE_BYTES + 1];
  CHECK(pjrt_buffer_upload(
            &client,
            &(pjrt_upload){.shape = {PFL_DTYPE_I8, 1, {sizeof large}},
                           .data = large},
            NULL, &buffer, &error) == PFL_STATUS_RESOURCE_EXHAUSTED &&
            strstr(error.message, "no room"),
        "%s", error.message);
  close_client();
}

/* ---- Programs ------------------------------------------------------------ */

enum { ARGUMENTS = 3, OUTPUTS = 2, NUMBERS = 6 };

/* A number for each place: what argument `i` of row `d` is filled with. */
static float number(int64_t d, int64_t i) { return (float)(100 * d + i); }

/* Fills buffers [device_count][ARGUMENTS], each on its row's device. */
static void upload_rows(const pjrt_program *program, PJRT_Buffer **buffers) {
  for (int64_t d = 0; d < program->device_count; d++)
    for (int64_t i = 0; i < ARGUMENTS; i++) {
      float data[NUMBERS];
      for (int k = 0; k < NUMBERS; k++) data[k] = number(d, i);
      buffers[d * ARGUMENTS + i] =
          upload(&(pjrt_upload){.device = program->devices[d],
                                .shape = {PFL_DTYPE_F32, 2, {2, 3}},
                                .data = data});
    }
}

/* Output i of row d is argument i of row (d + i) mod devices. */
static void check_outputs(const pjrt_program *program,
                          PJRT_Buffer *const *outputs) {
  for (int64_t d = 0; d < program->device_count; d++)
    for (int64_t i = 0; i < program->output_count; i++) {
      float data[NUMBERS] = {0};
      float expected = number((d + i) % program->device_count, i);
      CHECK(!download(outputs[d * program->output_count + i], data, sizeof data,
                      NULL) &&
                data[0] == expected && data[NUMBERS - 1] == expected,
            "output %lld of row %lld is %g, not %g: %s", (long long)i,
            (long long)d, (double)data[0], (double)expected, error.message);
    }
}

static void check_donated(PJRT_Buffer *buffer, bool expected,
                          const char *what) {
  bool donated = !expected;
  CHECK(!pjrt_buffer_is_donated(&client, buffer, &donated, &error) &&
            donated == expected,
        "%s", what);
}

static void run_on(int device_count) {
  char text[64];
  PJRT_Buffer *in[FAKE_DEVICES * ARGUMENTS], *out[FAKE_DEVICES * OUTPUTS];
  pjrt_program program;
  snprintf(text, sizeof text, "fake %d devices 2 outputs 1 taken",
           device_count);
  CHECK_NEED(!fake_load(&client, text, &program, &error));
  CHECK(program.device_count == device_count &&
            program.output_count == OUTPUTS &&
            program.devices[0] == FAKE_DEVICES - 1,
        "%lld devices, %lld outputs", (long long)program.device_count,
        (long long)program.output_count);
  upload_rows(&program, in);
  pjrt_run run = {.arguments = in,
                  .argument_count = ARGUMENTS,
                  .kept = (int64_t[]){0},
                  .kept_count = 1};
  CHECK(!pjrt_program_run(&client, &program, &run, NULL, out, &error), "%s",
        error.message);
  check_outputs(&program, out);
  pjrt_buffers_destroy(&client, out, device_count * OUTPUTS);
  check_donated(in[0], false, "kept though the program takes it");
  run.kept_count = 0;
  PJRT_Event *done[FAKE_DEVICES];
  CHECK(!pjrt_program_run(&client, &program, &run, done, out, &error), "%s",
        error.message);
  CHECK(!pjrt_events_await(&client, done, device_count, &error), "%s",
        error.message);
  check_outputs(&program, out);
  pjrt_buffers_destroy(&client, out, device_count * OUTPUTS);
  check_donated(in[0], true, "taken");
  check_donated(in[1], false, "not taken");
  CHECK(pjrt_program_run(&client, &program, &run, done, out, &error) ==
                PFL_STATUS_INVALID_ARGUMENT &&
            strstr(error.message, "donated") && !out[0] && !done[0],
        "a taken argument: %s", error.message);
  pjrt_buffers_destroy(&client, in, device_count * ARGUMENTS);
  pjrt_program_unload(&client, &program);
  pjrt_program_unload(&client, &program);
}

static void test_run(void) {
  for (int late = 0; late < 2; late++) {
    open_client();
    orders->late = late;
    for (int devices = 1; devices <= FAKE_DEVICES; devices++) run_on(devices);
    close_client();
  }
}

static void test_compile_here(void) {
  static const char text[] = "fake 2 devices 1 outputs 0 taken";
  pjrt_program program;
  open_client();
  CHECK_NEED(!pjrt_program_compile(&client, text, strlen(text), NULL, 0,
                                   &program, &error));
  pjrt_compiled_memory memory;
  CHECK(!pjrt_program_memory(&client, &program, &memory, &error) &&
            memory.temp_bytes == 33 && memory.total_bytes == 44,
        "%s", error.message);
  double flops = 0;
  CHECK(!pjrt_program_cost(&client, &program, "flops", &flops, &error) &&
            flops == 12,
        "%g", flops);
  CHECK(pjrt_program_cost(&client, &program, "coords", &flops, &error) ==
                PFL_STATUS_NOT_FOUND &&
            pjrt_program_cost(&client, &program, "x", &flops, &error) ==
                PFL_STATUS_NOT_FOUND,
        "no number");
  pjrt_program_unload(&client, &program);
  CHECK(pjrt_program_compile(&client, "rubbish", 7, NULL, 0, &program,
                             &error) == PFL_STATUS_INVALID_ARGUMENT &&
            !program.handle &&
            !strcmp(error.message,
                    "PJRT_Client_Compile: no program: \"rubbish\""),
        "%s", error.message);
  close_client();
}

static void test_bad_runs(void) {
  pjrt_program program;
  PJRT_Buffer *in[2 * ARGUMENTS], *out[2];
  open_client();
  CHECK_NEED(!fake_load(&client, "fake 2 devices 1 outputs 0 taken", &program,
                        &error));
  upload_rows(&program, in);
  PJRT_Buffer *gap[] = {in[0], in[1], in[2], NULL};
  PJRT_Buffer *swapped[] = {in[ARGUMENTS], in[0]};
  static const int64_t kept[] = {0, 3};
  const struct {
    pjrt_run run;
    const char *words;
  } cases[] = {{{gap, 2}, "argument 1 of device 1 is NULL"},
               {{NULL, 1}, "argument 0 of device 0 is NULL"},
               {{in, -1}, "argument_count is -1"},
               {{in, 1 << 20}, "argument_count is 1048576"},
               {{in, ARGUMENTS, kept, 2}, "kept[1] is 3"},
               {{in, 0}, "do not fit"},
               {{swapped, 1}, "not on device"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    pfl_status status =
        pjrt_program_run(&client, &program, &cases[i].run, NULL, out, &error);
    CHECK(status == PFL_STATUS_INVALID_ARGUMENT && !out[0] && !out[1] &&
              strstr(error.message, cases[i].words),
          "case %zu: %s", i, error.message);
  }
  pjrt_buffers_destroy(&client, in, 2 * ARGUMENTS);
  pjrt_program_unload(&client, &program);
  close_client();
}

/* ---- Events -------------------------------------------------------------- */

/* What a listener heard, under a lock. */
typedef struct heard {
  pthread_mutex_t lock;
  pthread_cond_t told;
  int times;
  pfl_error outcome;
} heard;

static void listen(void *user, const pfl_error *outcome) {
  heard *told = user;
  pthread_mutex_lock(&told->lock);
  told->times++;
  told->outcome = *outcome;
  pthread_cond_signal(&told->told);
  pthread_mutex_unlock(&told->lock);
}

/* Uploads, is told of the end on whatever thread, and gives the event back
 * before it. */
static void hear_upload(pfl_status expected) {
  static const float data[4];
  heard told = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, {0}};
  PJRT_Buffer *buffer;
  PJRT_Event *done;
  CHECK_NEED(!pjrt_buffer_upload(
      &client, &(pjrt_upload){.shape = {PFL_DTYPE_F32, 1, {4}}, .data = data},
      &done, &buffer, &error));
  CHECK(!pjrt_event_on_ready(&client, done, listen, &told, &error), "%s",
        error.message);
  pjrt_event_destroy(&client, done);
  pthread_mutex_lock(&told.lock);
  while (!told.times) pthread_cond_wait(&told.told, &told.lock);
  pthread_mutex_unlock(&told.lock);
  CHECK(told.times == 1 && told.outcome.status == expected,
        "heard %d times: %s", told.times, told.outcome.message);
  pjrt_buffer_destroy(&client, buffer);
}

static void test_events(void) {
  static const float data[4];
  open_client();
  hear_upload(PFL_STATUS_OK);
  orders->late = 1;
  hear_upload(PFL_STATUS_OK);
  PJRT_Buffer *buffer;
  PJRT_Event *done;
  pjrt_upload asked = {.shape = {PFL_DTYPE_F32, 1, {4}}, .data = data};
  CHECK_NEED(!pjrt_buffer_upload(&client, &asked, &done, &buffer, &error));
  for (bool ready = false; !ready;)
    CHECK_NEED(!pjrt_event_is_ready(&client, done, &ready, &error));
  CHECK(!pjrt_event_await(&client, done, &error), "%s", error.message);
  CHECK(!pjrt_event_await(&client, NULL, &error), "no event");
  pjrt_buffer_destroy(&client, buffer);
  orders->late_fails = 1;
  hear_upload(PFL_STATUS_DATA_LOSS);
  CHECK(pjrt_buffer_upload(&client, &asked, NULL, &buffer, &error) ==
                PFL_STATUS_DATA_LOSS &&
            !buffer && strstr(error.message, "lost on the way"),
        "%s", error.message);
  close_client();
}

/* What a client's end must wait for: nobody awaits these. */
static void test_left_alone(void) {
  static const float data[4];
  float out[4];
  open_client();
  orders->late = 1;
  PJRT_Buffer *buffer;
  PJRT_Event *done;
  pjrt_upload asked = {.shape = {PFL_DTYPE_F32, 1, {4}}, .data = data};
  CHECK_NEED(!pjrt_buffer_upload(&client, &asked, &done, &buffer, &error));
  pjrt_event_destroy(&client, done);
  pjrt_download back = {out, sizeof out, NULL};
  CHECK_NEED(!pjrt_buffer_download(&client, buffer, &back, &done, &error));
  pjrt_buffer_destroy(&client, buffer);
  pjrt_event_destroy(&client, done);
  close_client();
}

/* ---- Threads ------------------------------------------------------------- */

enum { THREADS = 4 };

static pjrt_program shared; /* of one device */

static void *use_client(void *argument) {
  int seed = *(int *)argument, wrong = 0;
  for (int round = 0; round < check_cases(100); round++) {
    int data[4] = {seed, round, seed * round, 7}, back[4] = {0};
    PJRT_Buffer *in = NULL, *out = NULL;
    pfl_error why;
    pjrt_upload asked = {.device = shared.devices[0],
                         .shape = {PFL_DTYPE_I32, 1, {4}},
                         .data = data};
    wrong += pjrt_buffer_upload(&client, &asked, NULL, &in, &why) != 0;
    pjrt_run run = {.arguments = &in, .argument_count = 1};
    wrong += pjrt_program_run(&client, &shared, &run, NULL, &out, &why) != 0;
    pjrt_download whole = {back, sizeof back, NULL};
    wrong += pjrt_buffer_download(&client, out, &whole, NULL, &why) != 0;
    wrong += memcmp(data, back, sizeof data) != 0;
    pjrt_buffer_destroy(&client, in);
    pjrt_buffer_destroy(&client, out);
  }
  *(int *)argument = wrong;
  return NULL;
}

static void test_threads(void) {
  open_client();
  orders->late = 1;
  CHECK_NEED(
      !fake_load(&client, "fake 1 devices 1 outputs 0 taken", &shared, &error));
  pthread_t threads[THREADS];
  int values[THREADS];
  for (int i = 0; i < THREADS; i++) {
    values[i] = i + 1;
    CHECK_NEED(!pthread_create(&threads[i], NULL, use_client, &values[i]));
  }
  for (int i = 0; i < THREADS; i++) {
    CHECK_NEED(!pthread_join(threads[i], NULL));
    CHECK(values[i] == 0, "thread %d: %d things were wrong", i, values[i]);
  }
  pjrt_program_unload(&client, &shared);
  close_client();
}

int main(void) {
  fake_find();
  return CHECK_RUN(test_client, test_orders, test_row_major, test_bad_buffers,
                   test_run, test_compile_here, test_bad_runs, test_events,
                   test_left_alone, test_threads);
}
