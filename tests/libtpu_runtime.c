/* libtpu_runtime: the real plugin, with no TPU at hand: what it thinks of our
 * structs, compiles for each topology and executables that it reads back, what
 * it refuses and what it dies of, and a client where there is no device. Exit
 * code 77 where there is no libtpu.
 *
 * libtpu is loaded in child processes only, which may die of it. */
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "pjrt/compile.h"
#include "pjrt/execute.h"
#include "twice_kernel.h"

static const pfl_allocator heap;
static base_text plugin_path;

enum { CHILD_SECONDS = 120 };

/* ---- Child processes ----------------------------------------------------- */

/* Runs `task` in a process of its own; its checks are this test's. */
static void run_apart(void (*task)(void), const char *name) {
  int status;
  fflush(NULL);
  pid_t child = fork();
  CHECK_NEED(child >= 0);
  if (!child) {
    alarm(CHILD_SECONDS);
    check_failures = 0;
    task();
    fflush(NULL);
    _exit(check_failures != 0);
  }
  CHECK_NEED(waitpid(child, &status, 0) == child);
  CHECK(status == 0, "%s: exit code %d, signal %d", name, WEXITSTATUS(status),
        WTERMSIG(status));
}

static bool has_tpu(void) {
  return !access("/dev/accel0", F_OK) || !access("/dev/vfio/0", F_OK);
}

/* In a child. A real TPU's environment is the machine's. */
static pjrt_plugin load_libtpu(bool for_devices) {
  pjrt_plugin plugin;
  pfl_error error;
  if ((!(for_devices && has_tpu()) &&
       pjrt_environment_prepare(NULL, false, &error)) ||
      pjrt_plugin_load(base_text_get(&plugin_path), &plugin, &error)) {
    fprintf(stderr, "%s\n", error.message);
    _exit(1);
  }
  return plugin;
}

/* ---- Programs ------------------------------------------------------------ */

/* Compiles it; the artifact is the caller's unless it is NULL. */
static pfl_status compile(const twice_kernel *asked, const char *topology,
                          int replicas, pjrt_artifact *out_artifact,
                          pfl_error *error) {
  base_text module = {0}, options = {0};
  twice_write(asked, replicas, &module, &options);
  pjrt_artifact artifact;
  pfl_status status =
      pjrt_compile(&(pjrt_compile_request){.topology = topology,
                                           .module = module.bytes,
                                           .module_size = module.length,
                                           .options = options.bytes,
                                           .options_size = options.length,
                                           .seconds = CHILD_SECONDS,
                                           .uncached = true},
                   &heap, &artifact, error);
  if (out_artifact)
    *out_artifact = artifact;
  else
    pjrt_artifact_release(&artifact);
  base_text_release(&module);
  base_text_release(&options);
  return status;
}

/* ---- What libtpu thinks of our structs ----------------------------------- */

/* Calls each function that the client calls with a struct of one byte: libtpu
 * refuses it, and says how large it must be at least. */
static void ask_sizes(void) {
  static const struct {
    const char *name;
    size_t slot, size;
  } functions[] = {
#define ASK(name) \
  {#name, offsetof(PJRT_Api, PJRT_##name), PJRT_##name##_Args_STRUCT_SIZE},
#define SKIP(name)
      PJRT_SLOT_LIST(ASK, SKIP, SKIP)
#undef ASK
#undef SKIP
  };
  int asked = 0;
  pjrt_plugin plugin = load_libtpu(false);
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    PJRT_Error *(*function)(void *);
    size_t args[32] = {1};
    pfl_error error = {0};
    CHECK(pjrt_has(plugin.api, functions[i].slot), "libtpu has no %s",
          functions[i].name);
    memcpy(&function, (const char *)plugin.api + functions[i].slot,
           sizeof function);
    pjrt_forward(&plugin, functions[i].name, function(args), &error);
    const char *said = strstr(error.message, "size: expected ");
    long needed = said ? strtol(said + 15, NULL, 10) : 0;
    CHECK(needed > 0 && (size_t)needed <= functions[i].size,
          "%s: we give %zu bytes: %s", functions[i].name, functions[i].size,
          error.message);
    asked++;
  }
  printf("libtpu speaks PJRT %d.%d and takes %d structs of 0.%d\n",
         plugin.api->pjrt_api_version.major_version,
         plugin.api->pjrt_api_version.minor_version, asked, PJRT_ABI_MINOR);
}

