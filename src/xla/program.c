#include "xla/program.h"

#include <inttypes.h>
#include <string.h>

#include "base/json.h"

/* ---- Pieces of text ------------------------------------------------------ */

/* A string in MLIR: whatever is not plain becomes \HH. */
static bool is_plain(char c) {
  return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
}

static void add_quoted(base_text *text, const char *bytes, size_t size) {
  base_text_add(text, "\"", 1);
  for (size_t i = 0; i < size; i++) {
    size_t plain = i;
    while (plain < size && is_plain(bytes[plain])) plain++;
    base_text_add(text, bytes + i, plain - i);
    i = plain;
    if (i < size) base_text_format(text, "\\%02X", (unsigned char)bytes[i]);
  }
  base_text_add(text, "\"", 1);
}

static void add_base64(base_text *text, const char *bytes, size_t size) {
  static const char digits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  char out[1024]; /* added at once: a body has hundreds of kilobytes */
  size_t used = 0;
  for (size_t i = 0; i < size; i += 3) {
    size_t left = size - i;
    uint32_t group = (uint32_t)(unsigned char)bytes[i] << 16;
    if (left > 1) group |= (uint32_t)(unsigned char)bytes[i + 1] << 8;
    if (left > 2) group |= (unsigned char)bytes[i + 2];
    out[used++] = digits[group >> 18];
    out[used++] = digits[group >> 12 & 63];
    out[used++] = left > 1 ? digits[group >> 6 & 63] : '=';
    out[used++] = left > 2 ? digits[group & 63] : '=';
    if (used < sizeof out && left > 3) continue;
    base_text_add(text, out, used);
    used = 0;
  }
}

static void add_type(base_text *text, const xla_tensor *tensor) {
  base_text_add_string(text, "tensor<");
  for (int i = 0; i < tensor->rank; i++)
    base_text_format(text, "%" PRId64 "x", tensor->shape[i]);
  base_text_format(text, "%s>", mo_element_name(xla_element(tensor->dtype)));
}

/* Row-major: the last dimension is the fastest. */
static void add_layout(base_text *text, const xla_tensor *tensor) {
  base_text_add_string(text, "dense<");
  if (tensor->rank != 1) base_text_add_string(text, tensor->rank ? "[" : "");
  for (int i = tensor->rank; i-- > 0;)
    base_text_format(text, i ? "%d, " : "%d", i);
  if (tensor->rank > 1) base_text_add_string(text, "]");
  base_text_format(text, "> : tensor<%dxindex>", tensor->rank);
}

/* %arg0 of an argument; %0 of a call's only result, %0#1 of one of several. */
static void add_value(base_text *text, const xla_program *program, int value) {
  int call, place;
  xla_value_find(program, value, &call, &place);
  if (call < 0)
    base_text_format(text, "%%arg%d", place);
  else if (program->calls[call].result_count == 1)
    base_text_format(text, "%%%d", call);
  else
    base_text_format(text, "%%%d#%d", call, place);
}

static void add_separator(base_text *text, int i) {
  if (i) base_text_add_string(text, ", ");
}

/* ---- The call's configuration -------------------------------------------- */

static void write_memories(json_writer *json, bool operands,
                           const xla_memory *memories, int count) {
  bool any = false;
  for (int i = 0; memories && i < count; i++) any |= memories[i] != 0;
  if (!any) return;
  json_begin_array(json, operands ? "input_memory_space_colors"
                                  : "output_memory_space_colors");
  for (int i = 0; i < count; i++) {
    if (memories[i] == XLA_MEMORY_DEFAULT) continue;
    json_begin_object(json, NULL);
    if (operands) {
      json_write_int64(json, "operand_index", i);
    } else if (count > 1) { /* its way in the tuple that they are then */
      json_begin_array(json, "shape_index");
      json_write_int64(json, NULL, i);
      json_end(json);
    }
    json_write_int64(json, "color", xla_memory_color(memories[i]));
    json_end(json);
  }
  json_end(json);
}

static void write_cost(json_writer *json, const xla_cost *cost) {
  json_begin_object(json, "cost_estimate");
  json_write_int64(json, "flops", cost->flops);
  json_write_int64(json, "transcendentals", cost->transcendentals);
  json_write_int64(json, "bytes_accessed", cost->bytes_accessed);
  json_write_int64(json, "remote_bytes_transferred",
                   cost->remote_bytes_transferred);
  json_end(json);
}

