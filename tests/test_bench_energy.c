/* Meters that are there, that start over, that lie, that are not there: a fake
 * tree of zones, and a fake NVML that is this very program's library. */
#include "bench/energy.h"

#include <math.h>
#include <sys/stat.h>

#include "directory.h"

static void write_file(const char *zone, const char *file, const char *text) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", directory, zone);
  mkdir(path, 0700);
  snprintf(path, sizeof path, "%s/%s/%s", directory, zone, file);
  FILE *out = fopen(path, "w");
  CHECK_NEED(out && fputs(text, out) >= 0 && fclose(out) == 0);
}

static void make_zone(const char *zone, const char *name, const char *counter) {
  write_file(zone, "name", name);
  write_file(zone, "max_energy_range_uj", "262143328850\n");
  write_file(zone, "energy_uj", counter);
}

static void remove_zone(const char *zone) {
  static const char *const files[] = {"name", "max_energy_range_uj",
                                      "energy_uj"};
  char path[512];
  for (int i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "%s/%s/%s", directory, zone, files[i]);
    remove(path);
  }
  snprintf(path, sizeof path, "%s/%s", directory, zone);
  remove(path);
}

static energy_meters *open_here(void) {
  CHECK_NEED(!setenv("PFLASH_POWERCAP", directory, 1));
  return energy_open();
}

static void test_none(void) {
  energy_meters *meters = open_here();
  energy_reading reading = energy_read(meters);
  CHECK(!meters, "a meter where there is none");
  CHECK(
      isnan(reading.joules[ENERGY_RAPL]) && isnan(reading.joules[ENERGY_NVML]),
      "%g J", reading.joules[ENERGY_RAPL]);
  energy_close(meters);
}

/* Packages are added up; what is within or around them is left out. */
static void test_packages(void) {
  make_zone("intel-rapl:0", "package-0\n", "1000000\n");
  make_zone("intel-rapl:1", "package-1\n", "5000000\n");
  make_zone("intel-rapl:0:0", "core\n", "7\n");
  make_zone("intel-rapl:2", "psys\n", "7\n");
  energy_meters *meters = open_here();
  CHECK_NEED(meters);
  energy_reading before = energy_read(meters);
  write_file("intel-rapl:0", "energy_uj", "2500000\n");
  write_file("intel-rapl:1", "energy_uj", "5250000\n");
  write_file("intel-rapl:0:0", "energy_uj", "9000000\n");
  energy_reading after = energy_read(meters);
  double joules = energy_between(&before, &after, ENERGY_RAPL);
  CHECK(fabs(joules - 1.75) < 1e-9, "%g J", joules);
  CHECK(isnan(energy_between(&after, &after, ENERGY_RAPL)),
        "a counter that stood still counted");
  energy_close(meters);
}

/* 1.5 J before the end of the range, then 0.5 J: 2 J and a microjoule. */
static void test_starts_over(void) {
  make_zone("intel-rapl:0", "package-0\n", "262141828850\n");
  energy_meters *meters = open_here();
  CHECK_NEED(meters);
  energy_reading before = energy_read(meters);
  write_file("intel-rapl:0", "energy_uj", "500000\n");
  energy_reading after = energy_read(meters);
  double joules = energy_between(&before, &after, ENERGY_RAPL);
  CHECK(fabs(joules - 2.000001) < 1e-9, "%.7f J", joules);
  energy_close(meters);
}

/* Nothing is guessed from then on. */
static void test_lies(void) {
  static const char *const lies[] = {"", "many\n", "-3\n", "1 2\n",
                                     "262143328851\n"};
  for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
    make_zone("intel-rapl:0", "package-0\n", "1000000\n");
    energy_meters *meters = open_here();
    CHECK_NEED(meters);
    energy_reading before = energy_read(meters);
    write_file("intel-rapl:0", "energy_uj", lies[i]);
    energy_reading during = energy_read(meters);
    write_file("intel-rapl:0", "energy_uj", "3000000\n");
    energy_reading after = energy_read(meters);
    CHECK(isnan(energy_between(&before, &during, ENERGY_RAPL)) &&
              isnan(energy_between(&before, &after, ENERGY_RAPL)),
          "'%s' gave %g J", lies[i],
          energy_between(&before, &during, ENERGY_RAPL));
    energy_close(meters);
    write_file("intel-rapl:0", "energy_uj", lies[i]);
    meters = open_here();
    CHECK(!meters, "'%s' is taken for a meter", lies[i]);
    energy_close(meters);
  }
}

/* The fake counts 250 mJ at each reading, of each of its two boards. */
static void test_boards(void) {
  CHECK_NEED(!setenv("PFLASH_NVML", FAKE_NVML, 1));
  energy_meters *meters = open_here();
  CHECK_NEED(meters);
  energy_reading before = energy_read(meters);
  energy_reading after = energy_read(meters);
  double joules = energy_between(&before, &after, ENERGY_NVML);
  CHECK(fabs(joules - 0.5) < 1e-9, "%g J", joules);
  CHECK(isnan(after.joules[ENERGY_RAPL]), "RAPL where there is none");
  energy_close(meters);
  CHECK_NEED(!setenv("PFLASH_NVML", "no-such-library.so", 1));
}

static void test_cleared(void) {
  remove_zone("intel-rapl:0");
  CHECK(files_in_directory() == 0, "%d files are left", files_in_directory());
}

static void clear_others(void) {
  remove_zone("intel-rapl:1");
  remove_zone("intel-rapl:0:0");
  remove_zone("intel-rapl:2");
}

int main(void) {
  directory_make();
  CHECK_NEED(!setenv("PFLASH_NVML", "no-such-library.so", 1));
  int failed =
      CHECK_RUN(test_none, test_packages, clear_others, test_starts_over,
                test_lies, test_cleared, test_boards);
  directory_remove();
  return failed;
}
