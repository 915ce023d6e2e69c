#define _GNU_SOURCE /* sched_getaffinity */
#include "base/threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

/* How long a worker looks for the next run before it sleeps: decode calls come
 * microseconds apart, and waking a sleeping thread costs tens of them. */
enum { SPINS_BEFORE_SLEEP = 2000 };

struct base_threads {
  pfl_allocator allocator;
  int32_t count, started;
  pthread_mutex_t mutex;
  pthread_cond_t wake, done;
  atomic_uint_fast64_t run_number; /* raised, under mutex, by each run */
  int32_t sleeping;                /* under mutex */
  bool ending;                     /* under mutex */
  atomic_int_fast32_t busy;        /* workers that have not finished this run */
  base_task_fn *run;
  void *argument;
  int64_t tasks;
  atomic_int_fast64_t next_task;
  struct worker {
    base_threads *threads;
    pthread_t handle;
    int32_t number;
  } workers[];
};

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

static void take_tasks(base_threads *threads, int32_t worker) {
  for (;;) {
    int64_t task = atomic_fetch_add_explicit(&threads->next_task, 1,
                                             memory_order_relaxed);
    if (task >= threads->tasks) return;
    threads->run(threads->argument, task, worker);
  }
}

/* Waits for a run after number `seen`; false when the pool ends. */
static bool wait_for_run(base_threads *threads, uint64_t seen) {
  for (int i = 0; i < SPINS_BEFORE_SLEEP; i++) {
    if (atomic_load_explicit(&threads->run_number, memory_order_acquire) !=
        seen)
      break;
    relax();
  }
  pthread_mutex_lock(&threads->mutex);
  threads->sleeping++;
  while (atomic_load(&threads->run_number) == seen && !threads->ending)
    pthread_cond_wait(&threads->wake, &threads->mutex);
  threads->sleeping--;
  bool more = !threads->ending;
  pthread_mutex_unlock(&threads->mutex);
  return more;
}

static void *work(void *argument) {
  struct worker *worker = argument;
  base_threads *threads = worker->threads;
  for (uint64_t seen = 0; wait_for_run(threads, seen); seen++) {
    take_tasks(threads, worker->number);
    if (atomic_fetch_sub_explicit(&threads->busy, 1, memory_order_acq_rel) ==
        1) {
      pthread_mutex_lock(&threads->mutex);
      pthread_cond_signal(&threads->done);
      pthread_mutex_unlock(&threads->mutex);
    }
  }
  return NULL;
}

static void wait_until_done(base_threads *threads) {
  for (int i = 0; i < SPINS_BEFORE_SLEEP; i++) {
    if (!atomic_load_explicit(&threads->busy, memory_order_acquire)) return;
    relax();
  }
  pthread_mutex_lock(&threads->mutex);
  while (atomic_load_explicit(&threads->busy, memory_order_acquire))
    pthread_cond_wait(&threads->done, &threads->mutex);
  pthread_mutex_unlock(&threads->mutex);
}

void base_threads_run(base_threads *threads, int64_t tasks, base_task_fn *run,
                      void *argument) {
  if (tasks <= 1 || threads->count == 1) {
    for (int64_t task = 0; task < tasks; task++) run(argument, task, 0);
    return;
  }
  threads->run = run;
  threads->argument = argument;
  threads->tasks = tasks;
  atomic_store(&threads->next_task, 0);
  atomic_store(&threads->busy, threads->count - 1);
  pthread_mutex_lock(&threads->mutex);
  atomic_fetch_add(&threads->run_number, 1);
  if (threads->sleeping) pthread_cond_broadcast(&threads->wake);
  pthread_mutex_unlock(&threads->mutex);
  take_tasks(threads, 0);
  wait_until_done(threads);
}

void base_threads_destroy(base_threads *threads) {
  if (!threads) return;
  pthread_mutex_lock(&threads->mutex);
  threads->ending = true;
  pthread_cond_broadcast(&threads->wake);
  pthread_mutex_unlock(&threads->mutex);
  for (int32_t i = 1; i < threads->started; i++)
    pthread_join(threads->workers[i].handle, NULL);
  pthread_cond_destroy(&threads->done);
  pthread_cond_destroy(&threads->wake);
  pthread_mutex_destroy(&threads->mutex);
  pfl_allocator allocator = threads->allocator;
  base_release(&allocator, threads);
}

pfl_status base_threads_create(const pfl_allocator *allocator, int32_t count,
                               base_threads **out_threads, pfl_error *error) {
  base_threads *threads = base_allocate(
      allocator, sizeof *threads + (size_t)count * sizeof *threads->workers);
  if (!threads)
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for %d threads", count);
  threads->allocator = *allocator;
  threads->count = count;
  threads->started = 1;
  threads->sleeping = 0;
  threads->ending = false;
  atomic_init(&threads->run_number, 0);
  atomic_init(&threads->busy, 0);
  atomic_init(&threads->next_task, 0);
  pthread_mutex_init(&threads->mutex, NULL);
  pthread_cond_init(&threads->wake, NULL);
  pthread_cond_init(&threads->done, NULL);
  for (; threads->started < count; threads->started++) {
    struct worker *worker = &threads->workers[threads->started];
    worker->threads = threads;
    worker->number = threads->started;
    if (pthread_create(&worker->handle, NULL, work, worker)) {
      int32_t got = threads->started;
      base_threads_destroy(threads);
      PFL_RAISE(error, RESOURCE_EXHAUSTED,
                "the system gave %d of %d threads; ask for fewer", got, count);
    }
  }
  *out_threads = threads;
  return PFL_STATUS_OK;
}

int32_t base_threads_count(const base_threads *threads) {
  return threads->count;
}

int32_t base_cpu_count(void) {
  cpu_set_t set;
  if (!sched_getaffinity(0, sizeof set, &set)) {
    int count = CPU_COUNT(&set);
    if (count > 0) return count;
  }
  long count = sysconf(_SC_NPROCESSORS_ONLN);
  return count > 0 ? (int32_t)count : 1;
}
