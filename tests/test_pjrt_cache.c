/* The compile cache: its key, many processes at it, and what becomes of entries
 * that are damaged or foreign, and of places that take nothing. The compiler is
 * pflash-compiler with fake_plugin.so, which makes of a module the module. */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "directory.h"
#include "failing.h"
#include "fake_case.h"
#include "pjrt/compile.h"

static char cache[300];

static pjrt_compile_request request_of(const char *module) {
  return (pjrt_compile_request){.topology = "fake:1",
                                .module = module,
                                .module_size = strlen(module),
                                .options = "options",
                                .options_size = 7,
                                .plugin = fake_path};
}

/* Compiles, checks that the answer is right, and says whether the cache had
 * it. */
static bool is_cached(const pjrt_compile_request *asked) {
  pjrt_compile_request request = *asked;
  pjrt_artifact artifact;
  pfl_error error = {0};
  bool from_cache = false;
  request.out_from_cache = &from_cache;
  CHECK(!pjrt_compile(&request, &heap, &artifact, &error), "%s", error.message);
  CHECK(artifact.executable_size == request.module_size &&
            !memcmp(artifact.executable, request.module, request.module_size),
        "%.*s is no answer to %.*s", (int)artifact.executable_size,
        (const char *)artifact.executable, (int)request.module_size,
        (const char *)request.module);
  pjrt_artifact_release(&artifact);
  return from_cache;
}

static bool is_known(const char *module) {
  pjrt_compile_request request = request_of(module);
  return is_cached(&request);
}

static const char *module_number(int number) {
  static char text[64];
  snprintf(text, sizeof text, "fake 1 devices %d outputs 0 taken", number);
  return text;
}

/* ---- The directory ------------------------------------------------------- */

static void open_cache(void) {
  snprintf(cache, sizeof cache, "%s/cache", directory);
  CHECK_NEED(!setenv("PFLASH_CACHE", cache, 1));
}

static int empty_cache(void) { return folder_remove(cache); }

/* The path of the one entry. */
static const char *only_entry(void) {
  static char path[600];
  int count = 0;
  DIR *opened = opendir(cache);
  CHECK_NEED(opened);
  for (struct dirent *entry; (entry = readdir(opened));)
    if (entry->d_name[0] != '.') {
      snprintf(path, sizeof path, "%s/%s", cache, entry->d_name);
      count++;
    }
  closedir(opened);
  CHECK(count == 1, "%d entries", count);
  return path;
}

/* Where it is when nobody says: with XDG_CACHE_HOME, with HOME, with neither.
 */
static void test_places(void) {
  static const char *const folders[] = {"/.cache/pallas-flash", "/.cache",
                                        "/pallas-flash"};
  char *home = strdup(getenv("HOME") ? getenv("HOME") : "/");
  char path[400];
  CHECK_NEED(home && !unsetenv("PFLASH_CACHE") && !unsetenv("HOME") &&
             !unsetenv("XDG_CACHE_HOME"));
  CHECK(!is_known(module_number(1)) && !is_known(module_number(1)), "nowhere");
  CHECK_NEED(!setenv("HOME", directory, 1));
  CHECK(!is_known(module_number(1)) && is_known(module_number(1)), "HOME");
  CHECK_NEED(!setenv("XDG_CACHE_HOME", directory, 1));
  CHECK(!is_known(module_number(1)) && is_known(module_number(1)),
        "XDG_CACHE_HOME");
  for (int i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "%s%s", directory, folders[i]);
    CHECK(folder_remove(path) == (i != 1), "%s", path);
  }
  CHECK_NEED(!unsetenv("XDG_CACHE_HOME") && !setenv("HOME", home, 1));
  free(home);
}

/* ---- The key ------------------------------------------------------------- */

static void copy_file(const char *from, const char *to, bool other_build) {
  size_t size;
  char *bytes = get_file(from, &size);
  /* the linker's note: sizes of name and build id, type 3, "GNU" */
  for (size_t i = 16; i + 16 < size; i++)
    if (!memcmp(bytes + i - 4, "\3\0\0\0GNU\0", 8)) {
      bytes[i + 4] ^= other_build;
      break;
    }
  put_file(to, bytes, size);
  free(bytes);
}

