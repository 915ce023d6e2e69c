/* xla_runtime: the client API against XLA's own plugin for CPUs, whose side of
 * the ABI is built from the sources that libtpu's is. PFLASH_XLA_PLUGIN names
 * it (pjrt_c_api_cpu_plugin.so: built from openxla/xla, or out of the wheel
 * lammps-jax-pjrt-cpu); exit code 77 without it. */
#include <unistd.h>

#include "check.h"
#include "pjrt/execute.h"
#include "xla/program.h"

static const pfl_allocator heap;
static pjrt_client client;
static pfl_error error;

enum { DEVICES = 4, ROWS = 3, COLUMNS = 5, ITEMS = ROWS * COLUMNS };

/* Replica r gets a of replica r - 1, and twice its own b, in b's memory. */
static const char module[] =
    "module @m attributes {mhlo.num_partitions = 1 : i32, "
    "mhlo.num_replicas = 4 : i32} {\n"
    "  func.func public @main(%a: tensor<3x5xf32>, "
    "%b: tensor<3x5xf32> {tf.aliasing_output = 1 : i32}) "
    "-> (tensor<3x5xf32>, tensor<3x5xf32>) {\n"
    "    %0 = \"stablehlo.collective_permute\"(%a) {source_target_pairs = "
    "dense<[[0, 1], [1, 2], [2, 3], [3, 0]]> : tensor<4x2xi64>} : "
    "(tensor<3x5xf32>) -> tensor<3x5xf32>\n"
    "    %1 = stablehlo.add %b, %b : tensor<3x5xf32>\n"
    "    return %0, %1 : tensor<3x5xf32>, tensor<3x5xf32>\n"
    "  }\n"
    "}\n";

/* ---- Buffers ------------------------------------------------------------- */

static const pjrt_shape shape = {PFL_DTYPE_F32, 2, {ROWS, COLUMNS}};

static PJRT_Buffer *upload(int64_t device, const float *data,
                           const int64_t *byte_strides) {
  PJRT_Buffer *buffer = NULL;
  pjrt_upload asked = {.device = device,
                       .shape = shape,
                       .data = data,
                       .byte_strides = byte_strides};
  CHECK(!pjrt_buffer_upload(&client, &asked, NULL, &buffer, &error), "%s",
        error.message);
  CHECK_NEED(buffer);
  return buffer;
}

static pfl_status download(PJRT_Buffer *buffer, float *data,
                           const pjrt_layout *layout) {
  pjrt_download asked = {data, ITEMS * sizeof *data, layout};
  return pjrt_buffer_download(&client, buffer, &asked, NULL, &error);
}

static void test_client(void) {
  printf("%s, %s, PJRT %d.%d\n", base_text_get(&client.platform),
         base_text_get(&client.version),
         client.plugin.api->pjrt_api_version.major_version,
         client.plugin.api->pjrt_api_version.minor_version);
  CHECK(client.device_count == DEVICES, "%lld devices",
        (long long)client.device_count);
  for (int64_t i = 0; i < client.device_count; i++)
    CHECK(client.devices[i].info.id == i, "device %d is a %s",
          client.devices[i].info.id, client.devices[i].info.kind);
}

