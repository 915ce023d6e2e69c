/* The pool: every task once, however many there are and however soon one run
 * follows another. */
#include "base/threads.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"
#include "failing.h"

enum { TASKS_MAX = 1000, WORKERS_MAX = 16 };

static base_threads *create(int32_t count) {
  pfl_allocator allocator = {0};
  base_threads *threads = NULL;
  CHECK_NEED(!base_threads_create(&allocator, count, &threads, NULL));
  CHECK(base_threads_count(threads) == count, "%d", count);
  return threads;
}

/* What the tasks of one run did. Not atomic: that a task is run once is what
 * makes it safe, and what ThreadSanitizer is to see. */
typedef struct run_record {
  int times[TASKS_MAX];
  int32_t worker[TASKS_MAX];
  int64_t of_worker[WORKERS_MAX]; /* the last task of each */
} run_record;

static void record_task(void *argument, int64_t task, int32_t worker) {
  run_record *record = argument;
  record->times[task]++;
  record->worker[task] = worker;
  record->of_worker[worker] = task;
}

static void check_run_of(base_threads *threads, int64_t tasks) {
  static run_record record;
  memset(&record, 0, sizeof record);
  for (int i = 0; i < WORKERS_MAX; i++) record.of_worker[i] = -1;
  base_threads_run(threads, tasks, record_task, &record);
  for (int64_t task = 0; task < TASKS_MAX; task++)
    CHECK(record.times[task] == (task < tasks),
          "task %d of %d: %d times on %d threads", (int)task, (int)tasks,
          record.times[task], base_threads_count(threads));
  for (int64_t task = 0; task < tasks; task++)
    CHECK(record.worker[task] >= 0 &&
              record.worker[task] < base_threads_count(threads),
          "task %d on worker %d", (int)task, record.worker[task]);
}

static void test_every_task_once(void) {
  static const int64_t counts[] = {0, 1, 2, 3, 7, 15, 16, 17, 100, TASKS_MAX};
  for (int32_t count = 1; count <= WORKERS_MAX; count++) {
    base_threads *threads = create(count);
    for (int round = 0, rounds = check_cases(20); round < rounds; round++)
      for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        check_run_of(threads, counts[i]);
    base_threads_destroy(threads);
  }
}

static void count_task(void *argument, int64_t task, int32_t worker) {
  (void)worker;
  ((int *)argument)[task]++;
}

/* Runs of next to nothing, back to back: a wake-up that is lost hangs, a task
 * that is lost or doubled shows in the sums. */
static void test_many_tiny_runs(void) {
  static const int32_t counts[] = {2, 3, 4, 16};
  static const int many[] = {40000, 10000, 5000, 2000};
  for (int i = 0; i < 4; i++) {
    base_threads *threads = create(counts[i]);
    int times[20] = {0}, want[20] = {0};
    int runs = check_cases(many[i]);
    for (int run = 0; run < runs; run++) {
      int tasks = 2 + run % 19;
      base_threads_run(threads, tasks, count_task, times);
      for (int task = 0; task < tasks; task++) want[task]++;
    }
    for (int task = 0; task < 20; task++)
      CHECK(times[task] == want[task], "%d threads, task %d: %d, not %d",
            counts[i], task, times[task], want[task]);
    base_threads_destroy(threads);
  }
}

static void pause_for(long nanoseconds) {
  struct timespec time = {0, nanoseconds};
  nanosleep(&time, NULL);
}

/* Workers that have gone to sleep, that are about to, and that have not, and
 * tasks that end long after the others. */
static void slow_task(void *argument, int64_t task, int32_t worker) {
  if (task == 0) pause_for(300000);
  count_task(argument, task, worker);
}

static void test_sleeping_workers(void) {
  base_threads *threads = create(4);
  int times[8] = {0}, runs = check_cases(400);
  for (int run = 0; run < runs; run++) {
    base_threads_run(threads, 8, run % 3 ? count_task : slow_task, times);
    pause_for(check_between(0, 200000));
  }
  for (int task = 0; task < 8; task++)
    CHECK(times[task] == runs, "task %d: %d, not %d", task, times[task], runs);
  base_threads_destroy(threads);
}

