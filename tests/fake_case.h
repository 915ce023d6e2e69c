/* A test's hold on fake_plugin.so, which lies beside it. */
#ifndef PFL_TESTS_FAKE_CASE_H
#define PFL_TESTS_FAKE_CASE_H

#include <dlfcn.h>

#include "check.h"
#include "fake_plugin.h"
#include "pjrt/execute.h"
#include "pjrt/place.h"

static const pfl_allocator heap;
static fake_orders *orders;
static char fake_path[4096];

/* No orders, nothing counted. */
static inline void fake_reset(void) {
  CHECK(orders->live == 0, "%ld objects were not given back", orders->live);
  memset(orders, 0, sizeof *orders);
}

/* Once, first. */
static inline void fake_find(void) {
  CHECK_NEED(pjrt_program_path(fake_path, sizeof fake_path - 32));
  strcpy(strrchr(fake_path, '/'), "/fake_plugin.so");
  void *library = dlopen(fake_path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  CHECK_NEED(library);
  orders = dlsym(library, "fake_plugin_orders");
  CHECK_NEED(orders && !dlclose(library));
}

/* A client of the plugin as it is now ordered to be. */
static inline pfl_status fake_client(const pfl_allocator *allocator,
                                     pjrt_client *out_client,
                                     pfl_error *error) {
  pjrt_plugin plugin;
  *out_client = (pjrt_client){0};
  PFL_TRY(pjrt_plugin_load(fake_path, &plugin, error));
  return pjrt_client_create(&plugin, NULL, 0, allocator, out_client, error);
}

static inline pfl_status fake_load(const pjrt_client *client, const char *text,
                                   pjrt_program *out_program,
                                   pfl_error *error) {
  return pjrt_program_load(client, text, strlen(text), out_program, error);
}

#endif
