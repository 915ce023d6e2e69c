/* Programs: compiled from StableHLO, serialized and read again.
 *
 * The serialized form is an artifact (artifact.h), whose digest tells whether
 * it is whole: its version is the platform's, its executable the StableHLO
 * text, which is read again with no more trust than a stranger's. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "sim/plugin_parts.h"

/* ---- What the values of a program are ------------------------------------ */

static pfl_status no_memory(pfl_error *error) {
  PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a program");
}

static pfl_status find_uses(sim_executable *made, pfl_error *error) {
  const xla_program *program = made->program;
  made->value_count = program->argument_count;
  for (int i = 0; i < program->call_count; i++)
    made->value_count += program->calls[i].result_count;
  size_t count = (size_t)made->value_count;
  made->last_use = base_allocate(&sim_heap, count * sizeof *made->last_use);
  if (!made->last_use) return no_memory(error);
  for (size_t i = 0; i < count; i++) made->last_use[i] = -1;
  for (int i = 0; i < program->call_count; i++)
    for (int k = 0; k < program->calls[i].operand_count; k++)
      made->last_use[program->calls[i].operands[k]] = i;
  for (int i = 0; i < program->output_count; i++)
    made->last_use[program->outputs[i]] = program->call_count;
  return PFL_STATUS_OK;
}

/* ---- Kernels ------------------------------------------------------------- */

static sim_tensor sim_tensor_of(const xla_tensor *tensor) {
  return (sim_tensor){xla_element(tensor->dtype), tensor->rank, tensor->shape};
}

static pfl_status make_program(const xla_program *program, const xla_call *call,
                               const mo_module *module, sim_program **out,
                               pfl_error *error) {
  sim_tensor operands[XLA_LIST_MAX], results[XLA_LIST_MAX];
  sim_alias aliases[XLA_LIST_MAX];
  for (int i = 0; i < call->operand_count; i++)
    operands[i] = sim_tensor_of(xla_value_type(program, call->operands[i]));
  for (int i = 0; i < call->result_count; i++)
    results[i] = sim_tensor_of(&call->results[i]);
  for (int i = 0; i < call->alias_count; i++)
    aliases[i] = (sim_alias){call->aliases[i].result, call->aliases[i].operand};
  sim_kernel kernel = {.module = module,
                       .operands = operands,
                       .operand_count = call->operand_count,
                       .results = results,
                       .result_count = call->result_count,
                       .aliases = aliases,
                       .alias_count = call->alias_count,
                       .has_communication = call->has_communication,
                       .collective_id = call->collective_id,
                       .vmem_limit_bytes = call->vmem_limit_bytes};
  return sim_program_create(&kernel, &sim_heap, out, error);
}

/* Puts the kernel's name before what is wrong with it. */
static pfl_status name_kernel(const xla_call *call, pfl_status status,
                              const pfl_error *inner, pfl_error *error) {
  char quoted[BASE_QUOTE_SIZE];
  return base_error_set(
      error, status, "kernel %s: %.400s",
      base_quote(call->kernel_name, strlen(call->kernel_name), quoted),
      inner->message);
}

static pfl_status make_call(sim_executable *made, int number,
                            pfl_error *error) {
  const xla_call *call = &made->program->calls[number];
  mo_module *module;
  pfl_error inner;
  pfl_status status =
      mo_parse(call->body, call->body_size, &sim_heap, &module, &inner);
  if (status) return name_kernel(call, status, &inner, error);
  status =
      make_program(made->program, call, module, &made->calls[number], &inner);
  mo_module_destroy(module);
  return status ? name_kernel(call, status, &inner, error) : PFL_STATUS_OK;
}

static pfl_status make_calls(sim_executable *made, pfl_error *error) {
  size_t count = (size_t)made->program->call_count;
  made->calls = base_allocate(&sim_heap, count * sizeof *made->calls);
  if (!made->calls) return no_memory(error);
  for (size_t i = 0; i < count; i++) made->calls[i] = NULL;
  for (size_t i = 0; i < count; i++) PFL_TRY(make_call(made, (int)i, error));
  return PFL_STATUS_OK;
}

/* ---- What is said of it -------------------------------------------------- */

static pfl_status add_bytes(const xla_tensor *tensor, int64_t *sum,
                            pfl_error *error) {
  int64_t size, padded;
  PFL_TRY(sim_tensor_bytes(tensor, &size, &padded, error));
  if (__builtin_add_overflow(*sum, padded, sum))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "the arrays of a program have more bytes than 64 bits count");
  return PFL_STATUS_OK;
}

/* Bytes on a device; temp: results of calls that are no outputs. */
static pfl_status measure(sim_executable *made, pfl_error *error) {
  const xla_program *program = made->program;
  pjrt_compiled_memory *memory = &made->memory;
  int64_t total = 0;
  for (int i = 0; i < program->argument_count; i++)
    PFL_TRY(add_bytes(&program->arguments[i], &memory->argument_bytes, error));
  for (int i = 0; i < program->output_count; i++)
    PFL_TRY(add_bytes(xla_value_type(program, program->outputs[i]),
                      &memory->output_bytes, error));
  for (int i = 0; i < program->donation_count; i++)
    PFL_TRY(add_bytes(&program->arguments[program->donations[i].operand],
                      &memory->alias_bytes, error));
  for (int i = program->argument_count; i < made->value_count; i++) {
    const xla_tensor *type = xla_value_type(program, i);
    PFL_TRY(add_bytes(type, &total, error));
    if (made->last_use[i] != program->call_count)
      PFL_TRY(add_bytes(type, &memory->temp_bytes, error));
  }
  memory->generated_code_bytes = (int64_t)made->serialized.length;
  if (__builtin_add_overflow(total, memory->argument_bytes, &total) ||
      total > SIM_HBM_BYTES)
    PFL_RAISE(error, RESOURCE_EXHAUSTED,
              "a program needs %lld bytes of HBM: a chip has %lld",
              (long long)total, (long long)SIM_HBM_BYTES);
  memory->peak_bytes = memory->total_bytes = total;
  return PFL_STATUS_OK;
}

