/* The reader of program.c's text. It reads with the lexer of Mosaic's text, and
 * knows at each place what must come next, so that whatever else is there is
 * named in the message with its line and column. */
#include <string.h>

#include "mosaic/ir_lexer.h"
#include "xla/config_read.h"

typedef struct reader {
  mo_lexer lexer;
  mo_arena *arena;
  xla_program *program;
  xla_call *calls;
  int call_capacity;
  xla_tensor outputs[XLA_LIST_MAX]; /* as the function's type has them */
} reader;

/* ---- Pieces -------------------------------------------------------------- */

static pfl_status need(reader *r, const char *string) {
  return mo_need(&r->lexer, string);
}

static bool take(reader *r, const char *string) {
  return mo_take(&r->lexer, string);
}

/* Words in turn, that white space may stand between. */
static pfl_status need_all(reader *r, const char *const *words, int count) {
  for (int i = 0; i < count; i++) PFL_TRY(need(r, words[i]));
  return PFL_STATUS_OK;
}
#define NEED(r, ...)                                \
  need_all((r), (const char *const[]){__VA_ARGS__}, \
           (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)))

/* An error at `at`, about the text from there to here. */
static pfl_status wrong(const reader *r, size_t at, const char *what) {
  const char *text = r->lexer.text + at;
  return mo_wrong(&r->lexer, at, what, text,
                  r->lexer.at > at ? r->lexer.at - at : 0);
}

static size_t here(reader *r) {
  mo_skip_space(&r->lexer);
  return r->lexer.at;
}

static pfl_status read_number(reader *r, int64_t low, int64_t high,
                              const char *must_be, int64_t *out) {
  size_t at = here(r);
  PFL_TRY(mo_read_integer(&r->lexer, out));
  return *out < low || *out > high ? wrong(r, at, must_be) : PFL_STATUS_OK;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A string; its only escape is \HH. It ends in NUL, which *out_length does not
 * count. */
static pfl_status read_string(reader *r, char **out, size_t *out_length) {
  const char *text;
  size_t length, size = 0, at = here(r);
  PFL_TRY(mo_read_string(&r->lexer, &text, &length));
  char *bytes = mo_arena_take(r->arena, length + 1);
  if (!bytes) return mo_out_of_memory(&r->lexer);
  for (size_t i = 0; i < length; i++) {
    bytes[size++] = text[i];
    if (text[i] != '\\') continue;
    int high = i + 2 < length ? hex_digit(text[i + 1]) : -1;
    int low = i + 2 < length ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0)
      return wrong(r, at, "an escape must be two digits of hex");
    bytes[size - 1] = (char)(16 * high + low);
    i += 2;
  }
  *out = bytes;
  *out_length = size;
  return PFL_STATUS_OK;
}

/* The same, where a C string will do. */
static pfl_status read_name(reader *r, const char **out) {
  size_t length, at = here(r);
  char *name;
  PFL_TRY(read_string(r, &name, &length));
  *out = name;
  return strlen(name) == length ? PFL_STATUS_OK
                                : wrong(r, at, "a name must not hold NUL");
}