static void test_key(void) {
  char copy[300];
  open_cache();
  pjrt_compile_request request = request_of(module_number(1));
  CHECK(!is_cached(&request) && is_cached(&request), "twice the same");
  const pjrt_compile_request same = request;
  request.topology = "fake:2";
  CHECK(!is_cached(&request) && is_cached(&request), "topology");
  request = same;
  request.options_size = 6;
  CHECK(!is_cached(&request) && is_cached(&request), "options");
  request = same;
  request.module = module_number(2);
  CHECK(!is_cached(&request) && is_cached(&request), "module");
  request.module = module_number(1);
  static const char *const variables[] = {"LIBTPU_INIT_ARGS", "XLA_FLAGS"};
  for (int i = 0; i < 2; i++) {
    CHECK_NEED(!setenv(variables[i], "--some_flag=1", 1));
    CHECK(!is_cached(&request) && is_cached(&request), "%s", variables[i]);
    CHECK_NEED(!unsetenv(variables[i]));
    CHECK(is_cached(&request), "without %s", variables[i]);
  }
  snprintf(copy, sizeof copy, "%s/copy.so", directory);
  request.plugin = copy;
  copy_file(fake_path, copy, true);
  CHECK(!is_cached(&request) && is_cached(&request), "another build");
  request.uncached = true;
  CHECK(!is_cached(&request), "not asked");
  request = same;
  CHECK(is_cached(&request), "the first again");
  CHECK_NEED(!unlink(copy));
  CHECK(empty_cache() == 7, "one entry for each");
}

/* ---- Many at once -------------------------------------------------------- */

enum { MODULES = 5, PROCESSES = 6 };

/* Writes to random entries in place, and cuts and removes them. */
static void vandalise(void) {
  DIR *opened = opendir(cache);
  if (!opened) return;
  for (struct dirent *entry; (entry = readdir(opened));) {
    char path[600];
    if (entry->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "%s/%s", cache, entry->d_name);
    switch (check_between(0, 3)) {
      case 0: unlink(path); break;
      case 1:
        if (truncate(path, check_between(0, 200))) break;
        break;
      case 2: {
        int file = open(path, O_WRONLY | O_CLOEXEC);
        if (file >= 0 && pwrite(file, "rubbish", 7, check_between(0, 200)) < 0)
          check_between(0, 1);
        if (file >= 0) close(file);
      }
    }
  }
  closedir(opened);
}

/* Many processes compile the same modules over and over. */
static void compile_in_many(bool vandals) {
  pid_t children[PROCESSES];
  int rounds = check_cases(40);
  fflush(stdout);
  for (int i = 0; i < PROCESSES; i++) {
    children[i] = fork();
    CHECK_NEED(children[i] >= 0);
    if (children[i]) continue;
    check_state += (uint64_t)i;
    for (int k = 0; k < rounds; k++) {
      if (vandals) vandalise();
      is_known(module_number((int)check_between(1, MODULES)));
    }
    _exit(check_failures != 0);
  }
  for (int i = 0; i < PROCESSES; i++) {
    int status;
    CHECK_NEED(waitpid(children[i], &status, 0) == children[i]);
    CHECK(status == 0, "process %d: %d", i, status);
  }
}

static void test_processes(void) {
  open_cache();
  compile_in_many(false);
  for (int i = 1; i <= MODULES; i++) is_known(module_number(i));
  for (int i = 1; i <= MODULES; i++)
    CHECK(is_known(module_number(i)), "module %d is whole", i);
  CHECK(empty_cache() == MODULES, "and nothing else is there");
  compile_in_many(true);
  empty_cache();
}

/* ---- Damage -------------------------------------------------------------- */

/* Puts `size` bytes where the entry was; the next compile must not mind and
 * mend it. */
static void check_mended(const char *path, const void *bytes, size_t size,
                         const char *what, long where) {
  put_file(path, bytes, size);
  CHECK(!is_known(module_number(1)), "%s %ld was taken", what, where);
  CHECK(is_known(module_number(1)), "%s %ld was not mended", what, where);
}

static void test_damage(void) {
  size_t size, other_size;
  open_cache();
  is_known(module_number(2));
  char *other = get_file(only_entry(), &other_size);
  empty_cache();
  is_known(module_number(1));
  char path[600];
  strcpy(path, only_entry());
  char *whole = get_file(path, &size);
  long step = 1 + (long)size / check_cases(60);
  for (long i = 0; i < (long)size; i += step) {
    check_mended(path, whole, (size_t)i, "length", i);
    whole[i] ^= 0x10;
    check_mended(path, whole, size, "byte", i);
    whole[i] ^= 0x10;
  }
  check_mended(path, other, 3 * 8, "another's head", 0);
  check_mended(path, "#!/bin/sh\n", 10, "a script", 0);
  /* a whole answer, which is a refusal */
  base_text refusal = {0};
  pfl_error why = {PFL_STATUS_RESOURCE_EXHAUSTED, "no more"};
  CHECK_NEED(!pjrt_artifact_pack(NULL, &why, &refusal, NULL));
  check_mended(path, refusal.bytes, refusal.length, "a refusal", 0);
  base_text_release(&refusal);
  /* a file larger than memory */
  CHECK_NEED(!truncate(path, 1ll << 42));
  CHECK(!is_known(module_number(1)) && is_known(module_number(1)), "4 TB");
  free(whole);
  free(other);
  empty_cache();
}

