/* Plugins that misbehave: against loading, compiling and running. Each time
 * there is a status that says what happened, and nothing is left behind. */
#include <pthread.h>
#include <sys/wait.h>

#include "directory.h"
#include "failing.h"
#include "fake_case.h"
#include "pjrt/compile.h"

/* ---- Everything that the runtime does, once ------------------------------ */

static const char program_text[] = "fake 2 devices 2 outputs 1 taken";

enum { ROWS = 2, VALUES = 2 * ROWS };

/* What a use of the plugin has in hand; all zero is nothing. */
typedef struct hands {
  pjrt_client client;
  pjrt_program program;
  PJRT_Buffer *in[VALUES], *out[VALUES];
  PJRT_Event *done[ROWS];
} hands;

static void let_go(hands *held) {
  for (int i = 0; i < ROWS; i++)
    pjrt_event_destroy(&held->client, held->done[i]);
  if (held->client.handle) {
    pjrt_buffers_destroy(&held->client, held->in, VALUES);
    pjrt_buffers_destroy(&held->client, held->out, VALUES);
    pjrt_program_unload(&held->client, &held->program);
  }
  pjrt_client_destroy(&held->client);
}

static pfl_status prepare(hands *held, const pfl_allocator *allocator,
                          pfl_error *error) {
  static const float data[4] = {1, 2, 3, 4};
  pjrt_device_memory memory;
  pjrt_compiled_memory compiled;
  double flops;
  pjrt_client *client = &held->client;
  PFL_TRY(fake_client(allocator, client, error));
  PFL_TRY(pjrt_device_memory_get(client, 0, &memory, error));
  PFL_TRY(fake_load(client, program_text, &held->program, error));
  PFL_TRY(pjrt_program_memory(client, &held->program, &compiled, error));
  PFL_TRY(pjrt_program_cost(client, &held->program, "flops", &flops, error));
  for (int i = 0; i < VALUES; i++) {
    pjrt_upload upload = {.device = held->program.devices[i / 2],
                          .shape = {PFL_DTYPE_F32, 2, {2, 2}},
                          .data = data};
    PFL_TRY(pjrt_buffer_upload(client, &upload, NULL, &held->in[i], error));
  }
  return PFL_STATUS_OK;
}

static void hear(void *user, const pfl_error *outcome) {
  atomic_int *times = user;
  (void)outcome;
  (*times)++;
}

static pfl_status run_apart(hands *held, const pjrt_run *run, atomic_int *times,
                            pfl_error *error) {
  bool ready;
  pjrt_client *client = &held->client;
  PFL_TRY(pjrt_program_run(client, &held->program, run, held->done, held->out,
                           error));
  PFL_TRY(pjrt_event_on_ready(client, held->done[0], hear, times, error));
  PFL_TRY(pjrt_event_is_ready(client, held->done[1], &ready, error));
  PJRT_Event *done[ROWS] = {held->done[0], held->done[1]};
  held->done[0] = held->done[1] = NULL;
  return pjrt_events_await(client, done, ROWS, error);
}

static pfl_status use(hands *held, const pfl_allocator *allocator, bool apart,
                      atomic_int *times, pfl_error *error) {
  float back[4] = {0};
  bool donated;
  pjrt_client *client = &held->client;
  PFL_TRY(prepare(held, allocator, error));
  pjrt_run run = {.arguments = held->in, .argument_count = 2};
  if (apart)
    PFL_TRY(run_apart(held, &run, times, error));
  else
    PFL_TRY(
        pjrt_program_run(client, &held->program, &run, NULL, held->out, error));
  PFL_TRY(pjrt_buffer_is_donated(client, held->in[0], &donated, error));
  pjrt_download download = {back, sizeof back, NULL};
  PFL_TRY(pjrt_buffer_download(client, held->out[3], &download, NULL, error));
  CHECK(donated && back[3] == 4, "%d, %g", donated, (double)back[3]);
  return PFL_STATUS_OK;
}

/* Loads, runs, and lets go of everything. */
static pfl_status run_all(const pfl_allocator *allocator, bool apart,
                          pfl_error *error) {
  hands held = {0};
  atomic_int times = 0;
  *error = (pfl_error){0};
  pfl_status status = use(&held, allocator, apart, &times, error);
  bool heard = held.client.handle && !status && apart;
  let_go(&held); /* after it nobody speaks any more */
  CHECK(!heard || times == 1, "heard %d times", times);
  CHECK(status == error->status, "%s", error->message);
  return status;
}