static pfl_status read_element(reader *r, pfl_dtype *out) {
  size_t length = mo_word_length(&r->lexer);
  const char *word = r->lexer.text + r->lexer.at;
#define ELEMENT_TRY(name, bytes, file, option)                        \
  if (mo_element_find(word, length) == xla_element(PFL_DTYPE_##name)) \
    return *out = PFL_DTYPE_##name, r->lexer.at += length, PFL_STATUS_OK;
  PFL_DTYPE_LIST(ELEMENT_TRY)
#undef ELEMENT_TRY
  return mo_expected(&r->lexer, "a size or one of f32, bf16, f16, i8, i32");
}

/* tensor<256x128xf32> */
static pfl_status read_type(reader *r, xla_tensor *out) {
  xla_tensor type = {0};
  PFL_TRY(NEED(r, "tensor", "<"));
  for (char c = mo_peek(&r->lexer); c >= '0' && c <= '9';
       c = mo_peek(&r->lexer)) {
    if (type.rank == XLA_RANK_MAX)
      return mo_expected(&r->lexer, "no more than 8 dimensions");
    PFL_TRY(mo_read_integer(&r->lexer, &type.shape[type.rank++]));
    PFL_TRY(need(r, "x"));
  }
  PFL_TRY(read_element(r, &type.dtype));
  *out = type;
  return need(r, ">");
}

static bool same_type(const xla_tensor *a, const xla_tensor *b) {
  return a->dtype == b->dtype && a->rank == b->rank &&
         !memcmp(a->shape, b->shape, sizeof a->shape);
}

/* The type of a value that is known. */
static pfl_status read_type_of(reader *r, int value) {
  xla_tensor type;
  size_t at = here(r);
  PFL_TRY(read_type(r, &type));
  return same_type(&type, xla_value_type(r->program, value))
             ? PFL_STATUS_OK
             : wrong(r, at, "the value has another type");
}

/* dense<[1, 0]> : tensor<2xindex>, row-major, and how many dimensions. */
static pfl_status read_layout(reader *r, int *out_rank) {
  int64_t rank = 0, items[XLA_RANK_MAX] = {0}, size;
  size_t at = here(r);
  PFL_TRY(NEED(r, "dense", "<"));
  bool list = take(r, "[");
  while (mo_peek(&r->lexer) != (list ? ']' : '>')) {
    if (rank == XLA_RANK_MAX || (rank && !list))
      return mo_expected(&r->lexer, "no more than 8 dimensions");
    if (rank) PFL_TRY(need(r, ","));
    PFL_TRY(mo_read_integer(&r->lexer, &items[rank++]));
  }
  if (list) PFL_TRY(need(r, "]"));
  PFL_TRY(NEED(r, ">", ":", "tensor", "<"));
  PFL_TRY(read_number(r, rank, rank, "is not the layout's rank", &size));
  PFL_TRY(NEED(r, "x", "index", ">"));
  for (int64_t i = 0; i < rank; i++)
    if (items[i] != rank - 1 - i)
      return wrong(r, at, "a layout must be row-major");
  *out_rank = (int)rank;
  return PFL_STATUS_OK;
}

/* ---- Values -------------------------------------------------------------- */

/* The number of the first result of a call, and of what follows the last. */
static int first_result(const xla_program *program, int call) {
  int value = program->argument_count;
  for (int i = 0; i < call; i++) value += program->calls[i].result_count;
  return value;
}

/* %arg0, %0 or %0#1 */
static pfl_status read_value(reader *r, int *out) {
  const xla_program *program = r->program;
  size_t at = here(r);
  int64_t number, place = 0;
  PFL_TRY(need(r, "%"));
  if (take(r, "arg")) {
    PFL_TRY(read_number(r, 0, program->argument_count - 1,
                        "there is no such argument", &number));
    *out = (int)number;
    return PFL_STATUS_OK;
  }
  PFL_TRY(read_number(r, 0, program->call_count - 1,
                      "there is no such value yet", &number));
  int count = program->calls[number].result_count;
  if (take(r, "#")) {
    PFL_TRY(read_number(r, 0, count - 1, "there is no such result", &place));
    if (count == 1) return wrong(r, at, "its only result has no number");
  } else if (count > 1) {
    return wrong(r, at, "which result is it?");
  }
  *out = first_result(program, (int)number) + (int)place;
  return PFL_STATUS_OK;
}

/* Values with commas between, up to `end`, which is taken. */
static pfl_status read_values(reader *r, const char *end, int *out,
                              int *out_count) {
  int count = 0;
  while (!take(r, end)) {
    if (count) PFL_TRY(need(r, ","));
    if (count == XLA_LIST_MAX)
      return mo_expected(&r->lexer, "no more than 64 values");
    PFL_TRY(read_value(r, &out[count++]));
  }
  *out_count = count;
  return PFL_STATUS_OK;
}

/* The types of values that are known. */
static pfl_status read_types_of(reader *r, const int *values, int count) {
  for (int i = 0; i < count; i++) {
    if (i) PFL_TRY(need(r, ","));
    PFL_TRY(read_type_of(r, values[i]));
  }
  return PFL_STATUS_OK;
}

/* ---- Calls --------------------------------------------------------------- */

/* What is known of a call before its results are. */
typedef struct call_results {
  xla_memory memories[XLA_LIST_MAX];
  int ranks[XLA_LIST_MAX];
  int rank_count;
  size_t layouts_at;
} call_results;

static pfl_status read_config(reader *r, xla_call *call,
                              call_results *results) {
  char *json;
  size_t length, at = here(r);
  pfl_error inner;
  PFL_TRY(NEED(r, "backend_config", "="));
  PFL_TRY(read_string(r, &json, &length));
  pfl_status status =
      xla_config_read(json, length, r->arena, call, results->memories, &inner);
  if (status == PFL_STATUS_INVALID_ARGUMENT) {
    r->lexer.at = at + strlen("backend_config");
    return wrong(r, at, inner.message);
  }
  return status ? base_error_set(r->lexer.error, status, "%s", inner.message)
                : status;
}

static pfl_status read_operand_layouts(reader *r, const xla_call *call) {
  PFL_TRY(NEED(r, "operand_layouts", "=", "["));
  for (int i = 0; i < call->operand_count; i++) {
    int rank;
    if (i) PFL_TRY(need(r, ","));
    size_t at = here(r);
    PFL_TRY(read_layout(r, &rank));
    if (rank != xla_value_type(r->program, call->operands[i])->rank)
      return wrong(r, at, "the operand has another rank");
  }
  return need(r, "]");
}

static pfl_status read_result_layouts(reader *r, call_results *results) {
  results->layouts_at = here(r);
  PFL_TRY(NEED(r, "result_layouts", "=", "["));
  while (!take(r, "]")) {
    if (results->rank_count) PFL_TRY(need(r, ","));
    if (results->rank_count == XLA_LIST_MAX)
      return mo_expected(&r->lexer, "no more than 64 layouts");
    PFL_TRY(read_layout(r, &results->ranks[results->rank_count++]));
  }
  return PFL_STATUS_OK;
}

/* The index of the result, which the only one of a call has not. */
static pfl_status read_alias(reader *r, int result_count, xla_alias *out) {
  int64_t number = 0;
  PFL_TRY(NEED(r, "#stablehlo.output_operand_alias", "<",
               "output_tuple_indices", "=", "["));
  if (result_count > 1)
    PFL_TRY(read_number(r, 0, result_count - 1, "there is no such result",
                        &number));
  out->result = (int)number;
  PFL_TRY(NEED(r, "]", ",", "operand_index", "="));
  PFL_TRY(read_number(r, 0, XLA_LIST_MAX, "there is no such operand", &number));
  out->operand = (int)number;
  return NEED(r, ",", "operand_tuple_indices", "=", "[", "]", ">");
}

static pfl_status read_aliases(reader *r, int result_count, xla_call *call) {
  xla_alias *aliases = mo_arena_array(r->arena, XLA_LIST_MAX, sizeof *aliases);
  if (!aliases) return mo_out_of_memory(&r->lexer);
  call->aliases = aliases;
  PFL_TRY(NEED(r, "output_operand_aliases", "=", "["));
  while (!take(r, "]")) {
    if (call->alias_count) PFL_TRY(need(r, ","));
    if (call->alias_count == XLA_LIST_MAX)
      return mo_expected(&r->lexer, "no more than 64 aliases");
    PFL_TRY(read_alias(r, result_count, &aliases[call->alias_count++]));
  }
  return PFL_STATUS_OK;
}

static pfl_status read_attributes(reader *r, int result_count, xla_call *call,
                                  call_results *results) {
  PFL_TRY(need(r, "{"));
  PFL_TRY(read_config(r, call, results));
  PFL_TRY(need(r, ","));
  if (take(r, "has_side_effect")) {
    PFL_TRY(NEED(r, "=", "true", ","));
    call->side_effects = true;
  }
  PFL_TRY(NEED(r, "kernel_name", "="));
  PFL_TRY(read_name(r, &call->kernel_name));
  PFL_TRY(need(r, ","));
  PFL_TRY(read_operand_layouts(r, call));
  PFL_TRY(need(r, ","));
  PFL_TRY(read_aliases(r, result_count, call));
  PFL_TRY(need(r, ","));
  PFL_TRY(read_result_layouts(r, results));
  return need(r, "}");
}

/* `: (OPERANDS) -> RESULT`, or `-> (RESULTS)` */
static pfl_status read_signature(reader *r, int result_count, xla_call *call,
                                 const call_results *results) {
  xla_tensor *types =
      mo_arena_array(r->arena, (size_t)result_count, sizeof *types);
  if (!types) return mo_out_of_memory(&r->lexer);
  PFL_TRY(NEED(r, ":", "("));
  PFL_TRY(read_types_of(r, call->operands, call->operand_count));
  PFL_TRY(NEED(r, ")", "->"));
  if (result_count > 1) PFL_TRY(need(r, "("));
  for (int i = 0; i < result_count; i++) {
    if (i) PFL_TRY(need(r, ","));
    PFL_TRY(read_type(r, &types[i]));
  }
  if (result_count > 1) PFL_TRY(need(r, ")"));
  call->results = types;
  call->result_count = result_count;
  bool same = results->rank_count == result_count;
  for (int i = 0; same && i < result_count; i++)
    same = results->ranks[i] == types[i].rank;
  return same ? PFL_STATUS_OK
              : wrong(r, results->layouts_at, "are not those of the results");
}

/* `loc("NAME")`, of which the compiler makes the name of a listing. */
static pfl_status read_place(reader *r, const xla_call *call) {
  const char *name;
  if (!take(r, "loc")) return PFL_STATUS_OK;
  PFL_TRY(need(r, "("));
  size_t at = here(r);
  PFL_TRY(read_name(r, &name));
  if (strcmp(name, call->kernel_name))
    return wrong(r, at, "a call's place must be the kernel's name");
  return need(r, ")");
}

static pfl_status take_result_memories(reader *r, xla_call *call,
                                       const call_results *results) {
  bool any = false;
  for (int i = 0; i < XLA_LIST_MAX; i++) {
    if (!results->memories[i]) continue;
    any = true;
    if (i >= call->result_count)
      return wrong(r, results->layouts_at,
                   "a colour is given to a result that there is not");
  }
  if (!any) return PFL_STATUS_OK;
  xla_memory *memories =
      mo_arena_array(r->arena, (size_t)call->result_count, sizeof *memories);
  if (!memories) return mo_out_of_memory(&r->lexer);
  memcpy(memories, results->memories,
         (size_t)call->result_count * sizeof *memories);
  call->result_memories = memories;
  return PFL_STATUS_OK;
}

/* Room for one more call. */
static pfl_status grow_calls(reader *r) {
  xla_program *program = r->program;
  if (program->call_count == XLA_CALLS_MAX)
    return mo_expected(&r->lexer, "no more than 1024 calls");
  if (program->call_count < r->call_capacity) return PFL_STATUS_OK;
  r->call_capacity = r->call_capacity ? 2 * r->call_capacity : 8;
  xla_call *calls =
      mo_arena_array(r->arena, (size_t)r->call_capacity, sizeof *calls);
  if (!calls) return mo_out_of_memory(&r->lexer);
  if (program->call_count)
    memcpy(calls, r->calls, (size_t)program->call_count * sizeof *calls);
  program->calls = r->calls = calls;
  return PFL_STATUS_OK;
}

static pfl_status read_operands(reader *r, xla_call *call) {
  int *operands = mo_arena_array(r->arena, XLA_LIST_MAX, sizeof *operands);
  if (!operands) return mo_out_of_memory(&r->lexer);
  call->operands = operands;
  return read_values(r, ")", operands, &call->operand_count);
}

/* %0:2 = stablehlo.custom_call @tpu_custom_call(...) {...} : ... */
static pfl_status read_call(reader *r) {
  xla_program *program = r->program;
  xla_call call = {0};
  call_results results = {.rank_count = 0};
  int64_t number, result_count = 1;
  size_t at = here(r);
  PFL_TRY(grow_calls(r));
  PFL_TRY(need(r, "%"));
  PFL_TRY(read_number(r, program->call_count, program->call_count,
                      "calls must be numbered in turn", &number));
  if (take(r, ":"))
    PFL_TRY(read_number(r, 2, XLA_LIST_MAX, "must be 2 to 64 results",
                        &result_count));
  PFL_TRY(NEED(r, "=", "stablehlo.custom_call", "@tpu_custom_call", "("));
  PFL_TRY(read_operands(r, &call));
  PFL_TRY(read_attributes(r, (int)result_count, &call, &results));
  PFL_TRY(read_signature(r, (int)result_count, &call, &results));
  PFL_TRY(read_place(r, &call));
  PFL_TRY(take_result_memories(r, &call, &results));
  r->calls[program->call_count] = call;
  pfl_error inner;
  pfl_status status = xla_call_check(program, program->call_count, &inner);
  if (status) {
    r->lexer.at = at + 1;
    return wrong(r, at, inner.message);
  }
  program->call_count++;
  return PFL_STATUS_OK;
}

/* ---- The module ---------------------------------------------------------- */

static pfl_status read_donation(reader *r, int argument, xla_alias *donations) {
  int64_t number;
  if (!take(r, "{")) return PFL_STATUS_OK;
  PFL_TRY(NEED(r, "tf.aliasing_output", "="));
  PFL_TRY(read_number(r, 0, XLA_LIST_MAX, "there is no such output", &number));
  donations[r->program->donation_count++] =
      (xla_alias){.result = (int)number, .operand = argument};
  return NEED(r, ":", "i32", "}");
}

static pfl_status read_arguments(reader *r) {
  xla_program *program = r->program;
  xla_tensor *types = mo_arena_array(r->arena, XLA_LIST_MAX, sizeof *types);
  xla_alias *donations =
      mo_arena_array(r->arena, XLA_LIST_MAX, sizeof *donations);
  if (!types || !donations) return mo_out_of_memory(&r->lexer);
  program->arguments = types;
  program->donations = donations;
  while (!take(r, ")")) {
    int64_t number;
    int count = program->argument_count;
    if (count) PFL_TRY(need(r, ","));
    if (count == XLA_LIST_MAX)
      return mo_expected(&r->lexer, "no more than 64 arguments");
    PFL_TRY(NEED(r, "%", "arg"));
    PFL_TRY(read_number(r, count, count, "arguments must be numbered in turn",
                        &number));
    PFL_TRY(need(r, ":"));
    PFL_TRY(read_type(r, &types[count]));
    program->argument_count++;
    PFL_TRY(read_donation(r, count, donations));
  }
  return PFL_STATUS_OK;
}

static pfl_status read_output_types(reader *r) {
  xla_program *program = r->program;
  PFL_TRY(NEED(r, "->", "("));
  while (!take(r, ")")) {
    if (program->output_count) PFL_TRY(need(r, ","));
    if (program->output_count == XLA_LIST_MAX)
      return mo_expected(&r->lexer, "no more than 64 outputs");
    PFL_TRY(read_type(r, &r->outputs[program->output_count++]));
  }
  return PFL_STATUS_OK;
}

static pfl_status read_return(reader *r) {
  xla_program *program = r->program;
  int *outputs = mo_arena_array(r->arena, XLA_LIST_MAX, sizeof *outputs);
  int count;
  if (!outputs) return mo_out_of_memory(&r->lexer);
  size_t at = here(r);
  PFL_TRY(read_values(r, ":", outputs, &count));
  program->outputs = outputs;
  bool same = count == program->output_count;
  for (int i = 0; same && i < count; i++)
    same = same_type(xla_value_type(program, outputs[i]), &r->outputs[i]);
  if (!same) return wrong(r, at, "the function's type has other outputs");
  return read_types_of(r, outputs, count);
}

static pfl_status read_module(reader *r) {
  int64_t number;
  PFL_TRY(NEED(r, "module", "@"));
  PFL_TRY(read_name(r, &r->program->name));
  PFL_TRY(NEED(r, "attributes", "{", "mhlo.num_partitions", "="));
  PFL_TRY(read_number(r, 1, 1, "must be 1 partition", &number));
  PFL_TRY(NEED(r, ":", "i32", ",", "mhlo.num_replicas", "="));
  PFL_TRY(
      read_number(r, 1, XLA_REPLICAS_MAX, "must be 1 to 4 replicas", &number));
  r->program->replicas = (int)number;
  PFL_TRY(NEED(r, ":", "i32", "}", "{", "func.func", "public", "@main", "("));
  size_t at = here(r);
  PFL_TRY(read_arguments(r));
  PFL_TRY(read_output_types(r));
  PFL_TRY(need(r, "{"));
  while (!mo_take_word(&r->lexer, "return")) PFL_TRY(read_call(r));
  PFL_TRY(read_return(r));
  PFL_TRY(NEED(r, "}", "}"));
  if (mo_peek(&r->lexer)) return mo_expected(&r->lexer, "nothing more");
  pfl_error inner;
  r->lexer.at = at;
  return xla_program_check(r->program, &inner) ? wrong(r, at, inner.message)
                                               : PFL_STATUS_OK;
}

pfl_status xla_program_read(const char *text, size_t length,
                            const pfl_allocator *allocator,
                            xla_document *out_document, pfl_error *error) {
  pfl_error inner;
  *out_document = (xla_document){.arena = {.allocator = *allocator}};
  reader r = {.lexer = {.text = text, .length = length, .error = &inner},
              .arena = &out_document->arena,
              .program = &out_document->program};
  pfl_status status = read_module(&r);
  if (!status) return status;
  xla_document_release(out_document);
  return base_error_set(error, status, "StableHLO: %.480s", inner.message);
}

void xla_document_release(xla_document *document) {
  mo_arena_release(&document->arena);
  document->program = (xla_program){0};
}
