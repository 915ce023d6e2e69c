#include "base/memory.h"
#include "sim/plugin_parts.h"

/* Who is to be told of the end. */
typedef struct listener listener;
struct listener {
  listener *next;
  PJRT_Event_Callback *call;
  void *user;
};

struct PJRT_Event {
  pthread_mutex_t mutex;
  pthread_cond_t ended;
  int references;
  bool over;
  pfl_error outcome;
  listener *listeners;
};

PJRT_Event *sim_event_create(void) {
  PJRT_Event *event = base_allocate(&sim_heap, sizeof *event);
  if (!event) return NULL;
  *event = (PJRT_Event){.references = 2};
  pthread_mutex_init(&event->mutex, NULL);
  pthread_cond_init(&event->ended, NULL);
  return event;
}

PJRT_Event *sim_event_keep(PJRT_Event *event) {
  pthread_mutex_lock(&event->mutex);
  event->references++;
  pthread_mutex_unlock(&event->mutex);
  return event;
}

void sim_event_release(PJRT_Event *event) {
  if (!event) return;
  pthread_mutex_lock(&event->mutex);
  bool last = !--event->references;
  pthread_mutex_unlock(&event->mutex);
  if (!last) return;
  pthread_mutex_destroy(&event->mutex);
  pthread_cond_destroy(&event->ended);
  base_release(&sim_heap, event);
}

void sim_event_end(PJRT_Event *event, pfl_status status,
                   const pfl_error *error) {
  pthread_mutex_lock(&event->mutex);
  if (status) event->outcome = *error;
  event->outcome.status = status;
  event->over = true;
  listener *listeners = event->listeners;
  event->listeners = NULL;
  pthread_cond_broadcast(&event->ended);
  pthread_mutex_unlock(&event->mutex);
  while (listeners) { /* without the lock: they may call us */
    listener *next = listeners->next;
    listeners->call(sim_answer(status, &event->outcome), listeners->user);
    base_release(&sim_heap, listeners);
    listeners = next;
  }
  sim_event_release(event);
}

/* ---- The functions ------------------------------------------------------- */

PJRT_Error *sim_Event_Destroy(PJRT_Event_Destroy_Args *args) {
  SIM_BEGIN(Event_Destroy, event);
  sim_event_release(args->event);
  return NULL;
}

PJRT_Error *sim_Event_IsReady(PJRT_Event_IsReady_Args *args) {
  SIM_BEGIN(Event_IsReady, is_ready);
  SIM_NEED(args->event);
  pthread_mutex_lock(&args->event->mutex);
  args->is_ready = args->event->over;
  pthread_mutex_unlock(&args->event->mutex);
  return NULL;
}

PJRT_Error *sim_Event_Error(PJRT_Event_Error_Args *args) {
  SIM_BEGIN(Event_Error, event);
  SIM_NEED(args->event);
  PJRT_Event *event = args->event;
  pthread_mutex_lock(&event->mutex);
  bool over = event->over;
  pthread_mutex_unlock(&event->mutex);
  if (!over)
    return sim_raise(PFL_STATUS_FAILED_PRECONDITION,
                     "the event is not over: await it first");
  return sim_answer(event->outcome.status, &event->outcome);
}

PJRT_Error *sim_Event_Await(PJRT_Event_Await_Args *args) {
  SIM_BEGIN(Event_Await, event);
  SIM_NEED(args->event);
  PJRT_Event *event = args->event;
  pthread_mutex_lock(&event->mutex);
  while (!event->over) pthread_cond_wait(&event->ended, &event->mutex);
  pthread_mutex_unlock(&event->mutex);
  return sim_answer(event->outcome.status, &event->outcome);
}

PJRT_Error *sim_Event_OnReady(PJRT_Event_OnReady_Args *args) {
  SIM_BEGIN(Event_OnReady, user_arg);
  SIM_NEED(args->event);
  SIM_NEED(args->callback);
  PJRT_Event *event = args->event;
  listener *added = base_allocate(&sim_heap, sizeof *added);
  if (!added)
    return sim_raise(PFL_STATUS_RESOURCE_EXHAUSTED, "no memory on the host");
  *added = (listener){NULL, args->callback, args->user_arg};
  pthread_mutex_lock(&event->mutex);
  bool over = event->over;
  if (!over) {
    listener **place = &event->listeners;
    while (*place) place = &(*place)->next;
    *place = added;
  }
  pthread_mutex_unlock(&event->mutex);
  if (over) {
    base_release(&sim_heap, added);
    args->callback(sim_answer(event->outcome.status, &event->outcome),
                   args->user_arg);
  }
  return NULL;
}
