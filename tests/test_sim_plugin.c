/* libpflash_sim.so as a client sees it: devices, memory, buffers, programs,
 * events, lifetimes, threads. Kernels are the simplest there are; what they may
 * do wrong is test_sim's. */
#include <pthread.h>
#include <unistd.h>

#include "base/json.h"
#include "base/memory.h"
#include "directory.h"
#include "plugin_case.h"

static pjrt_client client; /* of most tests */
static pfl_error error;
static base_text adder, exchanger; /* kernels */

static void open_client(void) {
  CHECK_NEED(!plugin_case_client(NULL, 0, &client, &error));
}

static int64_t bytes_in_use(int64_t device) {
  pjrt_device_memory memory;
  CHECK_NEED(!pjrt_device_memory_get(&client, device, &memory, &error));
  return memory.bytes_in_use;
}

static void close_client(void) {
  for (int64_t i = 0; i < client.device_count; i++)
    CHECK(!bytes_in_use(i), "device %lld has %lld bytes left", (long long)i,
          (long long)bytes_in_use(i));
  pjrt_client_destroy(&client);
}

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

static PJRT_Buffer *upload(int64_t device, const xla_tensor *tensor,
                           const void *data) {
  PJRT_Buffer *buffer = NULL;
  pjrt_upload asked = {.device = device,
                       .shape = {.dtype = tensor->dtype, .rank = tensor->rank},
                       .data = data};
  memcpy(asked.shape.sizes, tensor->shape, sizeof tensor->shape);
  CHECK_NEED(!pjrt_buffer_upload(&client, &asked, NULL, &buffer, &error));
  return buffer;
}

static pfl_status download(PJRT_Buffer *buffer, void *data, size_t size) {
  return pjrt_buffer_download(&client, buffer,
                              &(pjrt_download){data, size, NULL}, NULL, &error);
}

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

/* ---- Programs ------------------------------------------------------------ */

static const int pair[] = {0, 1};

static xla_call make_call(const base_text *kernel, const int *operands) {
  return (xla_call){.kernel_name = "vector_add",
                    .body = kernel->bytes,
                    .body_size = kernel->length,
                    .operands = operands,
                    .operand_count = 2,
                    .results = &plugin_case_tile,
                    .result_count = 1};
}

/* x + y on each of `chips`, for calls that the test fills in. */
static xla_program make_program(int chips, const xla_call *calls, int count,
                                const int *outputs, int output_count) {
  static const xla_tensor arguments[] = {{PFL_DTYPE_F32, 2, {256, 128}},
                                         {PFL_DTYPE_F32, 2, {256, 128}}};
  return (xla_program){.name = "add",
                       .replicas = chips,
                       .arguments = arguments,
                       .argument_count = 2,
                       .calls = calls,
                       .call_count = count,
                       .outputs = outputs,
                       .output_count = output_count};
}

/* A tile of `number`, and some that differ. */
static PJRT_Buffer *upload_number(int64_t device, float number) {
  static float data[PLUGIN_CASE_ITEMS];
  for (int i = 0; i < PLUGIN_CASE_ITEMS; i++) data[i] = number + (float)(i % 5);
  return upload(device, &plugin_case_tile, data);
}

/* Whether it holds `number`, and `times` what upload_number adds to it. */
static void check_number(PJRT_Buffer *buffer, float number, float times,
                         const char *what) {
  static float data[PLUGIN_CASE_ITEMS];
  pfl_status status = download(buffer, data, sizeof data);
  CHECK(!status, "%s: %s", what, error.message);
  for (int i = 0; !status && i < PLUGIN_CASE_ITEMS; i++)
    if (data[i] != number + times * (float)(i % 5)) {
      CHECK(0, "%s: [%d] is %g, not %g", what, i, (double)data[i],
            (double)(number + times * (float)(i % 5)));
      break;
    }
}

static bool is_donated(PJRT_Buffer *buffer) {
  bool donated = false;
  CHECK_NEED(!pjrt_buffer_is_donated(&client, buffer, &donated, &error));
  return donated;
}

static void compile(const xla_program *program, pjrt_program *out) {
  pfl_status status = plugin_case_compile(&client, program, out, &error);
  CHECK(!status, "%s", error.message);
  CHECK_NEED(!status);
}