/* The same for what a compiler's process does. */
static pfl_status compile_all(const pfl_allocator *allocator, bool apart,
                              pfl_error *error) {
  pjrt_plugin plugin;
  PJRT_TopologyDescription *topology = NULL;
  PJRT_Executable *executable = NULL;
  base_text text = {.allocator = *allocator};
  pjrt_device_info devices[FAKE_DEVICES];
  int64_t count;
  (void)apart;
  *error = (pfl_error){0};
  pfl_status status = pjrt_plugin_load(fake_path, &plugin, error);
  if (status) return status;
  pjrt_plugin_attribute(&plugin, "flops");
  status = pjrt_topology_create(&plugin, "fake:2x2", &topology, error);
  if (!status) status = pjrt_topology_version(&plugin, topology, &text, error);
  if (!status)
    status = pjrt_topology_devices(&plugin, topology, devices, FAKE_DEVICES,
                                   &count, error);
  if (!status)
    status =
        pjrt_compile_here(&plugin, topology, program_text, strlen(program_text),
                          NULL, 0, &executable, error);
  if (!status)
    status = pjrt_executable_pack(&plugin, executable, "0.1", &text, error);
  pjrt_executable_destroy(&plugin, executable);
  pjrt_topology_destroy(&plugin, topology);
  base_text_release(&text);
  return status;
}

typedef pfl_status whole_use(const pfl_allocator *, bool apart, pfl_error *);

static whole_use *const uses[] = {run_all, run_all, compile_all};
enum { USES = 3 };

/* ---- One call after the other -------------------------------------------- */

static bool ends_with(const char *text, const char *end) {
  size_t a = strlen(text), b = strlen(end);
  return a >= b && !strcmp(text + a - b, end);
}

/* Calls whose failure is not one of the use: nothing can be done about what is
 * given back, and what is told for people only may be missing. */
static bool may_fail(int which, const char *name) {
  return ends_with(name, "_Destroy") || !strcmp(name, "Plugin_Attributes") ||
         (uses[which] == compile_all &&
          (!strcmp(name, "Executable_GetCostAnalysis") ||
           !strcmp(name, "Executable_GetCompiledMemoryStats")));
}

static void fail_each(int which, bool late) {
  pfl_error error;
  for (long call = 1;; call++) {
    fake_reset();
    orders->late = late;
    orders->fail_at = call;
    pfl_status status = uses[which](&heap, which == 1, &error);
    if (!*orders->struck) {
      CHECK(!status && call > 15, "use %d, %ld calls: %s", which, call,
            error.message);
      return;
    }
    if (may_fail(which, orders->struck)) {
      CHECK(!status, "%s: %s", orders->struck, error.message);
      continue;
    }
    CHECK(status == PFL_STATUS_FAILED_PRECONDITION &&
              strstr(error.message, orders->struck) &&
              strstr(error.message, "fails, as ordered"),
          "use %d, %s: %s: %s", which, orders->struck, pfl_status_name(status),
          error.message);
  }
}

static void test_each_call_fails(void) {
  for (int i = 0; i < 2 * USES; i++) fail_each(i % USES, i >= USES);
  fake_reset();
}

