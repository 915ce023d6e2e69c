#include "xla/lower.h"

#include <string.h>

#include "xla/program.h"

enum { LISTED_MAX = KERNELS_TENSORS_MAX * KERNELS_MAX };
_Static_assert((int)KERNELS_RANK_MAX == XLA_RANK_MAX, "shapes are copied");

/* ---- Who makes what -------------------------------------------------------
 */

/* The output called `name` of a kernel before number `before`, counted over all
 * of them; -1 if there is none. The latest of that name counts. */
static int find_output(const kernels_program *program, int before,
                       const char *name) {
  int found = -1, number = 0;
  for (int k = 0; k < before; k++)
    for (int i = 0; i < program->kernels[k].output_count; i++, number++)
      if (!strcmp(program->kernels[k].outputs[i].name, name)) found = number;
  return found;
}

static int find_argument(const xla_signature *signature, const char *name) {
  for (int i = 0; i < signature->argument_count; i++)
    if (!strcmp(signature->arguments[i]->name, name)) return i;
  return -1;
}

void xla_signature_of(const kernels_program *program,
                      xla_signature *out_signature) {
  memset(out_signature, 0, sizeof *out_signature);
  for (int k = 0; k < program->kernel_count; k++) {
    const kernels_kernel *kernel = &program->kernels[k];
    for (int i = 0; i < kernel->input_count; i++) {
      const kernels_tensor *tensor = &kernel->inputs[i];
      if (find_output(program, k, tensor->name) < 0 &&
          find_argument(out_signature, tensor->name) < 0)
        out_signature->arguments[out_signature->argument_count++] = tensor;
    }
    for (int i = 0; i < kernel->output_count; i++)
      if (!kernel->outputs[i].internal)
        out_signature->results[out_signature->result_count++] =
            &kernel->outputs[i];
  }
}

/* ---- Calls ----------------------------------------------------------------
 */

/* Room for what an xla_call points to. */
typedef struct lowered_call {
  base_text body;
  int operands[KERNELS_TENSORS_MAX];
  xla_memory memories[2][KERNELS_TENSORS_MAX]; /* of operands, of results */
  xla_tensor results[KERNELS_TENSORS_MAX];
  xla_alias aliases[KERNELS_TENSORS_MAX];
  int alias_count;
} lowered_call;

static xla_tensor type_of(const kernels_tensor *tensor) {
  xla_tensor type = {.dtype = tensor->dtype, .rank = tensor->rank};
  memcpy(type.shape, tensor->shape, sizeof type.shape);
  return type;
}

static xla_memory memory_of(const kernels_tensor *tensor, bool *any_pinned) {
  *any_pinned |= tensor->pinned;
  return tensor->pinned ? XLA_MEMORY_HBM : XLA_MEMORY_DEFAULT;
}

static int find_input(const kernels_kernel *kernel, const char *name) {
  int i = 0;
  while (i < kernel->input_count && strcmp(kernel->inputs[i].name, name)) i++;
  return i; /* one too many is no operand, which xla_program_check says */
}

static pfl_status lower_kernel(const kernels_program *program, int number,
                               const xla_signature *signature,
                               lowered_call *room, xla_call *out_call,
                               pfl_error *error) {
  const kernels_kernel *kernel = &program->kernels[number];
  bool pinned[2] = {false, false};
  for (int i = 0; i < kernel->input_count; i++) {
    const kernels_tensor *tensor = &kernel->inputs[i];
    int output = find_output(program, number, tensor->name);
    room->operands[i] = output < 0 ? find_argument(signature, tensor->name)
                                   : signature->argument_count + output;
    room->memories[0][i] = memory_of(tensor, &pinned[0]);
  }
  for (int i = 0; i < kernel->output_count; i++) {
    room->results[i] = type_of(&kernel->outputs[i]);
    room->memories[1][i] = memory_of(&kernel->outputs[i], &pinned[1]);
    if (kernel->outputs[i].in_place)
      room->aliases[room->alias_count++] =
          (xla_alias){i, find_input(kernel, kernel->outputs[i].name)};
  }
  const mo_print_options options = {.locations = program->located};
  PFL_TRY(mo_print(kernel->module, &options, &room->body, error));
  *out_call =
      (xla_call){.kernel_name = kernel->name,
                 .body = room->body.bytes,
                 .body_size = room->body.length,
                 .operands = room->operands,
                 .operand_count = kernel->input_count,
                 .results = room->results,
                 .result_count = kernel->output_count,
                 .operand_memories = pinned[0] ? room->memories[0] : NULL,
                 .result_memories = pinned[1] ? room->memories[1] : NULL,
                 .aliases = room->aliases,
                 .alias_count = room->alias_count,
                 .cost = {kernel->flops, kernel->transcendentals,
                          kernel->bytes_accessed, kernel->remote_bytes},
                 .vmem_limit_bytes = kernel->vmem_limit_bytes,
                 .has_communication = kernel->communicates,
                 .bounds_unchecked = kernel->bounds_unchecked,
                 .semaphores_unchecked = kernel->semaphores_unchecked,
                 .side_effects = kernel->communicates};
  return PFL_STATUS_OK;
}

/* The arguments whose memory results take: the caller has them no more. */
static int find_donations(const xla_signature *signature,
                          xla_alias *out_donations) {
  int count = 0;
  for (int i = 0; i < signature->result_count; i++) {
    int argument = find_argument(signature, signature->results[i]->name);
    if (signature->results[i]->in_place && argument >= 0)
      out_donations[count++] = (xla_alias){i, argument};
  }
  return count;
}

static pfl_status write_module(const kernels_program *program,
                               lowered_call *rooms, base_text *out_module,
                               pfl_error *error) {
  xla_signature signature;
  xla_tensor arguments[LISTED_MAX];
  xla_call calls[KERNELS_MAX];
  xla_alias donations[LISTED_MAX];
  int outputs[LISTED_MAX], output_count = 0;
  xla_signature_of(program, &signature);
  for (int i = 0; i < signature.argument_count; i++)
    arguments[i] = type_of(signature.arguments[i]);
  int value = signature.argument_count;
  for (int k = 0; k < program->kernel_count; k++) {
    PFL_TRY(lower_kernel(program, k, &signature, &rooms[k], &calls[k], error));
    for (int i = 0; i < program->kernels[k].output_count; i++, value++)
      if (!program->kernels[k].outputs[i].internal)
        outputs[output_count++] = value;
  }
  const xla_program lowered = {
      .name = program->name,
      .replicas = program->chips,
      .arguments = arguments,
      .argument_count = signature.argument_count,
      .calls = calls,
      .call_count = program->kernel_count,
      .outputs = outputs,
      .output_count = output_count,
      .donations = donations,
      .donation_count = find_donations(&signature, donations)};
  return xla_program_write(&lowered, out_module, error);
}

pfl_status xla_lower(const kernels_program *program, base_text *out_module,
                     base_text *out_options, pfl_error *error) {
  pfl_status status = PFL_STATUS_OK;
  if (out_module) {
    lowered_call rooms[KERNELS_MAX];
    memset(rooms, 0, sizeof rooms);
    for (int k = 0; k < KERNELS_MAX; k++)
      rooms[k].body.allocator = out_module->allocator;
    status = write_module(program, rooms, out_module, error);
    for (int k = 0; k < KERNELS_MAX; k++) base_text_release(&rooms[k].body);
  }
  if (!status && out_options)
    status = xla_options_write(program->chips, NULL, 0, out_options, error);
  return status;
}