static void test_orders(void) {
  static const int64_t columns_first[] = {0, 1};
  static const int64_t strides[] = {4, 4 * ROWS}; /* column-major */
  const pjrt_layout columns = {.order = PJRT_ORDER_TILED,
                               .minor_to_major = columns_first};
  float in[ITEMS], out[ITEMS];
  for (int i = 0; i < ITEMS; i++) in[i] = (float)i;
  PJRT_Buffer *rows_in = upload(1, in, NULL),
              *columns_in = upload(2, in, strides);
  pjrt_shape got;
  CHECK(!pjrt_buffer_shape(&client, rows_in, &got, &error) &&
            got.dtype == PFL_DTYPE_F32 && got.rank == 2 &&
            got.sizes[0] == ROWS && got.sizes[1] == COLUMNS,
        "%s", error.message);
  CHECK(!download(rows_in, out, NULL) && !memcmp(in, out, sizeof in), "%s",
        error.message);
  CHECK(!download(columns_in, out, &columns) && !memcmp(in, out, sizeof in),
        "%s", error.message);
  CHECK(!download(columns_in, out, NULL) && out[1] == in[ROWS] &&
            out[COLUMNS] == in[1],
        "%g, %g: %s", (double)out[1], (double)out[COLUMNS], error.message);
  CHECK(!download(rows_in, out, &columns) && out[1] == in[COLUMNS], "%g: %s",
        (double)out[1], error.message);
  const pjrt_layout by_strides = {.order = PJRT_ORDER_STRIDES,
                                  .byte_strides = strides};
  pfl_status status = download(rows_in, out, &by_strides);
  printf("download by strides: %s\n", status ? error.message : "as asked");
  pjrt_buffer_destroy(&client, rows_in);
  pjrt_buffer_destroy(&client, columns_in);
}

/* ---- Programs ------------------------------------------------------------ */

static float number(int64_t replica, int value) {
  return (float)(10 * replica + value);
}

static void upload_all(const pjrt_program *program, PJRT_Buffer **out) {
  float data[ITEMS];
  for (int64_t r = 0; r < program->device_count; r++)
    for (int value = 0; value < 2; value++) {
      for (int i = 0; i < ITEMS; i++) data[i] = number(r, value);
      out[2 * r + value] = upload(program->devices[r], data, NULL);
    }
}

static void check_outputs(const pjrt_program *program, PJRT_Buffer **outputs) {
  for (int64_t r = 0; r < program->device_count; r++) {
    float a[ITEMS] = {0}, b[ITEMS] = {0};
    int64_t from = (r + DEVICES - 1) % DEVICES;
    CHECK(!download(outputs[2 * r], a, NULL) &&
              !download(outputs[2 * r + 1], b, NULL) &&
              a[ITEMS - 1] == number(from, 0) &&
              b[ITEMS - 1] == 2 * number(r, 1),
          "replica %lld: %g, %g: %s", (long long)r, (double)a[ITEMS - 1],
          (double)b[ITEMS - 1], error.message);
  }
}

static void check_donated(PJRT_Buffer *buffer, bool expected) {
  bool donated = !expected;
  CHECK(!pjrt_buffer_is_donated(&client, buffer, &donated, &error) &&
            donated == expected,
        "donated: %d: %s", donated, error.message);
}

static void run_twice(const pjrt_program *program) {
  PJRT_Buffer *in[2 * DEVICES], *out[2 * DEVICES];
  PJRT_Event *done[DEVICES];
  CHECK_NEED(program->device_count == DEVICES && program->output_count == 2);
  upload_all(program, in);
  pjrt_run run = {.arguments = in,
                  .argument_count = 2,
                  .kept = (const int64_t[]){1},
                  .kept_count = 1};
  pfl_status status =
      pjrt_program_run(&client, program, &run, NULL, out, &error);
  CHECK(!status, "%s", error.message);
  if (!status) check_outputs(program, out);
  pjrt_buffers_destroy(&client, out, 2 * DEVICES);
  check_donated(in[1], false);
  run.kept_count = 0;
  status = pjrt_program_run(&client, program, &run, done, out, &error);
  CHECK(!status && !pjrt_events_await(&client, done, DEVICES, &error), "%s",
        error.message);
  if (!status) check_outputs(program, out);
  pjrt_buffers_destroy(&client, out, 2 * DEVICES);
  check_donated(in[0], false);
  check_donated(in[1], true);
  CHECK(pjrt_program_run(&client, program, &run, NULL, out, &error), "again");
  CHECK(!out[0] && *error.message, "a donated argument: %s", error.message);
  run.argument_count = 1;
  CHECK(pjrt_program_run(&client, program, &run, NULL, out, &error) && !out[0],
        "one argument of two");
  pjrt_buffers_destroy(&client, in, 2 * DEVICES);
}

