/* The StableHLO text around kernels and the options' bytes, and what both
 * refuse. */
#include "xla/program.h"

#include "check.h"
#include "failing.h"

static const xla_tensor square = {PFL_DTYPE_F32, 2, {256, 128}};
static const int first = 0, second = 1;

static xla_call make_call(void) {
  return (xla_call){.kernel_name = "k\"\n",
                    .body = "abcd",
                    .body_size = 4,
                    .operands = &first,
                    .operand_count = 1,
                    .results = &square,
                    .result_count = 1};
}

static pfl_status write(const xla_call *call, int output, base_text *out) {
  xla_program program = {.name = "a\"b\\",
                         .replicas = 4,
                         .arguments = &square,
                         .argument_count = 1,
                         .calls = call,
                         .call_count = 1,
                         .outputs = &output,
                         .output_count = 1};
  return xla_program_write(&program, out, NULL);
}

static void test_text(void) {
  xla_call call = make_call();
  call.vmem_limit_bytes = 1 << 20;
  base_text text = {0};
  CHECK(!write(&call, second, &text), "a program");
  static const char expected[] =
      "module @\"a\\22b\\5C\" attributes {mhlo.num_partitions = 1 : i32, "
      "mhlo.num_replicas = 4 : i32} {\n"
      "  func.func public @main(%arg0: tensor<256x128xf32>) -> "
      "(tensor<256x128xf32>) {\n"
      "    %0 = stablehlo.custom_call @tpu_custom_call(%arg0) {backend_config "
      "= \"{\\22custom_call_config\\22:{\\22body\\22:\\22YWJjZA==\\22,"
      "\\22needs_layout_passes\\22:true,\\22serialization_format\\22:1},"
      "\\22scoped_memory_configs\\22:[{\\22memory_space\\22:1,\\22offset\\22:0,"
      "\\22size\\22:1048576}]}\", kernel_name = \"k\\22\\0A\", "
      "operand_layouts = [dense<[1, 0]> : tensor<2xindex>], "
      "output_operand_aliases = [], result_layouts = [dense<[1, 0]> : "
      "tensor<2xindex>]} : (tensor<256x128xf32>) -> tensor<256x128xf32>"
      " loc(\"k\\22\\0A\")\n"
      "    return %0 : tensor<256x128xf32>\n  }\n}\n";
  CHECK(!strcmp(base_text_get(&text), expected), "is\n%s\nmust be\n%s",
        base_text_get(&text), expected);
  base_text_release(&text);
}

static void test_refusals(void) {
  base_text text = {0};
  xla_alias twice[] = {{0, 0}, {0, 0}};
  for (int rule = 0; rule < 5; rule++) {
    xla_call call = make_call();
    xla_tensor other = square;
    if (rule == 0) call.operands = &second; /* its own result */
    if (rule == 1) other.dtype = PFL_DTYPE_DEFAULT;
    if (rule == 2) call.aliases = twice, call.alias_count = 2;
    if (rule == 3)
      other.shape[0] = 8, call.aliases = twice, call.alias_count = 1;
    if (rule == 4) other.shape[0] = -1;
    call.results = &other;
    CHECK(write(&call, second, &text) == PFL_STATUS_INVALID_ARGUMENT, "rule %d",
          rule);
  }
  xla_call call = make_call();
  CHECK(write(&call, 2, &text) == PFL_STATUS_INVALID_ARGUMENT, "no value 2");
  base_text_release(&text);
}

static void test_options(void) {
  base_text text = {0};
  xla_setting setting = {"a", "bc"};
  CHECK(!xla_options_write(4, &setting, 1, &text, NULL), "options");
  static const char expected[] =
      "\x1a\x12\x20\x04\x28\x01\x4a\x0c\x08\x04\x10\x01\x1a\x06\x0a\x04\x00"
      "\x01\x02\x03\x3a\x09\x0a\x01\x61\x12\x04\x0a\x02\x62\x63";
  CHECK(text.length == sizeof expected - 1 &&
            !memcmp(text.bytes, expected, text.length),
        "%zu bytes", text.length);
  CHECK(
      xla_options_write(5, NULL, 0, &text, NULL) == PFL_STATUS_INVALID_ARGUMENT,
      "five replicas");
  base_text_release(&text);
}

static void test_memory(void) {
  for (failing_state state = {0}; failing_next(&state);) {
    xla_call call = make_call();
    base_text text = {.allocator = failing_allocator(&state)};
    pfl_status status = write(&call, second, &text);
    base_text_release(&text);
    state.done = failing_check(&state, status);
  }
}

int main(void) {
  return CHECK_RUN(test_text, test_refusals, test_options, test_memory);
}
