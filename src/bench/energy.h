/* Energy by the counters of devices, where they can be read (rule 53). They
 * count whole packages and boards, with whatever else runs there, and neither
 * memory nor power supplies: never the wall's power, and nothing is guessed
 * where there is none.
 *
 *   energy_meters *meters = energy_open();
 *   energy_reading before = energy_read(meters), after;
 *   ... work ...
 *   after = energy_read(meters);
 *   double joules = energy_between(&before, &after, ENERGY_RAPL);  NAN: unknown
 *   energy_close(meters);
 *
 * Threads: one. */
#ifndef PFL_BENCH_ENERGY_H
#define PFL_BENCH_ENERGY_H

/* X(NAME, name in reports, what it counts). */
#define BENCH_ENERGY_LIST(X)                                          \
  X(RAPL, "rapl", "the CPU's packages, by RAPL; memory is not in it") \
  X(NVML, "nvml", "all NVIDIA boards of this machine together, by NVML")

typedef enum energy_source {
#define ENERGY_ENUM(name, text, what) ENERGY_##name,
  BENCH_ENERGY_LIST(ENERGY_ENUM)
#undef ENERGY_ENUM
      ENERGY_SOURCES
} energy_source;

const char *energy_name(energy_source source);
const char *energy_what(energy_source source);
/* ENERGY_SOURCES if there is none of that name. */
energy_source energy_find(const char *name);

typedef struct energy_meters energy_meters;

/* Finds the meters: RAPL's zones in /sys/class/powercap (PFLASH_POWERCAP may
 * name another tree), the library of NVIDIA's driver (PFLASH_NVML may name
 * another). NULL, which the other calls take: there are none, or no memory. */
energy_meters *energy_open(void);
void energy_close(energy_meters *meters);

/* Joules since energy_open; NAN: it cannot be read. A counter that has started
 * over is followed, if it is read at least once a turn: RAPL's turns take
 * minutes at full power. */
typedef struct energy_reading {
  double joules[ENERGY_SOURCES];
} energy_reading;
energy_reading energy_read(energy_meters *meters);

/* NAN: unknown, or a counter that stood still. */
double energy_between(const energy_reading *before, const energy_reading *after,
                      energy_source source);

#endif