/* Serializes a loaded program. */
static void serialize(const pjrt_program *program, base_text *out) {
  PJRT_Executable_Serialize_Args args =
      PJRT_ARGS(Executable_Serialize_Args, .executable = program->executable);
  CHECK_NEED(!PJRT_CALL(&client.plugin, Executable_Serialize, &args, &error));
  base_text_add(out, args.serialized_bytes, args.serialized_bytes_size);
  args.serialized_executable_deleter(args.serialized_executable);
}

static void test_programs(void) {
  base_text options = {0}, bytes = {0};
  pjrt_program program, loaded;
  pjrt_compiled_memory memory;
  double flops = 0;
  CHECK_NEED(!xla_options_write(DEVICES, NULL, 0, &options, &error));
  pfl_status status =
      pjrt_program_compile(&client, module, strlen(module), options.bytes,
                           options.length, &program, &error);
  CHECK(!status, "%s", error.message);
  CHECK_NEED(!status);
  CHECK(!pjrt_program_memory(&client, &program, &memory, &error) &&
            memory.argument_bytes == 2 * ITEMS * 4,
        "%lld bytes: %s", (long long)memory.argument_bytes, error.message);
  status = pjrt_program_cost(&client, &program, "flops", &flops, &error);
  CHECK(status ? status == PFL_STATUS_UNIMPLEMENTED : flops >= ITEMS, "%g: %s",
        flops, error.message);
  run_twice(&program);
  serialize(&program, &bytes);
  pjrt_program_unload(&client, &program);
  status =
      pjrt_program_load(&client, bytes.bytes, bytes.length, &loaded, &error);
  CHECK(!status, "%s", error.message);
  if (!status) run_twice(&loaded);
  pjrt_program_unload(&client, &loaded);
  CHECK(pjrt_program_load(&client, "rubbish", 7, &loaded, &error) &&
            !loaded.handle,
        "rubbish was loaded");
  CHECK(pjrt_program_compile(&client, "rubbish", 7, options.bytes,
                             options.length, &loaded, &error) &&
            !loaded.handle,
        "rubbish was compiled");
  base_text_release(&options);
  base_text_release(&bytes);
}

static void hear(void *user, const pfl_error *outcome) {
  *(pfl_status *)user = outcome->status;
}

static void test_events(void) {
  float data[ITEMS] = {1};
  pfl_status heard = PFL_STATUS_UNKNOWN;
  PJRT_Buffer *buffer;
  PJRT_Event *done;
  bool ready = false;
  pjrt_upload asked = {.shape = shape, .data = data};
  CHECK_NEED(!pjrt_buffer_upload(&client, &asked, &done, &buffer, &error));
  while (!ready)
    CHECK_NEED(!pjrt_event_is_ready(&client, done, &ready, &error));
  CHECK(!pjrt_event_on_ready(&client, done, hear, &heard, &error) && !heard,
        "%s", error.message);
  CHECK(!pjrt_event_await(&client, done, &error), "%s", error.message);
  pjrt_buffer_destroy(&client, buffer);
}

int main(void) {
  const char *path = getenv("PFLASH_XLA_PLUGIN");
  pjrt_plugin plugin;
  if (!path || !*path) {
    printf("skipped: PFLASH_XLA_PLUGIN names no plugin\n");
    return 77;
  }
  PJRT_NamedValue options[] = {
      pjrt_option_integer("cpu_device_count", DEVICES)};
  CHECK_NEED(
      !setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=4", 0));
  if (pjrt_plugin_load(path, &plugin, &error) ||
      pjrt_client_create(&plugin, options, 1, &heap, &client, &error)) {
    fprintf(stderr, "%s\n", error.message);
    return 1;
  }
  int failed = CHECK_RUN(test_client, test_orders, test_programs, test_events);
  pjrt_client_destroy(&client);
  return failed;
}