static void test_run(void) {
  const int output = 2;
  xla_call call = make_call(&adder, pair);
  open_client();
  for (int chips = 1; chips <= 4; chips++) {
    xla_program program = make_program(chips, &call, 1, &output, 1);
    pjrt_program loaded;
    PJRT_Buffer *in[8], *out[4];
    compile(&program, &loaded);
    CHECK(loaded.device_count == chips && loaded.output_count == 1, "%lld",
          (long long)loaded.device_count);
    for (int i = 0; i < 2 * chips; i++)
      in[i] = upload_number(i / 2, (float)(10 * i));
    pjrt_run run = {.arguments = in, .argument_count = 2};
    pfl_status status =
        pjrt_program_run(&client, &loaded, &run, NULL, out, &error);
    CHECK(!status, "%s", error.message);
    for (int i = 0; !status && i < chips; i++)
      check_number(out[i], (float)(10 * (4 * i + 1)), 2, "x + y");
    if (!status) pjrt_buffers_destroy(&client, out, chips);
    pjrt_buffers_destroy(&client, in, 2 * chips);
    pjrt_program_unload(&client, &loaded);
  }
  close_client();
}

/* Calls one after the other, outputs that are arguments, or the same value, or
 * also used on the way; and nothing but these is left. */
static void test_chain(void) {
  static const int first[] = {0, 1}, second[] = {2, 0}, third[] = {3, 2};
  static const int outputs[] = {4, 2, 4, 0};
  const xla_call calls[] = {make_call(&adder, first), make_call(&adder, second),
                            make_call(&adder, third)};
  xla_program program = make_program(1, calls, 3, outputs, 4);
  pjrt_program loaded;
  open_client();
  compile(&program, &loaded);
  PJRT_Buffer *in[] = {upload_number(0, 1), upload_number(0, 10)}, *out[4];
  pjrt_run run = {.arguments = in, .argument_count = 2};
  CHECK_NEED(!pjrt_program_run(&client, &loaded, &run, NULL, out, &error));
  check_number(out[0], 23, 5, "((x + y) + x) + (x + y)");
  check_number(out[1], 11, 2, "x + y");
  check_number(out[2], 23, 5, "the first again");
  check_number(out[3], 1, 1, "x");
  check_number(in[0], 1, 1, "x as it was");
  CHECK(bytes_in_use(0) == 6 * 131072, "%lld", (long long)bytes_in_use(0));
  pjrt_compiled_memory memory;
  CHECK(!pjrt_program_memory(&client, &loaded, &memory, &error) &&
            memory.argument_bytes == 2 * 131072 &&
            memory.output_bytes == 4 * 131072 && memory.temp_bytes == 131072 &&
            memory.total_bytes == 5 * 131072,
        "%lld", (long long)memory.total_bytes);
  pjrt_buffers_destroy(&client, out, 4);
  pjrt_buffers_destroy(&client, in, 2);
  pjrt_program_unload(&client, &loaded);
  close_client();
}

/* An argument that is donated is gone, unless it is kept. */
static void test_donation(void) {
  const int output = 2;
  const xla_alias donation = {0, 0};
  const xla_call call = make_call(&adder, pair);
  xla_program program = make_program(2, &call, 1, &output, 1);
  pjrt_program loaded;
  program.donations = &donation;
  program.donation_count = 1;
  open_client();
  compile(&program, &loaded);
  PJRT_Buffer *in[4], *out[2] = {NULL};
  for (int i = 0; i < 4; i++) in[i] = upload_number(i / 2, (float)i);
  static const int64_t kept[] = {0};
  pjrt_run run = {
      .arguments = in, .argument_count = 2, .kept = kept, .kept_count = 1};
  CHECK_NEED(!pjrt_program_run(&client, &loaded, &run, NULL, out, &error));
  CHECK(!is_donated(in[0]) && !is_donated(in[2]), "kept");
  check_number(out[1], 5, 2, "x + y");
  check_number(in[0], 0, 1, "x as it was");
  pjrt_buffers_destroy(&client, out, 2);
  run.kept_count = 0;
  CHECK_NEED(!pjrt_program_run(&client, &loaded, &run, NULL, out, &error));
  CHECK(is_donated(in[0]) && !is_donated(in[1]) && is_donated(in[2]), "gone");
  check_number(out[1], 5, 2, "x + y");
  CHECK(bytes_in_use(0) == 2 * 131072, "%lld", (long long)bytes_in_use(0));
  pjrt_buffers_destroy(&client, out, 2);
  static float data[PLUGIN_CASE_ITEMS];
  CHECK(download(in[0], data, sizeof data) == PFL_STATUS_INVALID_ARGUMENT,
        "out of a donated buffer");
  CHECK(
      pjrt_program_run(&client, &loaded, &run, NULL, out, &error) ==
              PFL_STATUS_INVALID_ARGUMENT &&
          strstr(error.message, "argument 0 of chip 0 was deleted or donated"),
      "%s", error.message);
  PJRT_Buffer *twice[] = {in[1], in[1], in[3], in[3]};
  run.arguments = twice;
  CHECK(pjrt_program_run(&client, &loaded, &run, NULL, out, &error) ==
                PFL_STATUS_INVALID_ARGUMENT &&
            strstr(error.message, "is donated and is argument 1 too"),
        "%s", error.message);
  CHECK(!is_donated(in[1]), "refused, and not taken");
  pjrt_buffers_destroy(&client, in, 4);
  pjrt_program_unload(&client, &loaded);
  close_client();
}

