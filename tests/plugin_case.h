/* Programs around kernels for libpflash_sim.so, and a client of it. */
#ifndef PFL_TESTS_PLUGIN_CASE_H
#define PFL_TESTS_PLUGIN_CASE_H

#include "check.h"
#include "mosaic_kernels.h"
#include "pjrt/execute.h"
#include "pjrt/place.h"
#include "xla/program.h"

static const pfl_allocator plugin_case_heap;

/* The plugin of this build. */
static inline void plugin_case_path(char *out_path, size_t capacity) {
  CHECK_NEED(pjrt_program_path(out_path, capacity - 32));
  strcpy(strrchr(out_path, '/'), "/../libpflash_sim.so");
}

static inline void plugin_case_load(pjrt_plugin *out_plugin) {
  char path[4096];
  plugin_case_path(path, sizeof path);
  CHECK_NEED(!pjrt_plugin_load(path, out_plugin, NULL));
}

static inline pfl_status plugin_case_client(const PJRT_NamedValue *options,
                                            size_t count,
                                            pjrt_client *out_client,
                                            pfl_error *error) {
  pjrt_plugin plugin;
  plugin_case_load(&plugin);
  return pjrt_client_create(&plugin, options, count, &plugin_case_heap,
                            out_client, error);
}

/* The text of a kernel, as it goes into a program. */
static inline void plugin_case_kernel(void (*build)(mo_builder *b),
                                      base_text *out) {
  mo_builder builder;
  mo_module *module = NULL;
  pfl_error error = {0};
  mo_begin(&builder, &plugin_case_heap);
  build(&builder);
  pfl_status status = mo_finish(&builder, &module, &error);
  CHECK(!status, "%s", error.message);
  CHECK_NEED(!status && !mo_print(module, NULL, out, &error));
  mo_module_destroy(module);
}

/* z = x + y of f32 [256, 128]. */
static const xla_tensor plugin_case_tile = {PFL_DTYPE_F32, 2, {256, 128}};
enum { PLUGIN_CASE_ITEMS = 256 * 128 };

static inline pfl_status plugin_case_compile(const pjrt_client *client,
                                             const xla_program *program,
                                             pjrt_program *out,
                                             pfl_error *error) {
  base_text module = {0}, options = {0};
  CHECK_NEED(!xla_program_write(program, &module, error));
  CHECK_NEED(!xla_options_write(program->replicas ? program->replicas : 1, NULL,
                                0, &options, NULL));
  pfl_status status =
      pjrt_program_compile(client, module.bytes, module.length, options.bytes,
                           options.length, out, error);
  base_text_release(&module);
  base_text_release(&options);
  return status;
}

#endif
