#include "bench/energy.h"

#include <dirent.h>
#include <dlfcn.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ZONES_MAX = 64, BOARDS_MAX = 64, PATH_SIZE = 512 };

/* A package; energy_uj counts microjoules up to max_energy_range_uj and then
 * starts over (Linux, Documentation/power/powercap/powercap.rst). */
typedef struct zone {
  char counter[PATH_SIZE];
  uint64_t range, last;
} zone;

/* Of nvml.h: handles are opaque, statuses 0 for success. */
typedef void *nvml_device;
typedef int nvml_start(void);
typedef int nvml_count(unsigned *count);
typedef int nvml_get(unsigned index, nvml_device *device);
typedef int nvml_energy(nvml_device device, unsigned long long *millijoules);

struct energy_meters {
  zone zones[ZONES_MAX];
  int zone_count;
  double rapl_joules; /* NAN once it could not be read */
  nvml_device boards[BOARDS_MAX];
  unsigned long long first[BOARDS_MAX];
  int board_count;
  nvml_energy *board_energy;
  nvml_start *end;
  void *library;
};

#define ENERGY_ROW(name, text, what) {text, what},
static const struct {
  const char *name, *what;
} sources[] = {BENCH_ENERGY_LIST(ENERGY_ROW)};
#undef ENERGY_ROW

const char *energy_name(energy_source source) { return sources[source].name; }
const char *energy_what(energy_source source) { return sources[source].what; }

energy_source energy_find(const char *name) {
  int source = 0;
  while (source < ENERGY_SOURCES && strcmp(sources[source].name, name))
    source++;
  return (energy_source)source;
}

/* ---- RAPL ---------------------------------------------------------------- */

static bool read_line(const char *path, char *line, int size) {
  FILE *file = fopen(path, "r");
  bool there = file && fgets(line, size, file);
  if (file) fclose(file);
  return there;
}

static bool read_number(const char *path, uint64_t *out_number) {
  char line[32], *end;
  if (!read_line(path, line, sizeof line)) return false;
  *out_number = strtoull(line, &end, 10);
  return end != line && (*end == '\n' || !*end);
}

/* Packages alone: their cores are in them, psys holds them. */
static bool is_package(const char *folder) {
  char path[PATH_SIZE], line[32];
  return snprintf(path, sizeof path, "%s/name", folder) < PATH_SIZE &&
         read_line(path, line, sizeof line) && !strncmp(line, "package", 7);
}

static void add_zone(energy_meters *meters, const char *root,
                     const char *name) {
  char folder[PATH_SIZE], range[PATH_SIZE];
  zone *z = &meters->zones[meters->zone_count];
  if (meters->zone_count == ZONES_MAX ||
      snprintf(folder, sizeof folder, "%s/%s", root, name) >= PATH_SIZE ||
      !is_package(folder))
    return;
  if (snprintf(z->counter, PATH_SIZE, "%s/energy_uj", folder) >= PATH_SIZE ||
      snprintf(range, PATH_SIZE, "%s/max_energy_range_uj", folder) >=
          PATH_SIZE ||
      !read_number(z->counter, &z->last) || !read_number(range, &z->range) ||
      z->last > z->range)
    return;
  meters->zone_count++;
}

static void find_zones(energy_meters *meters) {
  const char *named = getenv("PFLASH_POWERCAP");
  const char *root = named && *named ? named : "/sys/class/powercap";
  DIR *directory = opendir(root);
  const struct dirent *entry;
  while (directory && (entry = readdir(directory)) != NULL)
    if (strchr(entry->d_name, ':')) add_zone(meters, root, entry->d_name);
  if (directory) closedir(directory);
}

/* What it has counted since it was last read; a turn is the range and 1. */
static double advance(zone *z) {
  uint64_t now;
  if (!read_number(z->counter, &now) || now > z->range) return NAN;
  uint64_t more =
      now >= z->last ? now - z->last : now + (z->range - z->last) + 1;
  z->last = now;
  return (double)more * 1e-6;
}

static double read_zones(energy_meters *meters) {
  if (!meters->zone_count) return NAN;
  for (int i = 0; i < meters->zone_count; i++)
    meters->rapl_joules += advance(&meters->zones[i]);
  return meters->rapl_joules;
}

/* ---- NVML ---------------------------------------------------------------- */

static void *symbol(const energy_meters *meters, const char *name) {
  return dlsym(meters->library, name);
}

/* A function pointer out of what dlsym gives, as POSIX says to. */
#define FIND(type, variable, name)             \
  type *variable = NULL;                       \
  do {                                         \
    void *found_ = symbol(meters, name);       \
    memcpy(&variable, &found_, sizeof found_); \
  } while (0)

static void add_boards(energy_meters *meters) {
  FIND(nvml_count, count, "nvmlDeviceGetCount_v2");
  FIND(nvml_get, get, "nvmlDeviceGetHandleByIndex_v2");
  FIND(nvml_energy, energy, "nvmlDeviceGetTotalEnergyConsumption");
  unsigned boards = 0;
  meters->board_energy = energy;
  if (!count || !get || !energy || count(&boards)) return;
  for (unsigned i = 0; i < boards && i < BOARDS_MAX; i++) {
    int n = meters->board_count;
    if (!get(i, &meters->boards[n]) &&
        !energy(meters->boards[n], &meters->first[n]))
      meters->board_count++;
  }
}

static void find_boards(energy_meters *meters) {
  const char *named = getenv("PFLASH_NVML");
  meters->library =
      dlopen(named && *named ? named : "libnvidia-ml.so.1", RTLD_NOW);
  if (!meters->library) return;
  FIND(nvml_start, start, "nvmlInit_v2");
  FIND(nvml_start, end, "nvmlShutdown");
  if (!start || start()) return;
  meters->end = end;
  add_boards(meters);
}

/* A counter that starts over, as it does with the driver, is no counter. */
static double read_boards(const energy_meters *meters) {
  double joules = 0;
  if (!meters->board_count) return NAN;
  for (int i = 0; i < meters->board_count; i++) {
    unsigned long long now;
    if (meters->board_energy(meters->boards[i], &now) || now < meters->first[i])
      return NAN;
    joules += (double)(now - meters->first[i]) * 1e-3;
  }
  return joules;
}

/* ---- Both ---------------------------------------------------------------- */

energy_meters *energy_open(void) {
  energy_meters *meters = calloc(1, sizeof *meters);
  if (!meters) return NULL;
  find_zones(meters);
  find_boards(meters);
  if (meters->zone_count || meters->board_count) return meters;
  energy_close(meters);
  return NULL;
}

void energy_close(energy_meters *meters) {
  if (!meters) return;
  if (meters->end) meters->end();
  if (meters->library) dlclose(meters->library);
  free(meters);
}

energy_reading energy_read(energy_meters *meters) {
  if (!meters) return (energy_reading){{NAN, NAN}};
  return (energy_reading){{read_zones(meters), read_boards(meters)}};
}

double energy_between(const energy_reading *before, const energy_reading *after,
                      energy_source source) {
  double joules = after->joules[source] - before->joules[source];
  return joules > 0 ? joules : NAN;
}