/* Ended right after they began, with and without a run between. */
static void test_short_lives(void) {
  int lives = check_cases(400);
  for (int life = 0; life < lives; life++) {
    base_threads *threads = create((int32_t)check_between(1, 8));
    int times[4] = {0};
    if (life % 2) base_threads_run(threads, 4, count_task, times);
    CHECK(times[3] == life % 2, "%d", times[3]);
    base_threads_destroy(threads);
  }
  base_threads_destroy(NULL);
}

/* Two pools, each driven by its own thread. */
typedef struct driver {
  base_threads *threads;
  int runs, times[5];
} driver;

static void *drive(void *argument) {
  driver *d = argument;
  for (int run = 0; run < d->runs; run++)
    base_threads_run(d->threads, 5, count_task, d->times);
  return NULL;
}

static void test_two_pools(void) {
  int runs = check_cases(5000);
  driver drivers[] = {{create(3), runs, {0}}, {create(2), runs, {0}}};
  pthread_t other;
  CHECK_NEED(!pthread_create(&other, NULL, drive, &drivers[0]));
  drive(&drivers[1]);
  CHECK_NEED(!pthread_join(other, NULL));
  for (int i = 0; i < 2; i++) {
    for (int task = 0; task < 5; task++)
      CHECK(drivers[i].times[task] == runs, "%d", drivers[i].times[task]);
    base_threads_destroy(drivers[i].threads);
  }
}

static pfl_status create_and_destroy(failing_state *state) {
  pfl_allocator allocator = failing_allocator(state);
  base_threads *threads = NULL;
  pfl_status status = base_threads_create(&allocator, 3, &threads, NULL);
  if (status == PFL_STATUS_OK) base_threads_destroy(threads);
  return status;
}

static void test_no_memory(void) {
  for (failing_state state = {0}; failing_next(&state);)
    state.done = failing_check(&state, create_and_destroy(&state));
}

/* Bytes of address space in use. */
static int64_t address_space(void) {
  FILE *file = fopen("/proc/self/statm", "r");
  char line[64] = "";
  CHECK_NEED(file && fgets(line, sizeof line, file));
  fclose(file);
  return strtoll(line, NULL, 10) * sysconf(_SC_PAGESIZE);
}

/* With room for the stacks of some threads and not of all, those that began
 * are ended again, and there is room for a few once more. */
static void test_no_threads(void) {
  pfl_allocator allocator = {0};
  pfl_error error = {PFL_STATUS_OK, ""};
  base_threads *threads = NULL;
  struct rlimit before;
  int64_t used = address_space();
  if (used > (int64_t)1 << 40) return; /* a sanitizer's, which needs more */
  CHECK_NEED(!getrlimit(RLIMIT_AS, &before));
  struct rlimit tight = {(rlim_t)used + (100 << 20), before.rlim_max};
  CHECK_NEED(!setrlimit(RLIMIT_AS, &tight));
  pfl_status status = base_threads_create(&allocator, 1000, &threads, &error);
  if (status == PFL_STATUS_OK) { /* stacks may be small */
    base_threads_destroy(threads);
  } else {
    CHECK(status == PFL_STATUS_RESOURCE_EXHAUSTED, "%d", status);
    CHECK(strstr(error.message, "of 1000 threads"), "%s", error.message);
    CHECK(threads == NULL, "a pool all the same");
  }
  base_threads_destroy(create(3));
  CHECK_NEED(!setrlimit(RLIMIT_AS, &before));
}

static void test_cpu_count(void) {
  CHECK(base_cpu_count() >= 1, "%d CPUs", base_cpu_count());
}

int main(void) {
  return CHECK_RUN(test_every_task_once, test_many_tiny_runs,
                   test_sleeping_workers, test_short_lives, test_two_pools,
                   test_no_memory, test_no_threads, test_cpu_count);
}