/* A result in its operand's place: not if somebody else still reads it. */
static void test_aliases(void) {
  static const int again[] = {2, 0}, outputs[] = {2, 3};
  const xla_alias alias = {0, 0}, donation = {1, 0};
  xla_call calls[] = {make_call(&adder, pair), make_call(&adder, again)};
  for (int i = 0; i < 2; i++)
    calls[i].aliases = &alias, calls[i].alias_count = 1;
  xla_program program = make_program(1, calls, 2, outputs, 2);
  pjrt_program loaded;
  open_client();
  for (int donated = 0; donated < 2; donated++) {
    program.donations = &donation;
    program.donation_count = donated;
    compile(&program, &loaded);
    PJRT_Buffer *in[] = {upload_number(0, 1), upload_number(0, 10)}, *out[2];
    pjrt_run run = {.arguments = in, .argument_count = 2};
    CHECK_NEED(!pjrt_program_run(&client, &loaded, &run, NULL, out, &error));
    check_number(out[0], 11, 2, "x + y");
    check_number(out[1], 12, 3, "x + y + x");
    if (!donated) check_number(in[0], 1, 1, "x as it was");
    pjrt_buffers_destroy(&client, out, 2);
    pjrt_buffers_destroy(&client, in, 2);
    pjrt_program_unload(&client, &loaded);
  }
  close_client();
}

