/* What fake_plugin.c is made of: objects that are counted, errors, arrays,
 * events, and copies that take time. */
#ifndef PFL_TESTS_FAKE_WORK_H
#define PFL_TESTS_FAKE_WORK_H

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fake_plugin.h"
#include "pjrt/pjrt_abi.h"

enum { RANK = 8 };

extern fake_orders fake_plugin_orders;

static fake_orders *const orders = &fake_plugin_orders;

static void *make(size_t size) {
  void *object = calloc(1, size);
  if (!object) abort();
  atomic_fetch_add(&orders->live, 1);
  return object;
}

static void unmake(void *object) {
  if (object) atomic_fetch_sub(&orders->live, 1);
  free(object);
}

/* ---- Errors -------------------------------------------------------------- */

struct PJRT_Error {
  int code;
  char message[200];
};

__attribute__((format(printf, 2, 3))) static PJRT_Error *raise_error(
    int code, const char *format, ...) {
  PJRT_Error *error = make(sizeof *error);
  va_list arguments;
  error->code = code;
  va_start(arguments, format);
  vsnprintf(error->message, sizeof error->message, format, arguments);
  va_end(arguments);
  return error;
}

/* ---- Arrays and events --------------------------------------------------- */

/* One lock for everything that threads share. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int working; /* threads */

/* Row-major elements; whoever holds it last gives it back. */
typedef struct array {
  int holders, writers;
  int64_t bytes;
  char *elements;
} array;

struct PJRT_Event {
  int holders;
  bool is_over, failed;
  PJRT_Event_Callback *callback;
  void *user_arg;
};

/* A copy between an array and the host's memory, or nothing but an event. */
typedef struct work {
  PJRT_Event *event;
  array *array; /* or NULL */
  char *host;
  bool to_host;
  int rank;
  int64_t element, sizes[RANK], strides[RANK]; /* bytes; of the host's memory */
} work;

static array *make_array(int64_t bytes) {
  array *made = make(sizeof *made);
  made->holders = 1;
  made->bytes = bytes;
  made->elements = calloc(1, (size_t)bytes + !bytes);
  return made;
}

static void release_array(array *held) {
  pthread_mutex_lock(&lock);
  bool last = held && --held->holders == 0;
  pthread_mutex_unlock(&lock);
  if (!last) return;
  free(held->elements);
  unmake(held);
}

static void release_event(PJRT_Event *event) {
  pthread_mutex_lock(&lock);
  bool last = event && --event->holders == 0;
  pthread_mutex_unlock(&lock);
  if (last) unmake(event);
}

static PJRT_Error *outcome(const PJRT_Event *event) {
  return event->failed ? raise_error(15, "lost on the way") : NULL;
}

static void copy(const work *todo, int dimension, char *element, char *host) {
  if (dimension == todo->rank) {
    memcpy(todo->to_host ? host : element, todo->to_host ? element : host,
           (size_t)todo->element);
    return;
  }
  int64_t step = todo->element;
  for (int i = dimension + 1; i < todo->rank; i++) step *= todo->sizes[i];
  for (int64_t i = 0; i < todo->sizes[dimension]; i++)
    copy(todo, dimension + 1, element + i * step,
         host + i * todo->strides[dimension]);
}

static void finish(work *todo, bool failed) {
  if (todo->array && todo->array->bytes)
    copy(todo, 0, todo->array->elements, todo->host);
  pthread_mutex_lock(&lock);
  if (todo->array && !todo->to_host) todo->array->writers--;
  todo->event->is_over = true;
  todo->event->failed = failed;
  PJRT_Event_Callback *callback = todo->event->callback;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
  if (callback) callback(outcome(todo->event), todo->event->user_arg);
  release_event(todo->event);
  release_array(todo->array);
  unmake(todo);
}

static void *finish_late(void *argument) {
  nanosleep(&(struct timespec){0, 1000000}, NULL);
  finish(argument, orders->late_fails);
  pthread_mutex_lock(&lock);
  working--;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
  return NULL;
}

/* Does it, now or later; the event is the caller's. */
static PJRT_Event *begin(const work *asked) {
  work *todo = make(sizeof *todo);
  pthread_t thread;
  *todo = *asked;
  PJRT_Event *event = todo->event = make(sizeof *event);
  event->holders = 2;
  pthread_mutex_lock(&lock);
  if (todo->array) todo->array->holders++;
  if (todo->array && !todo->to_host) todo->array->writers++;
  working += orders->late != 0;
  pthread_mutex_unlock(&lock);
  if (!orders->late)
    finish(todo, false);
  else if (pthread_create(&thread, NULL, finish_late, todo) ||
           pthread_detach(thread))
    abort();
  return event;
}

static void wait_until_written(array *read) {
  pthread_mutex_lock(&lock);
  while (read->writers) pthread_cond_wait(&changed, &lock);
  pthread_mutex_unlock(&lock);
}

#endif