/* Things that are no files, in the entry's place. */
static void test_no_file(void) {
  char path[600];
  open_cache();
  is_known(module_number(1));
  strcpy(path, only_entry());
  CHECK_NEED(!unlink(path) && !mkdir(path, 0700));
  CHECK(!is_known(module_number(1)) && !is_known(module_number(1)),
        "a directory");
  CHECK_NEED(!rmdir(path) && !mkfifo(path, 0600));
  CHECK(!is_known(module_number(1)) && !is_known(module_number(1)), "a pipe");
  CHECK_NEED(!unlink(path) && !symlink("/nowhere/at/all", path));
  CHECK(!is_known(module_number(1)), "a link to nothing");
  CHECK_NEED(!unlink(path));
  empty_cache();
}

/* An entry that another user may have written is not run. */
static void test_strangers(void) {
  open_cache();
  is_known(module_number(1));
  const char *path = only_entry();
  CHECK(is_known(module_number(1)), "mine");
  CHECK_NEED(!chmod(path, 0666));
  CHECK(!is_known(module_number(1)) && is_known(module_number(1)),
        "anybody's, and mended");
  if (!geteuid()) {
    CHECK_NEED(!chown(path, 65534, 65534));
    CHECK(!is_known(module_number(1)) && is_known(module_number(1)),
          "another's, and mended");
  }
  empty_cache();
}

/* ---- Places that take nothing -------------------------------------------- */

static int files_in(const char *path) {
  int count = 0;
  DIR *opened = opendir(path);
  CHECK_NEED(opened);
  for (struct dirent *entry; (entry = readdir(opened));)
    count += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
  closedir(opened);
  return count;
}

static void test_unwritable(void) {
  static const char *const places[] = {"/dev/null/cache", "/proc/self",
                                       "/proc/1/none", ""};
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    CHECK_NEED(!setenv("PFLASH_CACHE", places[i], 1));
    CHECK(!is_known(module_number(1)) && !is_known(module_number(1)), "%s",
          places[i]);
  }
  char long_path[5000];
  memset(long_path, 'x', sizeof long_path);
  long_path[0] = '/';
  long_path[sizeof long_path - 1] = 0;
  CHECK_NEED(!setenv("PFLASH_CACHE", long_path, 1));
  CHECK(!is_known(module_number(1)), "a path that is too long");
  /* a directory that is read only: what is there is used */
  open_cache();
  is_known(module_number(1));
  CHECK_NEED(!chmod(cache, 0500));
  CHECK(is_known(module_number(1)), "read only");
  CHECK(!is_known(module_number(2)), "nothing new");
  CHECK(geteuid() == 0 || files_in(cache) == 1, "written all the same");
  CHECK_NEED(!chmod(cache, 0700));
  empty_cache();
}

/* A disk that is full after some bytes of an entry. */
static void test_full(void) {
  struct rlimit before;
  struct stat info;
  open_cache();
  is_known(module_number(1));
  CHECK_NEED(!stat(only_entry(), &info) && !unlink(only_entry()));
  CHECK_NEED(!getrlimit(RLIMIT_FSIZE, &before));
  CHECK_NEED(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
  for (rlim_t bytes = 0; bytes < (rlim_t)info.st_size; bytes += 37) {
    struct rlimit limit = {bytes, before.rlim_max};
    CHECK_NEED(!setrlimit(RLIMIT_FSIZE, &limit));
    bool known = is_known(module_number(1)) || is_known(module_number(1));
    CHECK_NEED(!setrlimit(RLIMIT_FSIZE, &before));
    CHECK(!known, "%llu bytes were enough", (unsigned long long)bytes);
    CHECK(files_in(cache) == 0, "%d files are left", files_in(cache));
  }
  signal(SIGXFSZ, SIG_DFL);
  CHECK(!is_known(module_number(1)) && is_known(module_number(1)), "room");
  empty_cache();
}

static void test_no_memory(void) {
  open_cache();
  is_known(module_number(1));
  for (failing_state state = {0}; failing_next(&state);) {
    pfl_allocator allocator = failing_allocator(&state);
    pjrt_compile_request request = request_of(module_number(1));
    pjrt_artifact artifact;
    pfl_status status = pjrt_compile(&request, &allocator, &artifact, NULL);
    CHECK(!status || status == PFL_STATUS_RESOURCE_EXHAUSTED, "request %ld: %s",
          state.fail_at, pfl_status_name(status));
    pjrt_artifact_release(&artifact);
    CHECK(state.live == 0, "request %ld: %ld blocks leak", state.fail_at,
          state.live);
    state.done = state.requests < state.fail_at;
  }
  empty_cache();
}

int main(void) {
  fake_find();
  directory_make();
  int failed = CHECK_RUN(test_places, test_key, test_processes, test_damage,
                         test_no_file, test_strangers, test_unwritable,
                         test_full, test_no_memory);
  directory_remove();
  return failed;
}
