/* The context: options checked, kernels chosen, threads started, workspace
 * kept. */
#include "api/context.h"

#include <stdlib.h>
#include <string.h>

#include "api/chip_calls.h"
#include "attention/problem.h"

static const char *const isa_names[] = {[PFL_ISA_AUTO] = "auto",
#define NAME(name, option) [PFL_ISA_##name] = option,
                                        PFL_ISA_LIST(NAME)
#undef NAME
};
enum { ISA_COUNT = sizeof isa_names / sizeof *isa_names };

const char *pfl_isa_name(pfl_isa isa) {
  return (unsigned)isa < ISA_COUNT ? isa_names[isa] : "unknown";
}

static const char *const device_names[] = {
#define NAME(name, option) [PFL_DEVICE_##name] = option,
    PFL_DEVICE_LIST(NAME)
#undef NAME
};
enum { DEVICE_COUNT = sizeof device_names / sizeof *device_names };

const char *pfl_device_name(pfl_device device) {
  return (unsigned)device < DEVICE_COUNT ? device_names[device] : "unknown";
}

pfl_isa pfl_isa_best(void) { return cpu_isa_best(); }

static pfl_status choose_isa(pfl_isa asked, pfl_isa *out_isa,
                             pfl_error *error) {
  const char *from = "the context's isa", *name = getenv("PFLASH_ISA");
  if ((unsigned)asked >= ISA_COUNT)
    PFL_RAISE(error, INVALID_ARGUMENT, "isa is %d: must be 0 to %d", (int)asked,
              ISA_COUNT - 1);
  if (asked == PFL_ISA_AUTO && name && *name) {
    from = "PFLASH_ISA";
    for (asked = ISA_COUNT - 1; asked > 0; asked--)
      if (!strcmp(isa_names[asked], name)) break;
    if (asked == PFL_ISA_AUTO && strcmp(name, "auto"))
      PFL_RAISE(error, INVALID_ARGUMENT,
                "PFLASH_ISA is '%.40s': must be auto, portable, avx2, avx512 "
                "or avx512bf16",
                name);
  }
  pfl_isa best = cpu_isa_best();
  if (asked > best)
    PFL_RAISE(error, UNAVAILABLE, "%s is %s: this CPU has %s at best", from,
              isa_names[asked], isa_names[best]);
  *out_isa = asked == PFL_ISA_AUTO ? best : asked;
  return PFL_STATUS_OK;
}

static pfl_status check_device(const pfl_context_options *options,
                               pfl_error *error) {
  if ((unsigned)options->device >= DEVICE_COUNT)
    PFL_RAISE(error, INVALID_ARGUMENT, "device is %d: must be 0 to %d",
              (int)options->device, DEVICE_COUNT - 1);
  if (options->chips < 0)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "chips is %d: must be at least 1, or 0 for all", options->chips);
  if (options->device == PFL_DEVICE_CPU && (options->chips || options->plugin))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "%s is given: it must be %s where the device is the CPU",
              options->chips ? "chips" : "plugin",
              options->chips ? "0" : "NULL");
  return PFL_STATUS_OK;
}

static pfl_status check_options(const pfl_context_options *options,
                                pfl_error *error) {
  PFL_TRY(attention_check_struct(options, sizeof *options,
                                 "pfl_context_options", error));
  if (options->threads < 0 || options->threads > BASE_THREADS_MAX)
    PFL_RAISE(error, INVALID_ARGUMENT, "threads is %d: must be 0 to %d",
              options->threads, BASE_THREADS_MAX);
  if (!options->allocator.allocate != !options->allocator.release)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "allocator has only one of allocate and release: it must have "
              "both or neither");
  return check_device(options, error);
}

static pfl_status start(pfl_context *context, pfl_isa isa,
                        const pfl_context_options *options, pfl_error *error) {
  int32_t threads = options->threads;
  if (threads == 0)
    threads = (int32_t)base_min(base_cpu_count(), BASE_THREADS_MAX);
  context->engine.kernels = cpu_kernels_for(isa);
  context->device = options->device;
  PFL_TRY(base_threads_create(&context->allocator, threads,
                              &context->engine.threads, error));
  if (options->device == PFL_DEVICE_CPU) return PFL_STATUS_OK;
  return api_chips_open(options, &context->chips, error);
}

static void release(pfl_context *context) {
  api_chips_close(context->chips);
  base_threads_destroy(context->engine.threads);
  base_release(&context->allocator, context->workspace);
  pfl_allocator allocator = context->allocator;
  base_release(&allocator, context);
}

pfl_status pfl_context_create(const pfl_context_options *options,
                              pfl_context **out_context, pfl_error *out_error) {
  const pfl_context_options defaults = {.struct_size = sizeof defaults};
  if (!options) options = &defaults;
  if (!out_context)
    PFL_RAISE(out_error, INVALID_ARGUMENT, "out_context is NULL");
  PFL_TRY(check_options(options, out_error));
  pfl_isa isa = PFL_ISA_AUTO;
  PFL_TRY(choose_isa(options->isa, &isa, out_error));
  pfl_context *context = base_allocate(&options->allocator, sizeof *context);
  if (!context)
    PFL_RAISE(out_error, RESOURCE_EXHAUSTED, "no memory for a context");
  memset(context, 0, sizeof *context);
  context->allocator = options->allocator;
  pfl_status status = start(context, isa, options, out_error);
  if (status != PFL_STATUS_OK) {
    release(context);
    return status;
  }
  pthread_mutex_init(&context->mutex, NULL);
  *out_context = context;
  return PFL_STATUS_OK;
}

void pfl_context_destroy(pfl_context *context) {
  if (!context) return;
  pthread_mutex_destroy(&context->mutex);
  release(context);
}

int32_t pfl_context_threads(const pfl_context *context) {
  return base_threads_count(context->engine.threads);
}

pfl_isa pfl_context_isa(const pfl_context *context) {
  return context->engine.kernels.isa;
}

pfl_device pfl_context_device(const pfl_context *context) {
  return context->device;
}

int32_t pfl_context_chips(const pfl_context *context) {
  return context->chips ? api_chips_count(context->chips) : 0;
}

pfl_status api_context_reserve(pfl_context *context, size_t bytes,
                               pfl_error *error) {
  if (bytes <= context->workspace_bytes) return PFL_STATUS_OK;
  void *workspace = base_allocate(&context->allocator, bytes);
  if (!workspace)
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for %zu bytes of workspace",
              bytes);
  base_release(&context->allocator, context->workspace);
  context->workspace = workspace;
  context->workspace_bytes = bytes;
  return PFL_STATUS_OK;
}
