/* The pieces that compiling stands on: digests, packed executables, processes;
 * with the plugin's process played by shell scripts. */
#include "check.h"
#include "directory.h"
#include "failing.h"
#include "pjrt/compile.h"
#include "pjrt/plugin.h"
#include "pjrt/sha256.h"

static const pfl_allocator usual;

static void test_sha256(void) {
  /* FIPS 180-4's examples, and its million of letters */
  static const struct {
    const char *text, *digest;
  } cases[] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc",
       "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"}};
  uint8_t digest[SHA256_SIZE];
  char hex[SHA256_HEX_SIZE];
  for (int i = 0; i < 3; i++) {
    sha256(cases[i].text, strlen(cases[i].text), digest);
    sha256_hex(digest, hex);
    CHECK(!strcmp(hex, cases[i].digest), "%s: %s", cases[i].text, hex);
  }
  sha256_state state;
  sha256_begin(&state);
  for (size_t left = 1000000, step; left; left -= step) {
    static const char letters[] =
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    step = (size_t)check_between(1, 80);
    if (step > left) step = left;
    sha256_add(&state, letters, step);
  }
  sha256_end(&state, digest);
  sha256_hex(digest, hex);
  CHECK(!strcmp(hex,
                "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc"
                "7112cd0"),
        "a million: %s", hex);
}

static pjrt_cost costs[] = {{"flops", 7}, {"bytes accessed", 0.5}};
static const pjrt_artifact sample = {
    .memory = {.temp_bytes = 3, .total_bytes = 9},
    .costs = costs,
    .cost_count = 2,
    .version = "a version",
    .executable = "exe\0cutable",
    .executable_size = 11};

static void test_artifact(void) {
  base_text packed = {0};
  CHECK_NEED(!pjrt_artifact_pack(&sample, NULL, &packed, NULL));
  for (failing_state state = {0}; failing_next(&state);) {
    pfl_allocator allocator = failing_allocator(&state);
    pjrt_artifact got;
    pfl_status status = pjrt_artifact_unpack(packed.bytes, packed.length,
                                             &allocator, &got, NULL);
    CHECK(
        status || (got.executable_size == 11 &&
                   !memcmp(got.executable, "exe\0cutable", 11) &&
                   !strcmp(got.version, "a version") &&
                   got.memory.temp_bytes == 3 && got.memory.total_bytes == 9 &&
                   pjrt_artifact_cost(&got, "bytes accessed") == 0.5),
        "round trip");
    pjrt_artifact_release(&got);
    state.done = failing_check(&state, status);
  }
  for (size_t i = 0; i < packed.length; i++) { /* any byte, any length */
    pjrt_artifact got;
    CHECK(pjrt_artifact_unpack(packed.bytes, i, &usual, &got, NULL) ==
              PFL_STATUS_DATA_LOSS,
          "%zu bytes of it", i);
    packed.bytes[i] ^= 1;
    CHECK(pjrt_artifact_unpack(packed.bytes, packed.length, &usual, &got,
                               NULL) == PFL_STATUS_DATA_LOSS,
          "byte %zu changed", i);
    packed.bytes[i] ^= 1;
  }
  base_text_release(&packed);
}

/* Compiles with a script in the compiler's place. */
static pfl_status compile_with(const char *script, double seconds,
                               pfl_error *error) {
  char path[600];
  snprintf(path, sizeof path, "%s/compiler", directory);
  put_file(path, script, strlen(script));
  CHECK_NEED(!chmod(path, 0755) && !setenv("PFLASH_COMPILER", path, 1));
  pjrt_compile_request request = {.topology = "t:1x1",
                                  .module = "module",
                                  .module_size = 6,
                                  .plugin = "/dev/null",
                                  .seconds = seconds};
  pjrt_artifact got;
  pfl_status status = pjrt_compile(&request, &usual, &got, error);
  pjrt_artifact_release(&got);
  unlink(path);
  return status;
}

static void test_bad_compilers(void) {
  static const struct {
    const char *script;
    pfl_status status;
    const char *words;
  } cases[] = {
      {"#!/bin/sh\necho CHECK failed >&2\nkill -ABRT $$\n", PFL_STATUS_INTERNAL,
       "signal 6; its last words: CHECK failed"},
      {"#!/bin/sh\nexec sleep 30\n", PFL_STATUS_DEADLINE_EXCEEDED, "0.3"},
      {"#!/bin/sh\nsleep 30 &\nsleep 30\n", PFL_STATUS_DEADLINE_EXCEEDED,
       "0.3"},
      {"#!/bin/sh\nexit 3\n", PFL_STATUS_INTERNAL, "exit code 3"},
      {"#!/bin/sh\ncat\n", PFL_STATUS_INTERNAL, "without an answer"},
      {"#!/nowhere/sh\n", PFL_STATUS_NOT_FOUND, "cannot run"}};
  setenv("PFLASH_CACHE", "", 1);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    pfl_error error = {0};
    pfl_status status = compile_with(cases[i].script, 0.3, &error);
    CHECK(status == cases[i].status && strstr(error.message, cases[i].words),
          "case %zu: %s: %s", i, pfl_status_name(status), error.message);
  }
}

static void test_no_plugin(void) {
  pjrt_plugin plugin;
  pfl_error error;
  CHECK(
      pjrt_plugin_load("/nowhere.so", &plugin, &error) == PFL_STATUS_NOT_FOUND,
      "no file");
  CHECK(pjrt_plugin_load("/dev/null", &plugin, &error) ==
            PFL_STATUS_FAILED_PRECONDITION,
        "no library");
  unsetenv("PFLASH_PJRT_PLUGIN");
  setenv("PFLASH_LIBTPU", "/nowhere.so", 1);
  base_text path = {0};
  CHECK(pjrt_plugin_find(&path, &error) == PFL_STATUS_NOT_FOUND &&
            strstr(error.message, "PFLASH_LIBTPU is /nowhere.so"),
        "%s", error.message);
  base_text_release(&path);
}

int main(void) {
  directory_make();
  int failed =
      CHECK_RUN(test_sha256, test_artifact, test_bad_compilers, test_no_plugin);
  directory_remove();
  return failed;
}