static void test_sizes(void) { run_apart(ask_sizes, "sizes"); }

/* ---- Executables --------------------------------------------------------- */

/* libtpu's extension of type 17 reads serialized executables where there is no
 * client (openxla/xla, pjrt_c_api_tpu_executable_extension.h, version 1). Its
 * functions have one form: an executable in, a part of it out. */
typedef struct part_args {
  size_t struct_size;
  const char *executable;
  size_t executable_size;
  const char *part;
  size_t part_size;
  void *backing;
  void (*deleter)(void *);
} part_args;

typedef PJRT_Error *part_fn(part_args *);

typedef struct extension {
  size_t struct_size;
  int type;
  const struct extension *next;
  part_fn *functions[4];
} extension;

enum { TPU_EXECUTABLE = 17 };

/* The third is not there in libtpu 0.0.52. */
static const struct {
  int function;
  const char *name;
} parts[] = {{0, "target"}, {1, "HLO module"}, {3, "memory statistics"}};

static const pjrt_artifact *artifact_to_read; /* for a child */

static const extension *find_extension(const pjrt_plugin *plugin) {
  const extension *found = (const extension *)plugin->api->extension_start;
  while (found && found->type != TPU_EXECUTABLE) found = found->next;
  return found && found->struct_size >= sizeof *found ? found : NULL;
}

static bool holds(const char *bytes, size_t size, const char *word) {
  size_t length = strlen(word);
  for (size_t i = 0; i + length <= size; i++)
    if (!memcmp(bytes + i, word, length)) return true;
  return false;
}

/* Has libtpu take the executable apart. */
static void read_executable(void) {
  pjrt_plugin plugin = load_libtpu(false);
  const extension *reading = find_extension(&plugin);
  if (!reading) {
    printf("this libtpu reads no executable without a device\n");
    return;
  }
  for (int i = 0; i < 3; i++) {
    pfl_error error = {0};
    part_args args = {.struct_size = sizeof args,
                      .executable = artifact_to_read->executable,
                      .executable_size = artifact_to_read->executable_size};
    pfl_status status =
        pjrt_forward(&plugin, parts[i].name,
                     reading->functions[parts[i].function](&args), &error);
    CHECK(!status && args.part_size > 0, "%s: %s", parts[i].name,
          error.message);
    CHECK(status || i != 1 || holds(args.part, args.part_size, "twice"),
          "the HLO module knows no kernel of ours");
    if (!status && args.deleter) args.deleter(args.backing);
  }
}

/* Half of it is refused. */
static void read_damaged(void) {
  pjrt_plugin plugin = load_libtpu(false);
  const extension *reading = find_extension(&plugin);
  if (!reading) return;
  part_args args = {.struct_size = sizeof args,
                    .executable = artifact_to_read->executable,
                    .executable_size = artifact_to_read->executable_size / 2};
  PJRT_Error *raised = reading->functions[1](&args);
  pfl_error error = {0};
  CHECK(raised, "half an executable was read");
  pjrt_forward(&plugin, "HLO module", raised, &error);
}

static void check_packed(const pjrt_artifact *made) {
  base_text packed = {0};
  pjrt_artifact got;
  pfl_error error;
  CHECK_NEED(!pjrt_artifact_pack(made, NULL, &packed, &error));
  CHECK_NEED(
      !pjrt_artifact_unpack(packed.bytes, packed.length, &heap, &got, &error));
  CHECK(got.executable_size == made->executable_size &&
            !memcmp(got.executable, made->executable, made->executable_size) &&
            !memcmp(&got.memory, &made->memory, sizeof got.memory) &&
            !strcmp(got.version, made->version) &&
            got.cost_count == made->cost_count,
        "packed and unpacked");
  base_text_release(&packed);
  pjrt_artifact_release(&got);
}

