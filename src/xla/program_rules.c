/* What a program must be to be written, and what was read is held against. */
#include <string.h>

#include "base/memory.h"
#include "kernels/tpu_program.h"
#include "xla/program.h"

/* XLA's numbers of the memory spaces. */
static const int64_t colors[] = {[XLA_MEMORY_DEFAULT] = -1,
                                 [XLA_MEMORY_HBM] = 0,
                                 [XLA_MEMORY_VMEM] = 1,
                                 [XLA_MEMORY_SMEM] = 4};

int64_t xla_memory_color(xla_memory memory) { return colors[memory]; }

xla_memory xla_memory_of_color(int64_t color) {
  for (int i = XLA_MEMORY_HBM; i <= XLA_MEMORY_SMEM; i++)
    if (colors[i] == color) return (xla_memory)i;
  return XLA_MEMORY_DEFAULT;
}

mo_element xla_element(pfl_dtype dtype) { return kernels_element(dtype); }

static pfl_status check_tensor(const xla_tensor *tensor, const char *what,
                               int number, pfl_error *error) {
  int64_t items;
  if (!pfl_dtype_size(tensor->dtype))
    PFL_RAISE(error, INVALID_ARGUMENT, "%s %d has no dtype", what, number);
  if (tensor->rank < 0 || tensor->rank > XLA_RANK_MAX)
    PFL_RAISE(error, INVALID_ARGUMENT, "%s %d has rank %d: must be 0 to %d",
              what, number, tensor->rank, XLA_RANK_MAX);
  if (!base_product(tensor->shape, tensor->rank, &items))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "%s %d has a negative size, or more items than 64 bits count",
              what, number);
  return PFL_STATUS_OK;
}

static bool same_tensor(const xla_tensor *a, const xla_tensor *b) {
  return a->dtype == b->dtype && a->rank == b->rank &&
         !memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape);
}

const xla_tensor *xla_value_find(const xla_program *program, int value,
                                 int *out_call, int *out_place) {
  *out_call = -1;
  *out_place = value;
  if (value < 0) return NULL;
  if (value < program->argument_count) return &program->arguments[value];
  *out_place -= program->argument_count;
  for (*out_call = 0; *out_call < program->call_count; ++*out_call) {
    const xla_call *call = &program->calls[*out_call];
    if (*out_place < call->result_count) return &call->results[*out_place];
    *out_place -= call->result_count;
  }
  return NULL;
}

const xla_tensor *xla_value_type(const xla_program *program, int value) {
  int call, place;
  return xla_value_find(program, value, &call, &place);
}

/* A value of the arguments or of the calls before number `before`. */
static pfl_status check_value(const xla_program *program, int value, int before,
                              pfl_error *error) {
  int call, place;
  if (!xla_value_find(program, value, &call, &place) || call >= before)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "value %d is used by call %d: there is none of that number yet",
              value, before);
  return PFL_STATUS_OK;
}

/* Aliases of `results` by `operands` (both as numbers of values' types). */
static pfl_status check_aliases(const xla_alias *aliases, int count,
                                const xla_tensor *const *results,
                                int result_count,
                                const xla_tensor *const *operands,
                                int operand_count, pfl_error *error) {
  for (int i = 0; i < count; i++) {
    int result = aliases[i].result, operand = aliases[i].operand;
    if (result < 0 || result >= result_count || operand < 0 ||
        operand >= operand_count)
      PFL_RAISE(error, INVALID_ARGUMENT,
                "result %d aliases operand %d: there are %d and %d", result,
                operand, result_count, operand_count);
    if (!same_tensor(results[result], operands[operand]))
      PFL_RAISE(error, INVALID_ARGUMENT,
                "result %d aliases operand %d: dtype and shape must agree",
                result, operand);
    for (int k = 0; k < i; k++)
      if (aliases[k].result == result || aliases[k].operand == operand)
        PFL_RAISE(error, INVALID_ARGUMENT,
                  "result %d or operand %d is aliased twice", result, operand);
  }
  return PFL_STATUS_OK;
}

pfl_status xla_call_check(const xla_program *program, int number,
                          pfl_error *error) {
  const xla_call *call = &program->calls[number];
  const xla_tensor *operands[XLA_LIST_MAX], *results[XLA_LIST_MAX];
  if (!call->kernel_name || !call->body || !call->body_size)
    PFL_RAISE(error, INVALID_ARGUMENT, "call %d has no kernel", number);
  const xla_cost *cost = &call->cost;
  if (cost->flops < 0 || cost->transcendentals < 0 ||
      cost->bytes_accessed < 0 || cost->remote_bytes_transferred < 0 ||
      call->vmem_limit_bytes < 0)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "call %d has a negative cost or limit of memory", number);
  if (call->operand_count < 0 || call->operand_count > XLA_LIST_MAX ||
      call->result_count < 1 || call->result_count > XLA_LIST_MAX)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "call %d has %d operands and %d results: must be 0 to %d and 1 "
              "to %d",
              number, call->operand_count, call->result_count, XLA_LIST_MAX,
              XLA_LIST_MAX);
  for (int i = 0; i < call->operand_count; i++) {
    PFL_TRY(check_value(program, call->operands[i], number, error));
    operands[i] = xla_value_type(program, call->operands[i]);
  }
  for (int i = 0; i < call->result_count; i++) {
    PFL_TRY(check_tensor(&call->results[i], "result", i, error));
    results[i] = &call->results[i];
  }
  return check_aliases(call->aliases, call->alias_count, results,
                       call->result_count, operands, call->operand_count,
                       error);
}

pfl_status xla_program_check(const xla_program *program, pfl_error *error) {
  const xla_tensor *arguments[XLA_LIST_MAX], *outputs[XLA_LIST_MAX];
  if (program->replicas < 0 || program->replicas > XLA_REPLICAS_MAX)
    PFL_RAISE(error, INVALID_ARGUMENT, "replicas is %d: must be 1 to %d",
              program->replicas, XLA_REPLICAS_MAX);
  if (program->call_count < 0 || program->call_count > XLA_CALLS_MAX)
    PFL_RAISE(error, INVALID_ARGUMENT, "a program has %d calls: at most %d",
              program->call_count, XLA_CALLS_MAX);
  if (program->argument_count < 0 || program->argument_count > XLA_LIST_MAX ||
      program->output_count < 1 || program->output_count > XLA_LIST_MAX)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "a program has %d arguments and %d outputs: must be 0 to %d and "
              "1 to %d",
              program->argument_count, program->output_count, XLA_LIST_MAX,
              XLA_LIST_MAX);
  for (int i = 0; i < program->argument_count; i++) {
    PFL_TRY(check_tensor(&program->arguments[i], "argument", i, error));
    arguments[i] = &program->arguments[i];
  }
  for (int i = 0; i < program->call_count; i++)
    PFL_TRY(xla_call_check(program, i, error));
  for (int i = 0; i < program->output_count; i++) {
    PFL_TRY(
        check_value(program, program->outputs[i], program->call_count, error));
    outputs[i] = xla_value_type(program, program->outputs[i]);
  }
  return check_aliases(program->donations, program->donation_count, outputs,
                       program->output_count, arguments,
                       program->argument_count, error);
}
