/* compile_growth COUNT [fake | PLUGIN TOPOLOGY]: compiles COUNT times through
 * this one process, without the cache, and COUNT times with it; prints its
 * resident memory and the time of a compile at every tenth. Exit code 1 if the
 * memory of the last tenth is more than GROWTH_BYTES above that of the first.
 * "fake", the default, is fake_plugin.so. */
#include <time.h>
#include <unistd.h>

#include "directory.h"
#include "fake_case.h"
#include "pjrt/compile.h"
#include "twice_kernel.h"

enum { GROWTH_BYTES = 256 << 10, TENTHS = 10 };

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static long resident_bytes(void) {
  long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  CHECK_NEED(file && fscanf(file, "%*d %ld", &pages) == 1);
  fclose(file);
  return pages * sysconf(_SC_PAGESIZE);
}

/* Compiles it `count` times; the seconds of one. */
static double compile_often(const pjrt_compile_request *request, long count) {
  double start = now();
  for (long i = 0; i < count; i++) {
    pjrt_artifact artifact;
    pfl_error error = {0};
    CHECK(!pjrt_compile(request, &heap, &artifact, &error), "%s",
          error.message);
    pjrt_artifact_release(&artifact);
    if (check_failures) exit(1);
  }
  return (now() - start) / (double)count;
}

static void measure(const pjrt_compile_request *request, long count) {
  long first = 0, last = 0;
  printf("%s\n  compiles  resident KB  ms each\n",
         request->uncached ? "compiled:" : "from the cache:");
  for (int i = 1; i <= TENTHS; i++) {
    double seconds = compile_often(request, count / TENTHS);
    last = resident_bytes();
    if (i == 1) first = last;
    printf("  %8ld  %11ld  %7.3f\n", i * (count / TENTHS), last / 1024,
           1e3 * seconds);
    fflush(stdout);
  }
  CHECK(last - first <= GROWTH_BYTES, "%ld bytes more after %ld compiles",
        last - first, count);
}

int main(int count, char **arguments) {
  long compiles = count > 1 ? strtol(arguments[1], NULL, 10) : 100;
  bool fake = count < 4;
  base_text module = {0}, options = {0};
  CHECK_NEED(compiles >= TENTHS);
  fake_find();
  directory_make();
  CHECK_NEED(!setenv("PFLASH_CACHE", in_directory("cache"), 1));
  if (fake)
    base_text_add_string(&module, "fake 1 devices 1 outputs 0 taken");
  else
    twice_write(&(twice_kernel){0}, 1, &module, &options);
  pjrt_compile_request request = {.topology = fake ? "fake:1" : arguments[3],
                                  .plugin = fake ? fake_path : arguments[2],
                                  .module = module.bytes,
                                  .module_size = module.length,
                                  .options = options.bytes,
                                  .options_size = options.length,
                                  .uncached = true};
  measure(&request, compiles);
  request.uncached = false;
  compile_often(&request, 1);
  measure(&request, compiles);
  base_text_release(&module);
  base_text_release(&options);
  folder_remove(in_directory("cache"));
  directory_remove();
  return check_failures != 0;
}