static void test_topologies(void) {
  static const struct {
    const char *name;
    int chips;
  } topologies[] = {{"v5e:1x1", 1},   {"v5e:2x2", 4}, {"v4:2x2x1", 4},
                    {"v5p:2x2x1", 4}, {"v6e:2x2", 4}, {"tpu7x:2x2x1", 4}};
  for (size_t i = 0; i < sizeof topologies / sizeof *topologies; i++) {
    pjrt_artifact artifact;
    pfl_error error = {0};
    pfl_status status = compile(&(twice_kernel){0}, topologies[i].name,
                                topologies[i].chips, &artifact, &error);
    CHECK(!status, "%s: %s", topologies[i].name, error.message);
    if (status) continue;
    CHECK(artifact.memory.argument_bytes == TWICE_ROWS * TWICE_COLUMNS * 4 &&
              artifact.memory.output_bytes == TWICE_ROWS * TWICE_COLUMNS * 4 &&
              artifact.memory.generated_code_bytes > 0,
          "%s: %lld bytes in, %lld out", topologies[i].name,
          (long long)artifact.memory.argument_bytes,
          (long long)artifact.memory.output_bytes);
    check_packed(&artifact);
    artifact_to_read = &artifact;
    run_apart(read_executable, topologies[i].name);
    if (i == 0) run_apart(read_damaged, "half an executable");
    pjrt_artifact_release(&artifact);
  }
}

static void look_at_devices(void) {
  pjrt_plugin plugin = load_libtpu(false);
  PJRT_TopologyDescription *topology;
  pjrt_device_info devices[8];
  int64_t count = 0;
  pfl_error error = {0};
  CHECK_NEED(!pjrt_topology_create(&plugin, "v5e:2x2", &topology, &error));
  CHECK(!pjrt_topology_devices(&plugin, topology, devices, 8, &count, &error) &&
            count == 4,
        "%lld devices: %s", (long long)count, error.message);
  bool seen[2][2] = {{false}};
  for (int64_t i = 0; i < count && i < 8; i++) {
    const pjrt_device_info *device = &devices[i];
    int64_t x = device->coordinates[0], y = device->coordinates[1];
    CHECK(!strcmp(device->kind, "TPU v5 lite") &&
              device->coordinate_count == 3 && x >= 0 && x < 2 && y >= 0 &&
              y < 2 && !seen[x & 1][y & 1],
          "device %d, a %s, is at %lld, %lld", device->id, device->kind,
          (long long)x, (long long)y);
    seen[x & 1][y & 1] = true;
  }
  pjrt_topology_destroy(&plugin, topology);
}

static void test_devices(void) { run_apart(look_at_devices, "devices"); }

/* ---- Refusals and deaths ------------------------------------------------- */

/* It must fail, with both of these in the message. */
static void check_compile(const twice_kernel *asked, const char *topology,
                          const char *how, const char *why) {
  pfl_error error = {0};
  pfl_status status = compile(asked, topology, 1, NULL, &error);
  CHECK(status && strstr(error.message, how) && strstr(error.message, why),
        "not \"%s\", \"%s\": %s: %s", how, why, pfl_status_name(status),
        error.message);
}

static void test_refusals(void) {
  static const char how[] = "PJRT_Compile: ";
  check_compile(&(twice_kernel){.op = "arith.addq"}, "v5e:1x1", how,
                "unregistered operation 'arith.addq'");
  check_compile(&(twice_kernel){.version = "x = 1 : i64"}, "v5e:1x1", how,
                "Missing or invalid version attribute");
  check_compile(&(twice_kernel){.version = "stable_mosaic.version = 999 : i64"},
                "v5e:1x1", how, "Unsupported version");
  /* 2 x 256 MB */
  check_compile(&(twice_kernel){.rows = 1 << 19}, "v5e:1x1", how,
                "would exceed memory (size=134217728)");
  check_compile(&(twice_kernel){0}, "v5e:none",
                "PJRT_TopologyDescription_Create: ", "v5e:none");
}

/* A barrier, of a kernel that XLA was not told communicates: a failed CHECK in
 * libtpu 0.0.52. */
