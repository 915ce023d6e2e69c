/* What a report says about the machine, and the machine's clocks. */
#include "bench/machine.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/threads.h"
#include "pallas_flash/context.h"

/* What cmake/commit.cmake says, to this file alone. */
#ifdef PFLASH_HAS_COMMIT
#include "bench/commit.h"
#else
#define PFLASH_COMMIT ""
#define PFLASH_C_FLAGS ""
#endif

const char *machine_compiler(void) {
#if defined(__clang__)
  return __VERSION__;
#else
  return "GCC " __VERSION__;
#endif
}

const char *machine_compiler_flags(void) { return PFLASH_C_FLAGS; }

const char *machine_commit(void) { return PFLASH_COMMIT; }

double machine_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

void machine_sleep(double seconds) {
  struct timespec rest = {
      .tv_sec = (time_t)seconds,
      .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9),
  };
  while (nanosleep(&rest, &rest) && errno == EINTR) continue;
}

/* The first line of a small file, without its end; false if there is none. */
static bool read_line(const char *path, char *line, size_t size) {
  FILE *file = fopen(path, "r");
  if (!file) return false;
  bool found = fgets(line, (int)size, file) != NULL;
  fclose(file);
  if (found) line[strcspn(line, "\n")] = 0;
  return found;
}

double machine_waited(pid_t process) {
  char path[320], line[128];
  snprintf(path, sizeof path, "/proc/%lld/task", (long long)process);
  DIR *threads = opendir(path);
  if (!threads) return -1;
  double nanoseconds = -1;
  for (const struct dirent *entry; (entry = readdir(threads));) {
    if (entry->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "/proc/%lld/task/%s/schedstat",
             (long long)process, entry->d_name);
    double ran, waited;
    if (read_line(path, line, sizeof line) &&
        sscanf(line, "%lf %lf", &ran, &waited) == 2)
      nanoseconds = waited + (nanoseconds < 0 ? 0 : nanoseconds);
  }
  closedir(threads);
  return nanoseconds < 0 ? -1 : nanoseconds * 1e-9;
}

double machine_stolen(void) {
  char line[256];
  double ticks;
  /* cpu user nice system idle iowait irq softirq steal */
  if (!read_line("/proc/stat", line, sizeof line) ||
      sscanf(line, "cpu %*s %*s %*s %*s %*s %*s %*s %lf", &ticks) != 1)
    return 0;
  return ticks / (double)sysconf(_SC_CLK_TCK);
}

/* The first digits of the boot's UUID. */
const char *machine_start(char buffer[MACHINE_START_SIZE]) {
  FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");
  *buffer = 0;
  if (file && !fgets(buffer, MACHINE_START_SIZE, file)) *buffer = 0;
  if (file) fclose(file);
  buffer[strcspn(buffer, "-\n")] = 0;
  return buffer;
}

const char *machine_utc(char buffer[MACHINE_UTC_SIZE]) {
  time_t now = time(NULL);
  struct tm utc;
  gmtime_r(&now, &utc);
  strftime(buffer, MACHINE_UTC_SIZE, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return buffer;
}

static double clock_step(void) {
  double least = 1;
  for (int i = 0; i < 1000; i++) {
    double start = machine_now(), end = start;
    while (end == start) end = machine_now();
    if (end - start < least) least = end - start;
  }
  return least;
}

/* "model name : X" of x86, or the first line of a device tree. */
static void find_cpu(char *cpu) {
  snprintf(cpu, MACHINE_TEXT_SIZE, "unknown CPU");
  char line[256];
  FILE *file = fopen("/proc/cpuinfo", "r");
  while (file && fgets(line, sizeof line, file)) {
    const char *colon = strchr(line, ':');
    if (strncmp(line, "model name", 10) || !colon) continue;
    line[strcspn(line, "\n")] = 0;
    snprintf(cpu, MACHINE_TEXT_SIZE, "%.*s", MACHINE_TEXT_SIZE - 1, colon + 2);
    break;
  }
  if (file) fclose(file);
}

/* Each cache is counted at the first CPU of those that share it. */
static int64_t cache_bytes_all(void) {
  int64_t bytes = 0;
  long cpus = sysconf(_SC_NPROCESSORS_CONF);
  for (long cpu = 0; cpu < cpus; cpu++) {
    char path[128], line[256];
    for (int index = 4; index >= 0; index--) { /* the highest is the last */
      snprintf(path, sizeof path,
               "/sys/devices/system/cpu/cpu%ld/cache/index%d/shared_cpu_list",
               cpu, index);
      if (!read_line(path, line, sizeof line)) continue;
      if (strtol(line, NULL, 10) != cpu) break;
      snprintf(path, sizeof path,
               "/sys/devices/system/cpu/cpu%ld/cache/index%d/size", cpu, index);
      if (read_line(path, line, sizeof line)) {
        char *unit;
        int64_t size = strtoll(line, &unit, 10);
        bytes += size * (*unit == 'M' ? 1 << 20 : *unit == 'K' ? 1 << 10 : 1);
      }
      break;
    }
  }
  return bytes;
}

/* "always [madvise] never": the word in brackets. */
static void find_huge_pages(char *mode) {
  char line[MACHINE_TEXT_SIZE];
  *mode = 0;
  if (!read_line("/sys/kernel/mm/transparent_hugepage/enabled", line,
                 sizeof line))
    return;
  const char *open = strchr(line, '[');
  if (open) snprintf(mode, 16, "%.*s", (int)strcspn(open + 1, "]"), open + 1);
}

void machine_describe(bench_machine *out_machine) {
  bench_machine *m = out_machine;
  *m = (bench_machine){
      .cpus = base_cpu_count(),
      .page_bytes = sysconf(_SC_PAGESIZE),
      .memory_bytes =
          (int64_t)sysconf(_SC_PHYS_PAGES) * (int64_t)sysconf(_SC_PAGESIZE),
      .cache_bytes = cache_bytes_all(),
      .clock_resolution = clock_step(),
  };
  find_cpu(m->cpu);
  snprintf(m->isa, sizeof m->isa, "%s", pfl_isa_name(pfl_isa_best()));
  find_huge_pages(m->huge_pages);
  if (!read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
                 m->governor, sizeof m->governor))
    m->governor[0] = 0;
  struct utsname system;
  if (!uname(&system))
    snprintf(m->kernel, sizeof m->kernel, "%.30s %.60s %.30s", system.sysname,
             system.release, system.machine);
}