void xla_call_config_write(const xla_call *call, base_text *config) {
  base_text body = {.allocator = config->allocator};
  json_writer json = {.text = config};
  const xla_cost *cost = &call->cost;
  add_base64(&body, call->body, call->body_size);
  if (body.failed) config->failed = true;
  json_begin_object(&json, NULL);
  json_begin_object(&json, "custom_call_config");
  json_write_string(&json, "body", base_text_get(&body));
  if (call->has_communication) {
    json_write_bool(&json, "has_communication", true);
    json_write_int64(&json, "collective_id", call->collective_id);
  }
  if (call->bounds_unchecked)
    json_write_bool(&json, "disable_bounds_checks", true);
  if (call->semaphores_unchecked)
    json_write_bool(&json, "disable_semaphore_checks", true);
  if (cost->flops || cost->transcendentals || cost->bytes_accessed ||
      cost->remote_bytes_transferred)
    write_cost(&json, cost);
  json_write_bool(&json, "needs_layout_passes", true);
  json_write_int64(&json, "serialization_format", 1);
  write_memories(&json, true, call->operand_memories, call->operand_count);
  write_memories(&json, false, call->result_memories, call->result_count);
  json_end(&json);
  if (call->vmem_limit_bytes) {
    json_begin_array(&json, "scoped_memory_configs");
    json_begin_object(&json, NULL);
    json_write_int64(&json, "memory_space", xla_memory_color(XLA_MEMORY_VMEM));
    json_write_int64(&json, "offset", 0);
    json_write_int64(&json, "size", call->vmem_limit_bytes);
    json_end(&json);
    json_end(&json);
  }
  json_end(&json);
  base_text_release(&body);
}

/* ---- The module ---------------------------------------------------------- */

static void add_call(base_text *text, const xla_program *program, int number) {
  const xla_call *call = &program->calls[number];
  base_text config = {.allocator = text->allocator};
  xla_call_config_write(call, &config);
  if (config.failed) text->failed = true;
  base_text_format(text, "    %%%d", number);
  if (call->result_count > 1) base_text_format(text, ":%d", call->result_count);
  base_text_add_string(text, " = stablehlo.custom_call @tpu_custom_call(");
  for (int i = 0; i < call->operand_count; i++) {
    add_separator(text, i);
    add_value(text, program, call->operands[i]);
  }
  base_text_add_string(text, ") {backend_config = ");
  add_quoted(text, base_text_get(&config), config.length);
  base_text_release(&config);
  if (call->side_effects)
    base_text_add_string(text, ", has_side_effect = true");
  base_text_add_string(text, ", kernel_name = ");
  add_quoted(text, call->kernel_name, strlen(call->kernel_name));
  base_text_add_string(text, ", operand_layouts = [");
  for (int i = 0; i < call->operand_count; i++) {
    add_separator(text, i);
    add_layout(text, xla_value_type(program, call->operands[i]));
  }
  base_text_add_string(text, "], output_operand_aliases = [");
  for (int i = 0; i < call->alias_count; i++) {
    add_separator(text, i);
    base_text_add_string(
        text, "#stablehlo.output_operand_alias<output_tuple_indices = [");
    if (call->result_count > 1)
      base_text_format(text, "%d", call->aliases[i].result);
    base_text_format(text, "], operand_index = %d, operand_tuple_indices = []>",
                     call->aliases[i].operand);
  }
  base_text_add_string(text, "], result_layouts = [");
  for (int i = 0; i < call->result_count; i++) {
    add_separator(text, i);
    add_layout(text, &call->results[i]);
  }
  base_text_add_string(text, "]} : (");
  for (int i = 0; i < call->operand_count; i++) {
    add_separator(text, i);
    add_type(text, xla_value_type(program, call->operands[i]));
  }
  base_text_add_string(text, call->result_count > 1 ? ") -> (" : ") -> ");
  for (int i = 0; i < call->result_count; i++) {
    add_separator(text, i);
    add_type(text, &call->results[i]);
  }
  /* XLA calls the instruction, and the compiler its listing, by the place */
  base_text_add_string(text, call->result_count > 1 ? ") loc(" : " loc(");
  add_quoted(text, call->kernel_name, strlen(call->kernel_name));
  base_text_add_string(text, ")\n");
}

static void add_signature(base_text *text, const xla_program *program) {
  base_text_add_string(text, "  func.func public @main(");
  for (int i = 0; i < program->argument_count; i++) {
    add_separator(text, i);
    base_text_format(text, "%%arg%d: ", i);
    add_type(text, &program->arguments[i]);
    for (int k = 0; k < program->donation_count; k++)
      if (program->donations[k].operand == i)
        base_text_format(text, " {tf.aliasing_output = %d : i32}",
                         program->donations[k].result);
  }
  base_text_add_string(text, ") -> (");
  for (int i = 0; i < program->output_count; i++) {
    add_separator(text, i);
    add_type(text, xla_value_type(program, program->outputs[i]));
  }
  base_text_add_string(text, ") {\n");
}

pfl_status xla_program_write(const xla_program *program, base_text *out,
                             pfl_error *error) {
  PFL_TRY(xla_program_check(program, error));
  const char *name = program->name ? program->name : "program";
  base_text_add_string(out, "module @");
  add_quoted(out, name, strlen(name));
  base_text_format(out,
                   " attributes {mhlo.num_partitions = 1 : i32, "
                   "mhlo.num_replicas = %d : i32} {\n",
                   program->replicas ? program->replicas : 1);
  add_signature(out, program);
  for (int i = 0; i < program->call_count; i++) add_call(out, program, i);
  base_text_add_string(out, "    return ");
  for (int i = 0; i < program->output_count; i++) {
    add_separator(out, i);
    add_value(out, program, program->outputs[i]);
  }
  base_text_add_string(out, " : ");
  for (int i = 0; i < program->output_count; i++) {
    add_separator(out, i);
    add_type(out, xla_value_type(program, program->outputs[i]));
  }
  base_text_add_string(out, "\n  }\n}\n");
  return base_text_check(out, error);
}