static const char barrier[] =
    "    %one = \"stable_mosaic.arith.constant\"() {value = 1 : i32} : () -> "
    "i32\n"
    "    %s = \"stable_mosaic.tpu.sem_barrier\"() : () -> "
    "memref<!tpu.semaphore, #tpu.memory_space<semaphore_mem>>\n"
    "    \"stable_mosaic.tpu.sem_signal\"(%s, %one) {operandSegmentSizes = "
    "array<i32: 1, 1, 0, 0>} : (memref<!tpu.semaphore, "
    "#tpu.memory_space<semaphore_mem>>, i32) -> ()\n";

static void test_deaths(void) {
  check_compile(&(twice_kernel){.further = barrier}, "v5e:1x1",
                "died of signal 6; its last words: F",
                "Custom barrier sync flag is not set");
  check_compile(&(twice_kernel){0}, "v5e:0x0", "died of signal 8", "");
  pfl_error error = {0};
  CHECK(!compile(&(twice_kernel){0}, "v5e:1x1", 1, NULL, &error),
        "after all that: %s", error.message);
}

/* ---- A client ------------------------------------------------------------ */

static void run_on_device(const pjrt_client *client) {
  pfl_error error = {0};
  static float in[TWICE_ROWS * TWICE_COLUMNS], out[TWICE_ROWS * TWICE_COLUMNS];
  for (int i = 0; i < TWICE_ROWS * TWICE_COLUMNS; i++) in[i] = (float)i;
  pjrt_program program;
  PJRT_Buffer *buffers[2];
  CHECK_NEED(!pjrt_program_load(client, artifact_to_read->executable,
                                artifact_to_read->executable_size, &program,
                                &error));
  pjrt_upload upload = {
      .device = program.devices[0],
      .shape = {PFL_DTYPE_F32, 2, {TWICE_ROWS, TWICE_COLUMNS}},
      .data = in};
  CHECK_NEED(!pjrt_buffer_upload(client, &upload, NULL, &buffers[0], &error));
  pjrt_run run = {.arguments = buffers, .argument_count = 1};
  CHECK_NEED(
      !pjrt_program_run(client, &program, &run, NULL, &buffers[1], &error));
  pjrt_download download = {out, sizeof out, NULL};
  CHECK_NEED(
      !pjrt_buffer_download(client, buffers[1], &download, NULL, &error));
  for (int i = 0; i < 8 * TWICE_COLUMNS; i++)
    CHECK(out[i] == 2 * in[i], "%d: %g", i, (double)out[i]);
  pjrt_buffers_destroy(client, buffers, 2);
  pjrt_program_unload(client, &program);
}

/* Where there is a TPU this runs a program on it; elsewhere it is told so. */
static void make_client(void) {
  pjrt_plugin plugin = load_libtpu(true);
  pjrt_client client;
  pfl_error error = {0};
  pfl_status status =
      pjrt_client_create(&plugin, NULL, 0, &heap, &client, &error);
  if (status) {
    CHECK(!client.handle && strstr(error.message, "PJRT_Client_Create: "), "%s",
          error.message);
    printf("no client here: %s\n", error.message);
    return;
  }
  if (strncmp(client.devices[0].info.kind, "TPU v5 lite", 11)) {
    printf("no program for a %s\n", client.devices[0].info.kind);
    pjrt_client_destroy(&client);
    return;
  }
  run_on_device(&client);
  pjrt_client_destroy(&client);
}

static void test_client(void) {
  pjrt_artifact artifact;
  pfl_error error = {0};
  CHECK_NEED(!compile(&(twice_kernel){0}, "v5e:1x1", 1, &artifact, &error));
  artifact_to_read = &artifact;
  run_apart(make_client, "client");
  pjrt_artifact_release(&artifact);
}

int main(void) {
  pfl_error error;
  if (pjrt_plugin_find(&plugin_path, &error)) {
    printf("skipped: %s\n", error.message);
    return 77;
  }
  int failed = CHECK_RUN(test_sizes, test_topologies, test_devices,
                         test_refusals, test_deaths, test_client);
  base_text_release(&plugin_path);
  return failed;
}
