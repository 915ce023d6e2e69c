/* Waiting for what a plugin does. */
#include "base/memory.h"
#include "pjrt/client.h"

void pjrt_event_destroy(const pjrt_client *client, PJRT_Event *event) {
  PJRT_DESTROY(&client->plugin, Event_Destroy, event, event);
}

pfl_status pjrt_event_await(const pjrt_client *client, PJRT_Event *event,
                            pfl_error *error) {
  if (!event) return PFL_STATUS_OK;
  PJRT_Event_Await_Args args = PJRT_ARGS(Event_Await_Args, .event = event);
  pfl_status status = PJRT_CALL(&client->plugin, Event_Await, &args, error);
  pjrt_event_destroy(client, event);
  return status;
}

pfl_status pjrt_events_await(const pjrt_client *client,
                             PJRT_Event *const *events, int64_t count,
                             pfl_error *error) {
  pfl_status first = PFL_STATUS_OK;
  for (int64_t i = 0; i < count; i++) {
    pfl_status status =
        pjrt_event_await(client, events[i], first ? NULL : error);
    if (!first) first = status;
  }
  return first;
}

pfl_status pjrt_event_is_ready(const pjrt_client *client, PJRT_Event *event,
                               bool *out_ready, pfl_error *error) {
  PJRT_Event_IsReady_Args args = PJRT_ARGS(Event_IsReady_Args, .event = event);
  PFL_TRY(PJRT_CALL(&client->plugin, Event_IsReady, &args, error));
  *out_ready = args.is_ready;
  return PFL_STATUS_OK;
}

/* ---- Being told ---------------------------------------------------------- */

/* What a callback needs; it gives this back itself. */
typedef struct listener {
  pjrt_plugin plugin;
  pfl_allocator allocator;
  pjrt_event_fn *call;
  void *user;
} listener;

static void hear(PJRT_Error *raised, void *user_arg) {
  listener heard = *(listener *)user_arg;
  base_release(&heard.allocator, user_arg);
  pfl_error outcome = {PFL_STATUS_OK, ""};
  pjrt_forward(&heard.plugin, "Event_OnReady", raised, &outcome);
  heard.call(heard.user, &outcome);
}

pfl_status pjrt_event_on_ready(const pjrt_client *client, PJRT_Event *event,
                               pjrt_event_fn *call, void *user,
                               pfl_error *error) {
  listener *told = base_allocate(&client->allocator, sizeof *told);
  if (!told)
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for an event's listener");
  *told = (listener){client->plugin, client->allocator, call, user};
  PJRT_Event_OnReady_Args args = PJRT_ARGS(Event_OnReady_Args, .event = event,
                                           .callback = hear, .user_arg = told);
  pfl_status status = PJRT_CALL(&client->plugin, Event_OnReady, &args, error);
  if (status) base_release(&client->allocator, told);
  return status;
}
