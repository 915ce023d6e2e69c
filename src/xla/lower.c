#include "xla/lower.h"

#include <string.h>

#include "base/json.h"
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

/* What is written of a program that has been lowered. */
typedef pfl_status lowered_writer(const kernels_program *program,
                                  const xla_program *lowered, base_text *out,
                                  pfl_error *error);

static pfl_status write_lowered(const kernels_program *program,
                                lowered_call *rooms, lowered_writer *writer,
                                base_text *out, pfl_error *error) {
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
  return writer(program, &lowered, out, error);
}

/* Makes room first and releases it afterwards. */
static pfl_status lower_with(const kernels_program *program,
                             lowered_writer *writer, base_text *out,
                             pfl_error *error) {
  lowered_call rooms[KERNELS_MAX];
  memset(rooms, 0, sizeof rooms);
  for (int k = 0; k < KERNELS_MAX; k++)
    rooms[k].body.allocator = out->allocator;
  pfl_status status = write_lowered(program, rooms, writer, out, error);
  for (int k = 0; k < KERNELS_MAX; k++) base_text_release(&rooms[k].body);
  return status;
}

/* ---- As StableHLO ---------------------------------------------------------
 */

static pfl_status write_module(const kernels_program *program,
                               const xla_program *lowered, base_text *out,
                               pfl_error *error) {
  (void)program;
  return xla_program_write(lowered, out, error);
}

pfl_status xla_lower(const kernels_program *program, base_text *out_module,
                     base_text *out_options, pfl_error *error) {
  pfl_status status = PFL_STATUS_OK;
  if (out_module) status = lower_with(program, write_module, out_module, error);
  if (!status && out_options)
    status = xla_options_write(program->chips, NULL, 0, out_options, error);
  return status;
}

/* ---- As a description -----------------------------------------------------
 */

static void describe_tensor(json_writer *json, const kernels_tensor *tensor) {
  json_begin_object(json, NULL);
  json_write_string(json, "name", tensor->name);
  json_write_string(json, "dtype", pfl_dtype_name(tensor->dtype));
  json_begin_array(json, "shape");
  for (int i = 0; i < tensor->rank; i++)
    json_write_int64(json, NULL, tensor->shape[i]);
  json_end(json);
  json_write_bool(json, "swapped", tensor->swapped);
  json_write_int64(json, "row", tensor->row);
  json_write_int64(json, "spare",
                   tensor->split.split ? tensor->split.dimension : -1);
  json_end(json);
}

static void describe_numbers(json_writer *json, const char *key,
                             const int *numbers, int count) {
  json_begin_array(json, key);
  for (int i = 0; i < count; i++) json_write_int64(json, NULL, numbers[i]);
  json_end(json);
}

static void describe_call(json_writer *json, const kernels_kernel *kernel,
                          const xla_call *call) {
  base_text config = {.allocator = json->text->allocator};
  xla_call_config_write(call, &config);
  if (config.failed) json->text->failed = true;
  json_begin_object(json, NULL);
  json_write_string(json, "kernel", call->kernel_name);
  json_write_string(json, "config", base_text_get(&config));
  base_text_release(&config);
  describe_numbers(json, "operands", call->operands, call->operand_count);
  json_begin_array(json, "results");
  for (int i = 0; i < kernel->output_count; i++)
    describe_tensor(json, &kernel->outputs[i]);
  json_end(json);
  json_begin_array(json, "aliases");
  for (int i = 0; i < call->alias_count; i++)
    describe_numbers(json, NULL,
                     (int[]){call->aliases[i].result, call->aliases[i].operand},
                     2);
  json_end(json);
  json_write_bool(json, "side_effects", call->side_effects);
  json_end(json);
}

static pfl_status write_description(const kernels_program *program,
                                    const xla_program *lowered, base_text *out,
                                    pfl_error *error) {
  PFL_TRY(xla_program_check(lowered, error));
  xla_signature signature;
  xla_signature_of(program, &signature);
  json_writer json = {.text = out};
  json_begin_object(&json, NULL);
  json_begin_array(&json, "arguments");
  for (int i = 0; i < signature.argument_count; i++)
    describe_tensor(&json, signature.arguments[i]);
  json_end(&json);
  json_begin_array(&json, "calls");
  for (int k = 0; k < program->kernel_count; k++)
    describe_call(&json, &program->kernels[k], &lowered->calls[k]);
  json_end(&json);
  describe_numbers(&json, "outputs", lowered->outputs, lowered->output_count);
  json_end(&json);
  return base_text_check(out, error);
}

pfl_status xla_describe(const kernels_program *program, base_text *out,
                        pfl_error *error) {
  return lower_with(program, write_description, out, error);
}