/* Sums of what the calls estimate. */
static void add_costs(sim_executable *made) {
  static const char *const names[SIM_COSTS] = {
      "flops", "transcendentals", "bytes accessed", "remote bytes transferred"};
  for (int k = 0; k < SIM_COSTS; k++) {
    double sum = 0;
    for (int i = 0; i < made->program->call_count; i++) {
      const xla_cost *cost = &made->program->calls[i].cost;
      const int64_t all[SIM_COSTS] = {cost->flops, cost->transcendentals,
                                      cost->bytes_accessed,
                                      cost->remote_bytes_transferred};
      sum += (double)all[k];
    }
    made->costs[k] = sim_named_integer(names[k], 0);
    made->costs[k].type = PJRT_NamedValue_kFloat;
    made->costs[k].float_value = (float)sum;
  }
}

static void describe_outputs(sim_executable *made) {
  const xla_program *program = made->program;
  int64_t *sizes = made->sizes;
  for (int i = 0; i < program->output_count; i++) {
    const xla_tensor *type = xla_value_type(program, program->outputs[i]);
    made->types[i] = sim_buffer_type(type->dtype);
    made->ranks[i] = (size_t)type->rank;
    for (int k = 0; k < type->rank; k++) *sizes++ = type->shape[k];
    made->memory_kinds[i] = sim_memory_kind;
    made->memory_kind_sizes[i] = strlen(sim_memory_kind);
  }
}

/* ---- Making -------------------------------------------------------------- */

static pfl_status serialize(sim_executable *made, const void *text, size_t size,
                            pfl_error *error) {
  uint8_t digest[SHA256_SIZE];
  const pjrt_artifact artifact = {.version = sim_platform_version,
                                  .executable = text,
                                  .executable_size = size};
  sha256(text, size, digest);
  sha256_hex(digest, made->fingerprint);
  return pjrt_artifact_pack(&artifact, NULL, &made->serialized, error);
}

static pfl_status fill(sim_executable *made, const void *text, size_t size,
                       int chips, pfl_error *error) {
  PFL_TRY(xla_program_read(text, size, &sim_heap, &made->document, error));
  if (made->program->replicas > chips)
    PFL_RAISE(error, INVALID_ARGUMENT, "a program for %d chips: there %s %d",
              made->program->replicas, chips == 1 ? "is" : "are", chips);
  PFL_TRY(find_uses(made, error));
  PFL_TRY(serialize(made, text, size, error));
  PFL_TRY(measure(made, error));
  add_costs(made);
  describe_outputs(made);
  return make_calls(made, error);
}

static pfl_status make(const void *text, size_t size, int chips,
                       sim_executable **out_executable, pfl_error *error) {
  sim_executable *made = base_allocate(&sim_heap, sizeof *made);
  if (!made) return no_memory(error);
  memset(made, 0, sizeof *made);
  atomic_init(&made->references, 1);
  made->program = &made->document.program;
  pfl_status status = fill(made, text, size, chips, error);
  if (status)
    sim_executable_release(made);
  else
    *out_executable = made;
  return status;
}

pfl_status sim_executable_compile(const void *text, size_t size,
                                  const void *options, size_t options_size,
                                  int chips, sim_executable **out_executable,
                                  pfl_error *error) {
  int replicas;
  sim_executable *made;
  if (size >= 4 && !memcmp(text, "ML\xefR", 4))
    PFL_RAISE(error, UNIMPLEMENTED,
              "the program is MLIR's bytecode: the simulator reads text, as "
              "pflash compile --emit stablehlo writes it");
  PFL_TRY(xla_options_read(options, options_size, &replicas, error));
  PFL_TRY(make(text, size, chips, &made, error));
  if (made->program->replicas == replicas) {
    *out_executable = made;
    return PFL_STATUS_OK;
  }
  base_error_set(error, PFL_STATUS_INVALID_ARGUMENT,
                 "the compile options have %d replicas, the program %d",
                 replicas, made->program->replicas);
  sim_executable_release(made);
  return PFL_STATUS_INVALID_ARGUMENT;
}

pfl_status sim_executable_deserialize(const void *bytes, size_t size, int chips,
                                      sim_executable **out_executable,
                                      pfl_error *error) {
  pjrt_artifact artifact;
  PFL_TRY(pjrt_artifact_unpack(bytes, size, &sim_heap, &artifact, error));
  pfl_status status =
      strcmp(artifact.version, sim_platform_version)
          ? base_error_set(error, PFL_STATUS_FAILED_PRECONDITION,
                           "a program of '%.100s' is not of this version, '%s'",
                           artifact.version, sim_platform_version)
          : make(artifact.executable, artifact.executable_size, chips,
                 out_executable, error);
  pjrt_artifact_release(&artifact);
  return status;
}

sim_executable *sim_executable_keep(sim_executable *executable) {
  atomic_fetch_add(&executable->references, 1);
  return executable;
}

void sim_executable_release(sim_executable *executable) {
  if (!executable || atomic_fetch_sub(&executable->references, 1) != 1) return;
  for (int i = 0; executable->calls && i < executable->program->call_count; i++)
    sim_program_destroy(executable->calls[i]);
  base_release(&sim_heap, executable->calls);
  base_release(&sim_heap, executable->last_use);
  base_text_release(&executable->serialized);
  xla_document_release(&executable->document);
  base_release(&sim_heap, executable);
}
