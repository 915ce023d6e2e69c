/* Peers that behave and peers that do not: whatever they do ends in an error
 * that says so, in bounded time, with no process left. */
#include "bench/peer.h"

#include <errno.h>
#include <signal.h>

#include "bench/machine.h"
#include "directory.h"
#include "fake_peer.h"

static const bench_workload workload = {.model = "",
                                        .layers = 1,
                                        .op = BENCH_OP_FORWARD,
                                        .batch = 1,
                                        .q_heads = 2,
                                        .kv_heads = 1,
                                        .q_length = 40,
                                        .kv_length = 40,
                                        .head_dim = 16,
                                        .causal = true,
                                        .dtype = PFL_DTYPE_F32,
                                        .cache_dtype = PFL_DTYPE_F32};

static base_threads *threads;
static bench_tensors tensors;
static bench_gate gate;

static void set_up(void) {
  static const pfl_allocator allocator = {0};
  directory_make();
  CHECK_NEED(base_threads_create(&allocator, 2, &threads, NULL) ==
             PFL_STATUS_OK);
  CHECK_NEED(tensors_create(&workload, 1, 0, threads, &tensors, NULL) ==
             PFL_STATUS_OK);
  CHECK_NEED(gate_create(&tensors, threads, &gate, NULL) == PFL_STATUS_OK);
}

static void tear_down(void) {
  gate_release(&gate);
  tensors_release(&tensors);
  base_threads_destroy(threads);
  directory_remove(); /* which must be empty */
}

/* How far a peer with this fault gets: load, two runs, check. */
typedef struct outcome {
  pfl_status load, run, check;
  gate_verdict verdict;
  char title[64];
  pfl_error error; /* the first */
} outcome;

static outcome try_peer(const char *fault) {
  outcome result = {PFL_STATUS_OK, PFL_STATUS_OK, PFL_STATUS_OK};
  bench_peer *peer;
  double seconds = 0;
  fake_peer_set(fault);
  CHECK_NEED(peer_start(FAKE_PEER_PATH, 1, directory, (peer_patience){20, 20},
                        &peer, &result.error) == PFL_STATUS_OK);
  pid_t process = peer_process(peer);
  result.load = peer_load(peer, &tensors, &result.error);
  if (result.load == PFL_STATUS_OK) {
    result.run = peer_run(peer, &seconds, &result.error);
    if (result.run == PFL_STATUS_OK)
      result.run = peer_run(peer, &seconds, &result.error);
  }
  if (result.load == PFL_STATUS_OK && result.run == PFL_STATUS_OK) {
    CHECK(seconds > 0 && seconds < 20, "%g s", seconds);
    result.check =
        peer_check(peer, &tensors, &gate, &result.verdict, &result.error);
  }
  snprintf(result.title, sizeof result.title, "%s", peer_title(peer));
  peer_stop(peer);
  CHECK(kill(process, 0) == -1 && errno == ESRCH, "%s: process %d is left",
        fault, (int)process);
  CHECK(files_in_directory() == 0, "%s: %d files are left", fault,
        files_in_directory());
  return result;
}

static bool says(const outcome *result, const char *words) {
  return strstr(result->error.message, words) != NULL;
}

static void test_honest(void) {
  outcome result = try_peer(NULL);
  CHECK(result.load == PFL_STATUS_OK && result.run == PFL_STATUS_OK &&
            result.check == PFL_STATUS_OK,
        "%s", result.error.message);
  CHECK(result.verdict.passed && result.verdict.error > 0, "error %g",
        result.verdict.error);
  CHECK(!strcmp(result.title, "fake 1.0"), "title %s", result.title);
}

static void test_wrong_result(void) {
  outcome result = try_peer("other result");
  CHECK(result.check == PFL_STATUS_OK, "%s", result.error.message);
  CHECK(!result.verdict.passed && fabs(result.verdict.error - 0.01) < 1e-5,
        "error %g", result.verdict.error);
}

static void test_skip(void) {
  outcome result = try_peer("skip");
  CHECK(result.load == PFL_STATUS_UNIMPLEMENTED, "%d", result.load);
  CHECK(says(&result, "Monday") && !strchr(result.error.message, '\x1b'), "%s",
        result.error.message);
}

static void test_hostile_name(void) {
  outcome result = try_peer("hostile name");
  CHECK(result.check == PFL_STATUS_OK, "%s", result.error.message);
  CHECK(!strchr(result.title, '\a') && strstr(result.title, "<b>"), "%s",
        result.title);
}

