/* The simulator's plugin with every allocation failing once: the first of a
 * whole life of a client, then the second, ... until all is well. Each time it
 * ends in success or in RESOURCE_EXHAUSTED, and nothing is left.
 *
 * The plugin is linked into this program, whose malloc and free are wrapped
 * (-Wl,--wrap): what other threads take is counted too, so that which one fails
 * is not quite the same each time; that some do is what matters. */
#include <stdatomic.h>

#include "plugin_case.h"
#include "sim/plugin_api.h"

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void __real_free(void *memory);
void __wrap_free(void *memory);

static atomic_long requests, live, fail_at;

void *__wrap_malloc(size_t size) {
  long number = atomic_fetch_add(&requests, 1) + 1;
  if (number == atomic_load(&fail_at)) return NULL;
  void *memory = __real_malloc(size);
  if (memory) atomic_fetch_add(&live, 1);
  return memory;
}

void __wrap_free(void *memory) {
  if (memory) atomic_fetch_sub(&live, 1);
  __real_free(memory);
}

static const pfl_allocator heap;
static base_text module, options;

/* Two arguments, of which one is donated, through two calls and back. */
static void write_program(void) {
  static const xla_tensor tile = {PFL_DTYPE_F32, 2, {256, 128}};
  static const int first[] = {0, 1}, second[] = {2, 0}, outputs[] = {3, 2};
  static const xla_alias donation = {0, 0};
  base_text kernel = {0};
  plugin_case_kernel(build_vector_add, &kernel);
  xla_call call = {.kernel_name = "vector_add",
                   .body = kernel.bytes,
                   .body_size = kernel.length,
                   .operands = first,
                   .operand_count = 2,
                   .results = &tile,
                   .result_count = 1,
                   .aliases = &donation,
                   .alias_count = 1};
  xla_call calls[] = {call, call};
  calls[1].operands = second;
  const xla_tensor tiles[] = {tile, tile};
  const xla_program program = {.name = "faults",
                               .replicas = 2,
                               .arguments = tiles,
                               .argument_count = 2,
                               .calls = calls,
                               .call_count = 2,
                               .outputs = outputs,
                               .output_count = 2,
                               .donations = &donation,
                               .donation_count = 1};
  CHECK_NEED(!xla_program_write(&program, &module, NULL));
  CHECK_NEED(!xla_options_write(2, NULL, 0, &options, NULL));
  base_text_release(&kernel);
}

static pfl_status run(const pjrt_client *client, const pjrt_program *program,
                      PJRT_Buffer **buffers, pfl_error *error) {
  static float data[PLUGIN_CASE_ITEMS];
  pjrt_upload upload = {.shape = {PFL_DTYPE_F32, 2, {256, 128}}, .data = data};
  for (int i = 0; i < PLUGIN_CASE_ITEMS; i++) data[i] = (float)(i % 100);
  for (int i = 0; i < 4; i++) {
    upload.device = i / 2;
    PFL_TRY(pjrt_buffer_upload(client, &upload, NULL, &buffers[i], error));
  }
  pjrt_run asked = {.arguments = buffers, .argument_count = 2};
  PFL_TRY(pjrt_program_run(client, program, &asked, NULL, buffers + 4, error));
  static float back[PLUGIN_CASE_ITEMS];
  pjrt_download download = {back, sizeof back, NULL};
  PFL_TRY(pjrt_buffer_download(client, buffers[6], &download, NULL, error));
  for (int i = 0; i < PLUGIN_CASE_ITEMS; i++)
    CHECK(back[i] == 3 * (float)(i % 100), "[%d] is %g", i, (double)back[i]);
  return PFL_STATUS_OK;
}

static pfl_status live_once(pfl_error *error) {
  pjrt_plugin plugin;
  pjrt_client client;
  pjrt_program program;
  PJRT_Buffer *buffers[8] = {NULL};
  PFL_TRY(pjrt_plugin_adopt(sim_plugin_api(), "the simulator", &plugin, error));
  PFL_TRY(pjrt_client_create(&plugin, NULL, 0, &heap, &client, error));
  pfl_status status =
      pjrt_program_compile(&client, module.bytes, module.length, options.bytes,
                           options.length, &program, error);
  if (!status) {
    status = run(&client, &program, buffers, error);
    pjrt_buffers_destroy(&client, buffers, 8);
    pjrt_program_unload(&client, &program);
  }
  pjrt_client_destroy(&client);
  return status;
}

static void test_faults(void) {
  write_program();
  pfl_error error;
  CHECK_NEED(!live_once(&error));
  long all, step = check_cases(10) < 10 ? 7 : 1;
  long before = atomic_load(&live);
  atomic_store(&requests, 0);
  CHECK_NEED(!live_once(&error));
  all = atomic_load(&requests);
  long failed = 0;
  for (long n = 1; n <= all; n += step) {
    atomic_store(&requests, 0);
    atomic_store(&fail_at, n);
    pfl_status status = live_once(&error);
    atomic_store(&fail_at, 0);
    failed += status != PFL_STATUS_OK;
    CHECK(!status || status == PFL_STATUS_RESOURCE_EXHAUSTED,
          "request %ld of %ld: %s", n, all, error.message);
    CHECK(atomic_load(&live) == before, "request %ld of %ld: %ld blocks leak",
          n, all, atomic_load(&live) - before);
    if (atomic_load(&live) != before) before = atomic_load(&live);
  }
  printf("%ld requests, of which %ld are missed\n", all, failed);
  CHECK(failed > all / step / 2, "%ld of %ld", failed, all);
  base_text_release(&module);
  base_text_release(&options);
}

int main(void) { return CHECK_RUN(test_faults); }