/* Calls that promise nothing beyond their success, or a number. */
static bool may_be_empty(const char *name) {
  static const char *const names[] = {
      "Plugin_Initialize",    "Event_Await",
      "Event_OnReady",        "Event_IsReady",
      "Device_MemoryStats",   "DeviceDescription_Id",
      "Buffer_IsDeleted",     "Executable_GetCompiledMemoryStats",
      "Executable_NumOutputs"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (!strcmp(names[i], name)) return true;
  return false;
}

/* `order`: one of the orders' numbers, empty_at or half_at. */
static void empty_each(int which, long *order, bool halves) {
  pfl_error error;
  for (long call = 1;; call++) {
    fake_reset();
    *order = call;
    pfl_status status = uses[which](&heap, which == 1, &error);
    if (!*orders->struck) {
      CHECK(!status && call > 15, "%ld calls: %s", call, error.message);
      return;
    }
    bool harmless = may_fail(which, orders->struck) ||
                    may_be_empty(orders->struck) ||
                    (halves && (ends_with(orders->struck, "_Create") ||
                                ends_with(orders->struck, "Compile") ||
                                ends_with(orders->struck, "GetExecutable") ||
                                ends_with(orders->struck, "AndLoad") ||
                                ends_with(orders->struck, "ToHostBuffer")));
    CHECK(harmless ? status == PFL_STATUS_OK
                   : status == PFL_STATUS_INTERNAL ||
                         status == PFL_STATUS_FAILED_PRECONDITION ||
                         status == PFL_STATUS_UNIMPLEMENTED,
          "use %d, %s: %s: %s", which, orders->struck, pfl_status_name(status),
          error.message);
  }
}

static void test_empty_answers(void) {
  for (int i = 0; i < USES; i++) {
    empty_each(i, &orders->empty_at, false);
    empty_each(i, &orders->half_at, true);
  }
  fake_reset();
}

static void test_no_memory(void) {
  pfl_error error;
  fake_reset();
  for (int i = 0; i < USES; i++)
    for (failing_state state = {0}; failing_next(&state);) {
      pfl_allocator allocator = failing_allocator(&state);
      pfl_status status = uses[i](&allocator, i == 1, &error);
      state.done = failing_check(&state, status);
      CHECK(orders->live == 0, "use %d, request %ld: %ld objects", i,
            state.fail_at, orders->live);
    }
  fake_reset();
}

/* ---- Tables -------------------------------------------------------------- */

static void test_missing_functions(void) {
  static const char *const names[] = {
#define NAME(name) #name,
#define NO_NAME(name)
      PJRT_SLOT_LIST(NAME, NAME, NO_NAME)
#undef NAME
#undef NO_NAME
  };
  pfl_error error;
  int needed = 0, called = 0;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    for (int k = 0; k < USES; k++) {
      fake_reset();
      strcpy(orders->missing, names[i]);
      pfl_status status = uses[k](&heap, k == 1, &error);
      bool need =
          ends_with(names[i], "_Destroy") || !strncmp(names[i], "Error_", 6);
      needed += need;
      called += status == PFL_STATUS_UNIMPLEMENTED;
      CHECK(need ? status == PFL_STATUS_FAILED_PRECONDITION
                 : !status || status == PFL_STATUS_UNIMPLEMENTED,
            "without %s: %s", names[i], error.message);
      CHECK(!status || strstr(error.message, names[i]), "without %s: %s",
            names[i], error.message);
    }
  CHECK(needed == 9 * USES && called > 40, "%d needed, %d called", needed,
        called);
  fake_reset();
}

static void test_short_tables(void) {
  pfl_error error;
  /* behind the last of the functions that are called */
  long whole =
      (long)offsetof(PJRT_Api, PJRT_Executable_GetCompiledMemoryStats) +
      (long)sizeof(void *);
  for (long bytes = 1; bytes <= (long)sizeof(PJRT_Api); bytes++)
    for (int k = 0; k < USES; k++) {
      fake_reset();
      orders->table_bytes = bytes;
      pfl_status status = uses[k](&heap, k == 1, &error);
      CHECK(bytes >= whole ? !status
                           : status == PFL_STATUS_FAILED_PRECONDITION ||
                                 status == PFL_STATUS_UNIMPLEMENTED ||
                                 (!status && uses[k] == compile_all),
            "%ld bytes: %s", bytes, error.message);
    }
  fake_reset();
}

static void check_order(long *order, long value, pfl_status expected,
                        const char *words) {
  for (int k = 0; k < USES; k++) {
    pfl_error error;
    fake_reset();
    *order = value;
    pfl_status status = uses[k](&heap, k == 1, &error);
    CHECK(status == expected && strstr(error.message, words), "use %d: %s: %s",
          k, pfl_status_name(status), error.message);
  }
  fake_reset();
}

static void test_versions(void) {
  check_order(&orders->minor, 56, PFL_STATUS_FAILED_PRECONDITION,
              "speaks PJRT 0.56; needed is 0.57");
  check_order(&orders->major, 1, PFL_STATUS_FAILED_PRECONDITION, "PJRT 1.90");
  check_order(&orders->major, -1, PFL_STATUS_FAILED_PRECONDITION, "PJRT -1.90");
  check_order(&orders->minor, 57, PFL_STATUS_OK, "");
  check_order(&orders->minor, 5000, PFL_STATUS_OK, "");
  check_order(&orders->no_table, 1, PFL_STATUS_FAILED_PRECONDITION,
              "returned no table");
  check_order(&orders->larger_structs, 1, PFL_STATUS_INVALID_ARGUMENT,
              "PJRT_Plugin_Initialize_Args size: expected 24, got 16");
  check_order(&orders->short_values, 1, PFL_STATUS_FAILED_PRECONDITION,
              "named values have 48 bytes");
}

static void test_odd_words(void) {
  pfl_error error;
  fake_reset();
  orders->odd_words = 1;
  orders->fail_at = 4;
  CHECK(run_all(&heap, false, &error) == PFL_STATUS_UNKNOWN &&
            strstr(error.message, "did not say why"),
        "%s", error.message);
  fake_reset();
}

/* ---- In the compiler's process ------------------------------------------- */

static int open_descriptors(void) {
  int count = 0;
  DIR *opened = opendir("/proc/self/fd");
  CHECK_NEED(opened);
  while (readdir(opened)) count++;
  closedir(opened);
  return count;
}

/* Compiles with the real pflash-compiler and the plugin under `ordered`. */
static pfl_status compile_apart(const char *ordered, const char *module,
                                double seconds, base_text *log,
                                pfl_error *error) {
  pjrt_compile_request request = {.topology = "fake:2x2",
                                  .module = module,
                                  .module_size = strlen(module),
                                  .options = "options",
                                  .options_size = 7,
                                  .plugin = fake_path,
                                  .seconds = seconds,
                                  .uncached = true,
                                  .log = log};
  pjrt_artifact artifact;
  *error = (pfl_error){0};
  CHECK_NEED(!setenv("FAKE_PLUGIN", ordered, 1));
  int before = open_descriptors();
  pfl_status status = pjrt_compile(&request, &heap, &artifact, error);
  CHECK(open_descriptors() == before, "%s: descriptors are left", ordered);
  CHECK(waitpid(-1, NULL, WNOHANG) == -1, "%s: a process is left", ordered);
  CHECK(status || (artifact.executable_size == strlen(module) &&
                   !memcmp(artifact.executable, module, strlen(module)) &&
                   !strcmp(artifact.version, "0.1")),
        "%s: an artifact of %zu bytes", ordered, artifact.executable_size);
  CHECK(*ordered || status ||
            (artifact.memory.temp_bytes == 33 &&
             pjrt_artifact_cost(&artifact, "flops") == 12),
        "%lld bytes", (long long)artifact.memory.temp_bytes);
  CHECK(!status || !artifact.storage, "%s: an artifact after all", ordered);
  pjrt_artifact_release(&artifact);
  unsetenv("FAKE_PLUGIN");
  return status;
}

static void test_compiler_dies(void) {
  static const char *const functions[] = {
      "Plugin_Initialize", "TopologyDescription_Create", "Compile",
      "Executable_Serialize", "TopologyDescription_Destroy"};
  static const struct {
    int dies_of;
    double seconds;
    pfl_status status;
    const char *words;
  } deaths[] = {{6, 60, PFL_STATUS_INTERNAL, "died of signal 6"},
                {11, 60, PFL_STATUS_INTERNAL, "died of signal 11"},
                {9, 60, PFL_STATUS_INTERNAL, "died of signal 9"},
                {-1, 0.2, PFL_STATUS_DEADLINE_EXCEEDED, "within 0.2 seconds"},
                {-2, 60, PFL_STATUS_INTERNAL, "exit code 7"}};
  char ordered[128];
  pfl_error error;
  for (int i = 0; i < 5 * 5; i++) {
    snprintf(ordered, sizeof ordered, "dies_in=%s dies_of=%d", functions[i / 5],
             deaths[i % 5].dies_of);
    pfl_status status = compile_apart(ordered, program_text,
                                      deaths[i % 5].seconds, NULL, &error);
    CHECK(status == deaths[i % 5].status &&
              strstr(error.message, deaths[i % 5].words),
          "%s: %s", ordered, error.message);
    CHECK(deaths[i % 5].dies_of == -1 ||
              strstr(error.message, "CHECK failed: as ordered"),
          "%s: %s", ordered, error.message);
  }
}

/* Each call of the compiler's process fails, or gives nothing. */
static void test_compiler_fails(void) {
  static const char *const kinds[] = {"fail_at", "empty_at", "half_at"};
  char ordered[64];
  pfl_error error;
  for (int kind = 0; kind < 3; kind++) {
    int failures = 0;
    for (int call = 1; call <= 12; call++) {
      snprintf(ordered, sizeof ordered, "%s=%d", kinds[kind], call);
      pfl_status status =
          compile_apart(ordered, program_text, 60, NULL, &error);
      CHECK(!status || strstr(error.message, "PJRT_"), "%s: %s", ordered,
            error.message);
      CHECK(kind || !status || status == PFL_STATUS_FAILED_PRECONDITION,
            "%s: %s", ordered, error.message);
      failures += status != PFL_STATUS_OK;
    }
    CHECK(failures >= (kind == 2 ? 2 : 4), "%s: %d failures", kinds[kind],
          failures);
  }
}

static void test_compiler_answers(void) {
  static const struct {
    const char *ordered, *module;
    pfl_status status;
    const char *words;
  } cases[] = {
      {"", program_text, PFL_STATUS_OK, ""},
      {"", "nonsense", PFL_STATUS_INVALID_ARGUMENT,
       "PJRT_Compile: no program: \"nonsense\""},
      {"minor=3", program_text, PFL_STATUS_FAILED_PRECONDITION, "PJRT 0.3"},
      {"table_bytes=20", program_text, PFL_STATUS_FAILED_PRECONDITION,
       "has 20 bytes"},
      {"no_table=1", program_text, PFL_STATUS_FAILED_PRECONDITION, "no table"},
      {"missing=Compile", program_text, PFL_STATUS_UNIMPLEMENTED,
       "has no PJRT_Compile"},
      {"larger_structs=1", program_text, PFL_STATUS_INVALID_ARGUMENT,
       "expected 24, got 16"},
      /* a plugin's talk on stdout is no answer, however much of it */
      {"dies_in=Compile floods=1", program_text, PFL_STATUS_OK, ""},
      {"dies_in=Compile floods=1 dies_of=6", program_text, PFL_STATUS_INTERNAL,
       "signal 6"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    pfl_error error;
    base_text log = {0};
    pfl_status status =
        compile_apart(cases[i].ordered, cases[i].module, 60, &log, &error);
    CHECK(status == cases[i].status && strstr(error.message, cases[i].words),
          "case %zu: %s: %s", i, pfl_status_name(status), error.message);
    CHECK(log.length <= 1 << 16, "case %zu: a log of %zu bytes", i, log.length);
    CHECK(!strstr(cases[i].ordered, "floods") || log.length > 1000,
          "case %zu: a log of %zu bytes", i, log.length);
    base_text_release(&log);
  }
}

/* ---- At once ------------------------------------------------------------- */

static void *compile_often(void *argument) {
  int wrong = 0;
  for (int i = 0; i < check_cases(10); i++) {
    pjrt_compile_request request = {.topology = "fake:2x2",
                                    .module = i % 2 ? program_text : "rubbish",
                                    .module_size = i % 2 ? 32 : 7,
                                    .plugin = fake_path,
                                    .uncached = true};
    pjrt_artifact artifact;
    pfl_error error;
    pfl_status status = pjrt_compile(&request, &heap, &artifact, &error);
    wrong += i % 2 ? status != PFL_STATUS_OK || artifact.executable_size != 32
                   : status != PFL_STATUS_INVALID_ARGUMENT;
    pjrt_artifact_release(&artifact);
  }
  *(int *)argument = wrong;
  return NULL;
}

static void test_compiles_at_once(void) {
  pthread_t threads[4];
  int wrong[4];
  for (int i = 0; i < 4; i++)
    CHECK_NEED(!pthread_create(&threads[i], NULL, compile_often, &wrong[i]));
  for (int i = 0; i < 4; i++) {
    CHECK_NEED(!pthread_join(threads[i], NULL));
    CHECK(wrong[i] == 0, "thread %d: %d answers were wrong", i, wrong[i]);
  }
}

int main(void) {
  fake_find();
  return CHECK_RUN(test_each_call_fails, test_empty_answers, test_no_memory,
                   test_missing_functions, test_short_tables, test_versions,
                   test_odd_words, test_compiler_dies, test_compiler_fails,
                   test_compiler_answers, test_compiles_at_once);
}