static void test_bad_runs(void) {
  const int output = 2;
  const xla_call call = make_call(&adder, pair);
  xla_program program = make_program(2, &call, 1, &output, 1);
  static const xla_tensor other = {PFL_DTYPE_F32, 2, {128, 256}};
  static const float data[PLUGIN_CASE_ITEMS];
  pjrt_program loaded;
  pjrt_client stranger;
  open_client();
  CHECK_NEED(!plugin_case_client(NULL, 0, &stranger, &error));
  compile(&program, &loaded);
  PJRT_Buffer *x = upload_number(0, 1), *y = upload_number(1, 2), *out[2];
  PJRT_Buffer *shaped = upload(0, &other, data), *abroad = NULL;
  pjrt_upload asked = {.shape = {PFL_DTYPE_F32, 2, {256, 128}}, .data = data};
  CHECK_NEED(!pjrt_buffer_upload(&stranger, &asked, NULL, &abroad, &error));
  const struct {
    PJRT_Buffer *in[4];
    int64_t count;
    const char *words;
  } cases[] = {
      {{x, x, y, x}, 2, "argument 1 of chip 1 is on device 0: must be on "},
      {{x, shaped, y, y}, 2, "argument 1 of chip 0 has another element type"},
      {{abroad, x, y, y}, 2, "is on device 0 of another client"},
      {{x, y}, 1, "2 devices with 1 arguments: the program has 2 with 2"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    pjrt_run run = {.arguments = cases[i].in, .argument_count = cases[i].count};
    CHECK(pjrt_program_run(&client, &loaded, &run, NULL, out, &error) ==
                  PFL_STATUS_INVALID_ARGUMENT &&
              strstr(error.message, cases[i].words),
          "case %zu: %s", i, error.message);
  }
  PJRT_Buffer *all[] = {x, y, shaped};
  pjrt_buffers_destroy(&client, all, 3);
  pjrt_buffer_destroy(&stranger, abroad);
  pjrt_client_destroy(&stranger);
  pjrt_program_unload(&client, &loaded);
  close_client();
}

/* A kernel that gives what it never wrote: the hazard is the error of the run's
 * event, of its outputs, and of what is made of these; the chips go on. */
static void build_unwritten(mo_builder *b) {
  mo_kernel(b, "unwritten", NULL);
  mo_value *x = mo_operand(b, MO_VMEM, MO_F32, MO_SHAPE(256, 128));
  mo_operand(b, MO_VMEM, MO_F32, MO_SHAPE(256, 128));
  mo_value *z = mo_operand(b, MO_VMEM, MO_F32, MO_SHAPE(256, 128));
  mo_value *never = mo_scratch(b, MO_VMEM, MO_F32, MO_SHAPE(256, 128));
  mo_store_all(b, mo_add(b, mo_load_all(b, x), mo_load_all(b, never)), z);
  mo_kernel_end(b);
}

static void test_hazard(void) {
  const int output = 2;
  base_text kernel = {0};
  plugin_case_kernel(build_unwritten, &kernel);
  const xla_call bad_call = make_call(&kernel, pair),
                 call = make_call(&adder, pair);
  xla_program bad_program = make_program(2, &bad_call, 1, &output, 1);
  xla_program program = make_program(2, &call, 1, &output, 1);
  static float data[PLUGIN_CASE_ITEMS];
  pjrt_program bad, good;
  open_client();
  compile(&bad_program, &bad);
  compile(&program, &good);
  PJRT_Buffer *in[4], *out[2], *next[2];
  PJRT_Event *done[2], *next_done[2];
  for (int i = 0; i < 4; i++) in[i] = upload_number(i / 2, (float)i);
  pjrt_run run = {.arguments = in, .argument_count = 2};
  CHECK_NEED(!pjrt_program_run(&client, &bad, &run, done, out, &error));
  PJRT_Buffer *mixed[] = {out[0], in[1], out[1], in[3]};
  pjrt_run after = {.arguments = mixed, .argument_count = 2};
  CHECK_NEED(
      !pjrt_program_run(&client, &good, &after, next_done, next, &error));
  for (int i = 0; i < 2; i++) {
    CHECK(pjrt_event_await(&client, done[i], &error) ==
                  PFL_STATUS_FAILED_PRECONDITION &&
              strstr(error.message, "unwritten") &&
              strstr(error.message, "seed 1"),
          "%s", error.message);
    CHECK(
        download(out[i], data, sizeof data) == PFL_STATUS_FAILED_PRECONDITION &&
            strstr(error.message, "unwritten"),
        "%s", error.message);
    CHECK(pjrt_event_await(&client, next_done[i], &error) ==
                  PFL_STATUS_FAILED_PRECONDITION &&
              strstr(error.message, "argument 0 of chip 0 was never made: "),
          "%s", error.message);
  }
  pjrt_buffers_destroy(&client, out, 2);
  pjrt_buffers_destroy(&client, next, 2);
  CHECK(!pjrt_program_run(&client, &good, &run, NULL, out, &error), "%s",
        error.message);
  check_number(out[1], 5, 2, "x + y");
  pjrt_buffers_destroy(&client, out, 2);
  pjrt_buffers_destroy(&client, in, 4);
  pjrt_program_unload(&client, &bad);
  pjrt_program_unload(&client, &good);
  close_client();
  base_text_release(&kernel);
}

/* Chips that talk to their neighbours, under three seeds and none. */
static void test_exchange(void) {
  static const xla_tensor tile = {PFL_DTYPE_F32, 2, {8, 128}};
  static const int argument = 0, output = 1;
  const xla_call call = {.kernel_name = "exchange",
                         .body = exchanger.bytes,
                         .body_size = exchanger.length,
                         .operands = &argument,
                         .operand_count = 1,
                         .results = &tile,
                         .result_count = 1,
                         .has_communication = true};
  const xla_program program = {.name = "exchange",
                               .replicas = 4,
                               .arguments = &tile,
                               .argument_count = 1,
                               .calls = &call,
                               .call_count = 1,
                               .outputs = &output,
                               .output_count = 1};
  for (int seed = 0; seed < 4; seed++) {
    PJRT_NamedValue options[] = {pjrt_option_integer("hostile", seed > 0),
                                 pjrt_option_integer("seed", seed),
                                 pjrt_option_integer("threads", 1 + seed)};
    pjrt_program loaded;
    float data[8 * 128];
    PJRT_Buffer *in[4], *out[4];
    CHECK_NEED(!plugin_case_client(options, 3, &client, &error));
    compile(&program, &loaded);
    for (int chip = 0; chip < 4; chip++) {
      for (int i = 0; i < 8 * 128; i++) data[i] = (float)(1000 * chip + i);
      in[chip] = upload(chip, &tile, data);
    }
    pjrt_run run = {.arguments = in, .argument_count = 1};
    pfl_status status =
        pjrt_program_run(&client, &loaded, &run, NULL, out, &error);
    CHECK(!status, "%s", error.message);
    for (int chip = 0; !status && chip < 4; chip++) {
      CHECK(!download(out[chip], data, sizeof data), "%s", error.message);
      for (int i = 0; i < 8 * 128; i++)
        CHECK(data[i] == (float)(1000 * (chip + (chip ^ 1)) + 2 * i),
              "chip %d, [%d] is %g", chip, i, (double)data[i]);
      pjrt_buffer_destroy(&client, out[chip]);
    }
    pjrt_buffers_destroy(&client, in, 4);
    pjrt_program_unload(&client, &loaded);
    close_client();
  }
}

/* ---- Compiling ----------------------------------------------------------- */

static void test_bad_programs(void) {
  const int output = 2;
  const xla_call call = make_call(&adder, pair);
  xla_program program = make_program(2, &call, 1, &output, 1);
  base_text module = {0}, options = {0}, one = {0};
  CHECK_NEED(!xla_program_write(&program, &module, NULL));
  CHECK_NEED(!xla_options_write(2, NULL, 0, &options, NULL));
  CHECK_NEED(!xla_options_write(1, NULL, 0, &one, NULL));
  open_client();
  const struct {
    const char *text;
    size_t size;
    const base_text *options;
    pfl_status status;
    const char *words;
  } cases[] = {
      {module.bytes, module.length, &one, PFL_STATUS_INVALID_ARGUMENT,
       "the compile options have 1 replicas, the program 2"},
      {"ML\xefR\x0bStableHLO", 14, &one, PFL_STATUS_UNIMPLEMENTED, "bytecode"},
      {module.bytes, module.length - 3, &options, PFL_STATUS_INVALID_ARGUMENT,
       "StableHLO: line 5"},
      {"x", 1, &one, PFL_STATUS_INVALID_ARGUMENT, "StableHLO: line 1"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    pjrt_program loaded;
    CHECK(pjrt_program_compile(
              &client, cases[i].text, cases[i].size, cases[i].options->bytes,
              cases[i].options->length, &loaded, &error) == cases[i].status &&
              strstr(error.message, cases[i].words),
          "case %zu: %s", i, error.message);
  }
  close_client();
  PJRT_NamedValue option = pjrt_option_text("topology", "v5e:1x1");
  pjrt_program loaded;
  CHECK_NEED(!plugin_case_client(&option, 1, &client, &error));
  CHECK(pjrt_program_compile(&client, module.bytes, module.length,
                             options.bytes, options.length, &loaded,
                             &error) == PFL_STATUS_INVALID_ARGUMENT &&
            strstr(error.message, "a program for 2 chips: there is 1"),
        "%s", error.message);
  close_client();
  base_text_release(&module);
  base_text_release(&options);
  base_text_release(&one);
}

/* A kernel that is none, or none that a slice can run, is refused by name. */
static void test_bad_kernels(void) {
  static const struct {
    const char *from, *to, *words;
  } cases[] = {{"arith.addf", "arith.addg", "arith.addg"},
               {"vmem", "sram", "kernel \"vector_add\": "},
               {"256x128", "256x64", "kernel \"vector_add\": "},
               {"}", "{", "kernel \"vector_add\": "}};
  const int output = 2;
  open_client();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    base_text changed = {0};
    const char *at = strstr(adder.bytes, cases[i].from);
    CHECK_NEED(at);
    base_text_add(&changed, adder.bytes, (size_t)(at - adder.bytes));
    base_text_add_string(&changed, cases[i].to);
    base_text_add_string(&changed, at + strlen(cases[i].from));
    xla_call call = make_call(&changed, pair);
    xla_program program = make_program(1, &call, 1, &output, 1);
    pjrt_program loaded;
    CHECK(plugin_case_compile(&client, &program, &loaded, &error) &&
              strstr(error.message, cases[i].words),
          "case %zu: %s", i, error.message);
    base_text_release(&changed);
  }
  close_client();
}

/* Compiled ahead of time, in no client, and loaded; cut or changed anywhere it
 * is refused. */
static void test_serialized(void) {
  const int output = 2;
  xla_call call = make_call(&adder, pair);
  call.cost = (xla_cost){.flops = 1000, .bytes_accessed = 7};
  const xla_call calls[] = {call, call};
  xla_program program = make_program(1, calls, 2, &output, 1);
  base_text module = {0}, options = {0}, packed = {0};
  PJRT_TopologyDescription *topology = NULL;
  PJRT_Executable *executable = NULL;
  pjrt_artifact artifact;
  pjrt_program loaded;
  open_client();
  CHECK_NEED(!xla_program_write(&program, &module, NULL));
  CHECK_NEED(!xla_options_write(1, NULL, 0, &options, NULL));
  CHECK_NEED(
      !pjrt_topology_create(&client.plugin, "v5e:1x1", &topology, &error));
  CHECK_NEED(!pjrt_compile_here(&client.plugin, topology, module.bytes,
                                module.length, options.bytes, options.length,
                                &executable, &error));
  CHECK_NEED(
      !pjrt_executable_pack(&client.plugin, executable, "v", &packed, &error));
  pjrt_executable_destroy(&client.plugin, executable);
  pjrt_topology_destroy(&client.plugin, topology);
  CHECK_NEED(!pjrt_artifact_unpack(packed.bytes, packed.length,
                                   &plugin_case_heap, &artifact, &error));
  CHECK(pjrt_artifact_cost(&artifact, "flops") == 2000 &&
            pjrt_artifact_cost(&artifact, "bytes accessed") == 14,
        "%g flops", pjrt_artifact_cost(&artifact, "flops"));
  char *bytes = malloc(artifact.executable_size);
  CHECK_NEED(bytes);
  memcpy(bytes, artifact.executable, artifact.executable_size);
  CHECK(!pjrt_program_load(&client, bytes, artifact.executable_size, &loaded,
                           &error),
        "%s", error.message);
  pjrt_program_unload(&client, &loaded);
  for (size_t i = 0; i < artifact.executable_size; i += 97) {
    CHECK(pjrt_program_load(&client, bytes, i, &loaded, &error) ==
              PFL_STATUS_DATA_LOSS,
          "%zu bytes: %s", i, error.message);
    bytes[i] ^= 4;
    CHECK(pjrt_program_load(&client, bytes, artifact.executable_size, &loaded,
                            &error) == PFL_STATUS_DATA_LOSS,
          "byte %zu: %s", i, error.message);
    bytes[i] ^= 4;
  }
  /* whole, and of another version or of no program at all */
  pjrt_artifact forged = {
      .version = "another", .executable = "x", .executable_size = 1};
  base_text forgery = {0};
  CHECK_NEED(!pjrt_artifact_pack(&forged, NULL, &forgery, NULL));
  CHECK(pjrt_program_load(&client, forgery.bytes, forgery.length, &loaded,
                          &error) == PFL_STATUS_FAILED_PRECONDITION,
        "%s", error.message);
  base_text_release(&forgery);
  forged.version = base_text_get(&client.version);
  CHECK_NEED(!pjrt_artifact_pack(&forged, NULL, &forgery, NULL));
  CHECK(pjrt_program_load(&client, forgery.bytes, forgery.length, &loaded,
                          &error) == PFL_STATUS_INVALID_ARGUMENT,
        "%s", error.message);
  base_text_release(&forgery);
  free(bytes);
  pjrt_artifact_release(&artifact);
  base_text_release(&module);
  base_text_release(&options);
  base_text_release(&packed);
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
  int names = 0;
  for (const json_value *item = status ? NULL : json_first(document.root); item;
       item = item->next) {
    const char *phase = json_string(json_object_get(item, "ph"));
    int64_t chip = -1;
    json_int64(json_object_get(item, "pid"), &chip);
    CHECK(phase && chip >= 0 && chip < 4, "an event of chip %d", (int)chip);
    names += phase && !strcmp(phase, "M");
  }
  CHECK(names >= 4, "%d names", names);
  json_release(&document);
  free(text);
  unlink(path);
}

int main(void) {
  directory_make();
  plugin_case_kernel(build_vector_add, &adder);
  plugin_case_kernel(build_exchange, &exchanger);
  int failed =
      CHECK_RUN(test_devices, test_topologies, test_options, test_copies,
                test_padding, test_limit, test_run, test_chain, test_donation,
                test_aliases, test_bad_runs, test_hazard, test_exchange,
                test_bad_programs, test_bad_kernels, test_serialized, test_late,
                test_events, test_orphans, test_threads, test_trace);
  base_text_release(&adder);
  base_text_release(&exchanger);
  directory_remove();
  return failed;
}