/* Each with what its message must say. */
static void test_faults(void) {
  static const struct {
    const char *fault, *words;
    pfl_status load, run, check;
  } faults[] = {
      {"die at once", "cannot find my libraries", PFL_STATUS_UNAVAILABLE},
      {"close output", "closed its output", PFL_STATUS_UNAVAILABLE},
      {"endless line", "over 65536 bytes", PFL_STATUS_UNAVAILABLE},
      {"neither", "neither \"ready\" nor \"skip\"", PFL_STATUS_UNAVAILABLE},
      {"die on run", "exit code 3; it said \"last words\"", PFL_STATUS_OK,
       PFL_STATUS_UNAVAILABLE},
      {"crash on run", "signal 6", PFL_STATUS_OK, PFL_STATUS_UNAVAILABLE},
      {"garbage", "no JSON object", PFL_STATUS_OK, PFL_STATUS_UNAVAILABLE},
      {"a list", "no JSON object", PFL_STATUS_OK, PFL_STATUS_UNAVAILABLE},
      {"no number", "seconds", PFL_STATUS_OK, PFL_STATUS_UNAVAILABLE},
      {"negative", "\"seconds\": -1", PFL_STATUS_OK, PFL_STATUS_UNAVAILABLE},
      {"too long", "\"seconds\": 1000", PFL_STATUS_OK, PFL_STATUS_UNAVAILABLE},
      {"other shape", "another shape than [1, 2, 40, 16]", PFL_STATUS_OK,
       PFL_STATUS_OK, PFL_STATUS_UNAVAILABLE},
      {"other dtype", "o", PFL_STATUS_OK, PFL_STATUS_OK, PFL_STATUS_DATA_LOSS},
      {"other name", "no tensor o", PFL_STATUS_OK, PFL_STATUS_OK,
       PFL_STATUS_UNAVAILABLE},
      {"no file", "outputs.safetensors", PFL_STATUS_OK, PFL_STATUS_OK,
       PFL_STATUS_NOT_FOUND},
      {"no tensors", "outputs.safetensors", PFL_STATUS_OK, PFL_STATUS_OK,
       PFL_STATUS_DATA_LOSS},
  };
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
    outcome result = try_peer(faults[i].fault);
    CHECK(result.load == faults[i].load && result.run == faults[i].run,
          "%s: load %d, run %d: %s", faults[i].fault, result.load, result.run,
          result.error.message);
    CHECK(!strcmp(faults[i].fault, "other dtype") ||
              result.check == faults[i].check,
          "%s: check %d: %s", faults[i].fault, result.check,
          result.error.message);
    CHECK(says(&result, faults[i].words), "%s: %s", faults[i].fault,
          result.error.message);
  }
}

/* A second answer that is there with the first is refused. */
static void test_two_lines(void) {
  outcome result = try_peer("two lines");
  CHECK(result.run == PFL_STATUS_UNAVAILABLE, "run %d: %s", result.run,
        result.error.message);
}

static void test_hanging(void) {
  static const char *const faults[] = {"hang on cell", "hang on run",
                                       "never end"};
  for (int i = 0; i < 3; i++) {
    bench_peer *peer;
    pfl_error error;
    double seconds, start = machine_now();
    fake_peer_set(faults[i]);
    CHECK_NEED(peer_start(FAKE_PEER_PATH, 1, directory,
                          (peer_patience){i ? 20 : 0.2, 0.2}, &peer,
                          &error) == PFL_STATUS_OK);
    pfl_status status = peer_load(peer, &tensors, &error);
    if (i) {
      CHECK(status == PFL_STATUS_OK, "%s", error.message);
      status = peer_run(peer, &seconds, &error);
    }
    CHECK(status == (i == 2 ? PFL_STATUS_OK : PFL_STATUS_DEADLINE_EXCEEDED),
          "%s: %d", faults[i], status);
    pid_t process = peer_process(peer);
    peer_stop(peer);
    CHECK(kill(process, 0) == -1, "%s: process left", faults[i]);
    CHECK(machine_now() - start < 15, "%s: %g s", faults[i],
          machine_now() - start);
  }
}

/* Its threads are told by the environment, which is otherwise ours. */
static void test_environment(void) {
  bench_peer *peer;
  pfl_error error = {0};
  char path[512];
  snprintf(path, sizeof path, "%s", in_directory("peer.sh"));
  const char script[] =
      "#!/bin/sh\nread line\n"
      "echo \"{\\\"skip\\\":\\\"$OMP_NUM_THREADS $MKL_NUM_THREADS $GREETING "
      "$(env | grep -c OMP_NUM_THREADS)\\\"}\"\n";
  put_file(path, script, sizeof script - 1);
  CHECK_NEED(!chmod(path, 0755) && !setenv("GREETING", "hello", 1) &&
             !setenv("OMP_NUM_THREADS", "77", 1));
  CHECK_NEED(peer_start(path, 3, directory, (peer_patience){0}, &peer,
                        &error) == PFL_STATUS_OK);
  pfl_status status = peer_load(peer, &tensors, &error);
  CHECK(status == PFL_STATUS_UNIMPLEMENTED, "%d", status);
  CHECK(!strcmp(error.message, "3 3 hello 1"), "%s", error.message);
  peer_stop(peer);
  CHECK_NEED(!unlink(path));
}

static void test_strangers(void) {
  bench_peer *peer;
  pfl_error error;
  CHECK(peer_is_known("torch") && peer_is_known("./mine") &&
            !peer_is_known("tensorflow") && !peer_is_known(""),
        "names");
  CHECK(peer_start("tensorflow", 1, directory, (peer_patience){0}, &peer,
                   &error) == PFL_STATUS_INVALID_ARGUMENT,
        "an unknown name");
  CHECK(peer_start("/nowhere/at/all", 1, directory, (peer_patience){0}, &peer,
                   &error) == PFL_STATUS_NOT_FOUND,
        "no such program");
  CHECK(strstr(error.message, "/nowhere/at/all"), "%s", error.message);
  CHECK_NEED(!setenv("PFLASH_PEERS", "/nowhere", 1));
  CHECK(peer_start("torch", 1, directory, (peer_patience){0}, &peer, &error) ==
            PFL_STATUS_NOT_FOUND,
        "no such script");
  CHECK(strstr(error.message, "torch_sdpa.py"), "%s", error.message);
  unsetenv("PFLASH_PEERS");
  peer_stop(NULL);
}

int main(void) {
  if (getenv("PFLASH_FAKE_PEER")) return fake_peer();
  set_up();
  int failed = CHECK_RUN(test_honest, test_wrong_result, test_skip,
                         test_hostile_name, test_faults, test_two_lines,
                         test_hanging, test_environment, test_strangers);
  tear_down();
  return failed;
}
