/* What a report says about the machine and the program, and the machine's
 * clocks. Linux; elsewhere the facts that are not found are empty or 0. */
#ifndef PFL_BENCH_MACHINE_H
#define PFL_BENCH_MACHINE_H

#include <stdint.h>
#include <sys/types.h>

#define MACHINE_TEXT_SIZE 128

typedef struct bench_machine {
  char cpu[MACHINE_TEXT_SIZE];        /* the model's name */
  char isa[16];                       /* its newest of PFL_ISA_LIST */
  char kernel[MACHINE_TEXT_SIZE];     /* system, release, architecture */
  char huge_pages[MACHINE_TEXT_SIZE]; /* transparent huge pages: always,
                                         madvise or never */
  char governor[MACHINE_TEXT_SIZE];   /* of the CPU's frequency */
  int64_t cpus;                       /* the process may run on */
  int64_t page_bytes, memory_bytes;
  int64_t cache_bytes;     /* last-level caches of all CPUs together */
  double clock_resolution; /* seconds; the least step that was seen */
} bench_machine;

void machine_describe(bench_machine *out_machine);

/* Of this program. Static storage. */
const char *machine_compiler(void);
const char *machine_compiler_flags(void);
const char *machine_commit(void); /* "" if it was not built in a checkout */

/* Of this start of the machine, the same until the next; "" if the system does
 * not say. */
#define MACHINE_START_SIZE 12
const char *machine_start(char buffer[MACHINE_START_SIZE]);

/* Seconds from an arbitrary start, never backwards. */
double machine_now(void);

void machine_sleep(double seconds);

/* Seconds that the threads of a process were ready to run and had no CPU,
 * since they started; -1 if the system does not say. */
double machine_waited(pid_t process);

/* CPU seconds that the host of a virtual machine kept from it since it was
 * booted; 0 if unknown. */
double machine_stolen(void);

/* The time of day, "2026-01-31T12:00:00Z". */
#define MACHINE_UTC_SIZE 32
const char *machine_utc(char buffer[MACHINE_UTC_SIZE]);

#endif
