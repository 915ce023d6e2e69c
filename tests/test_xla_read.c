/* Reading StableHLO: what is written is read and written the same, and what is
 * not written is named. */
#include "failing.h"
#include "random_program.h"

static const pfl_allocator usual;

static void test_round_trip(void) {
  static random_program random;
  for (int i = check_cases(3000); i--;) {
    base_text first = {0}, second = {0};
    xla_document read;
    pfl_error error = {0};
    random_make(&random);
    CHECK_NEED(!xla_program_write(&random.program, &first, NULL));
    pfl_status status =
        xla_program_read(first.bytes, first.length, &usual, &read, &error);
    CHECK(!status, "%s\n%s", error.message, first.bytes);
    if (!status) {
      CHECK_NEED(!xla_program_write(&read.program, &second, NULL));
      CHECK(!strcmp(first.bytes, second.bytes), "is\n%s\nmust be\n%s",
            second.bytes, first.bytes);
      for (int k = 0; k < read.program.call_count; k++)
        CHECK(read.program.calls[k].body_size == random.calls[k].body_size &&
                  !memcmp(read.program.calls[k].body, random.bodies[k],
                          random.calls[k].body_size),
              "the body of call %d", k);
    }
    xla_document_release(&read);
    base_text_release(&first);
    base_text_release(&second);
  }
}

static const xla_tensor square = {PFL_DTYPE_F32, 2, {256, 128}};

/* A program with something of everything. */
static void write_sample(base_text *out) {
  static const int operands[] = {0, 1}, outputs[] = {2, 3};
  const xla_tensor types[] = {square, square};
  const xla_alias alias = {0, 1};
  const xla_memory memories[] = {XLA_MEMORY_HBM, XLA_MEMORY_DEFAULT};
  const xla_call call = {.kernel_name = "kern",
                         .body = "abcd",
                         .body_size = 4,
                         .operands = operands,
                         .operand_count = 2,
                         .results = types,
                         .result_count = 2,
                         .operand_memories = memories,
                         .aliases = &alias,
                         .alias_count = 1,
                         .cost = {.flops = 7},
                         .vmem_limit_bytes = 1 << 20,
                         .has_communication = true,
                         .side_effects = true};
  const xla_program program = {.name = "sample",
                               .replicas = 4,
                               .arguments = types,
                               .argument_count = 2,
                               .calls = &call,
                               .call_count = 1,
                               .outputs = outputs,
                               .output_count = 2,
                               .donations = &alias,
                               .donation_count = 1};
  CHECK_NEED(!xla_program_write(&program, out, NULL));
}

/* `text` with the first `from` after `after` made `to`. */
static void replace(base_text *out, const char *text, const char *from,
                    const char *to) {
  const char *at = strstr(text, from);
  CHECK_NEED(at);
  base_text_add(out, text, (size_t)(at - text));
  base_text_add_string(out, to);
  base_text_add_string(out, at + strlen(from));
}

static void test_refusals(void) {
  static const struct {
    const char *from, *to, *message;
  } cases[] = {
      {"module @", "module ", "line 1, column 8: expected \"@\""},
      {"sample", "a\\00b", "must not hold NUL"},
      {"sample", "a\\4", "an escape must be two digits of hex"},
      {"partitions = 1", "partitions = 2", "\"2\": must be 1 partition"},
      {"replicas = 4", "replicas = 5", "\"5\": must be 1 to 4 replicas"},
      {"replicas = 4 : i32", "replicas = 4 : i32, jax.uses = true",
       "expected \"}\", found \",\""},
      {"  func.func", "  sdy.mesh @m\n  func.func",
       "line 2, column 3: expected \"func.func\", found \"sdy.mesh\""},
      {"public", "private", "expected \"public\", found \"private\""},
      {"%arg1:", "%arg2:", "\"2\": arguments must be numbered in turn"},
      {"%arg1: tensor<256x128xf32>", "%arg1: tensor<256x128xf64>",
       "one of f32, bf16, f16, i8, i32, found \"f64>\""},
      {"256x128", "?x128", "expected a size or one of"},
      {"256x128", "1x1x1x1x1x1x1x1x1", "no more than 8 dimensions"},
      {"256x128", "99999999999999999999x1", "needs more than 64 bits"},
      {"256x128", "999999999999x999999999999", "has another type"},
      {"tf.aliasing_output", "jax.buffer_donor",
       "expected \"tf.aliasing_output\", found \"jax.buffer_donor\""},
      {"output = 0 : i32", "output = 7 : i32", "result 7 aliases operand 1"},
      {"stablehlo.custom_call", "stablehlo.add",
       "line 3, column 12: expected \"stablehlo.custom_call\", found "
       "\"stablehlo.add\""},
      {"@tpu_custom_call", "@other", "found \"@other(%arg0,\""},
      {"(%arg0, %arg1)", "(%arg0, %arg9)", "\"9\": there is no such argument"},
      {"(%arg0, %arg1)", "(%arg0, %0#0)", "there is no such value yet"},
      {"%0:2", "%1:2", "calls must be numbered in turn"},
      {"%0:2", "%0:1", "must be 2 to 64 results"},
      {"kernel_name", "api_version = 1, kernel_name",
       "expected \"kernel_name\", found \"api_version\""},
      {"has_side_effect = true", "has_side_effect = false",
       "expected \"true\", found \"false,\""},
      {"dense<[1, 0]>", "dense<[0, 1]>", "a layout must be row-major"},
      {"dense<[1, 0]> : tensor<2x", "dense<0> : tensor<1x",
       "the operand has another rank"},
      {"tensor<2xindex>", "tensor<3xindex>", "is not the layout's rank"},
      {"result_layouts = [dense<[1, 0]> : tensor<2xindex>, ",
       "result_layouts = [", "are not those of the results"},
      {"tuple_indices = [0]", "tuple_indices = [2]", "no such result"},
      {"operand_index = 1", "operand_index = 2",
       "result 0 aliases operand 2: there are 2 and 2"},
      {"operand_tuple_indices = []", "operand_tuple_indices = [0]",
       "expected \"]\", found \"0]>],\""},
      {"tensor<256x128xf32>) -> (tensor<256x128xf32>, tensor<256x128xf32>) loc",
       "tensor<8xf32>) -> (tensor<256x128xf32>, tensor<256x128xf32>) loc",
       "the value has another type"},
      {"loc(\"", "loc(\"x", "a call's place must be the kernel's name"},
      {"loc(\"", "loc(#", "found \"#kern"},
      {"return %0#0, %0#1", "return %0#0", "has other outputs"},
      {"return %0#0, %0#1", "return %0, %0#1", "which result is it?"},
      {"return", "stablehlo.return",
       "expected \"%\", found \"stablehlo.return\""},
      {"  }\n}\n", "  }\n}\n}", "expected nothing more, found \"}\""},
      {"  }\n}\n", "  }\n", "expected \"}\", found the end"},
      /* the configuration */
      {"YWJjZA==", "YWJjZA=", "body must be base64"},
      {"YWJjZA==", "YWJjZB==", "body must be base64"},
      {"YWJjZA==", "YW=jZA==", "body must be base64"},
      {"YWJjZA==", "", "call 0 has no kernel"},
      {"\\22has_comm", "\\22new_flag\\22:1,\\22has_comm",
       "line 3, column 66: \"backend_config\": "
       "custom_call_config has \"new_flag\", which is not known"},
      {"\\22has_comm", "\\22\\22:1,\\22has_comm", "has \"\", which"},
      {"\\22has_comm", "\\22offset\\22:1,\\22has_comm", "has \"offset\""},
      {"{\\22custom_call", "{\\22body\\22:0,\\22custom_call",
       "it has \"body\", which is not known"},
      {"{\\22custom_call", "[{\\22custom_call", "backend_config is no JSON"},
      {"communication\\22:true", "communication\\22:false",
       "has_communication must be true, where it is given"},
      {"\\22has_communication\\22:true,", "",
       "collective_id must be with has_communication"},
      {"collective_id\\22:0", "collective_id\\22:2147483648",
       "collective_id is 2147483648"},
      {"flops\\22:7", "flops\\22:-7", "flops is -7: must be 0 to"},
      {"\\22flops\\22:7,", "", "flops must be an integer"},
      {"passes\\22:true", "passes\\22:1", "needs_layout_passes must be true"},
      {"format\\22:1", "format\\22:2", "serialization_format is 2"},
      {"operand_index\\22:0", "operand_index\\22:2",
       "operand_index is 2: must be 0 to 1"},
      {"color\\22:0", "color\\22:2", "color must be 0 (HBM)"},
      {"color\\22:0}", "color\\22:0},{\\22operand_index\\22:0,\\22color\\22:1}",
       "operand_index must be in the list once"},
      {"memory_space\\22:1", "memory_space\\22:2", "memory_space is 2"},
      {"offset\\22:0", "offset\\22:8", "offset is 8: must be 0 to 0"},
      {"size\\22:1048576", "size\\22:0", "size is 0: must be 1 to"},
  };
  base_text sample = {0};
  write_sample(&sample);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    base_text changed = {0};
    xla_document read;
    pfl_error error = {0};
    replace(&changed, sample.bytes, cases[i].from, cases[i].to);
    pfl_status status =
        xla_program_read(changed.bytes, changed.length, &usual, &read, &error);
    CHECK(status == PFL_STATUS_INVALID_ARGUMENT &&
              strstr(error.message, cases[i].message) &&
              strstr(error.message, "line ") && !read.program.arguments,
          "%s -> %s: %s", cases[i].from, cases[i].to, error.message);
    xla_document_release(&read);
    base_text_release(&changed);
  }
  base_text_release(&sample);
}

/* Cut anywhere, it is refused. */
static void test_cut(void) {
  base_text sample = {0};
  write_sample(&sample);
  for (size_t i = 0; i + 2 < sample.length; i++) {
    char *cut = malloc(i + 1);
    xla_document read;
    CHECK_NEED(cut);
    memcpy(cut, sample.bytes, i);
    CHECK(xla_program_read(cut, i, &usual, &read, NULL) ==
              PFL_STATUS_INVALID_ARGUMENT,
          "%zu bytes", i);
    free(cut);
  }
  base_text_release(&sample);
}

static void test_memory(void) {
  base_text sample = {0};
  write_sample(&sample);
  for (failing_state state = {0}; failing_next(&state);) {
    pfl_allocator allocator = failing_allocator(&state);
    xla_document read;
    pfl_status status =
        xla_program_read(sample.bytes, sample.length, &allocator, &read, NULL);
    xla_document_release(&read);
    state.done = failing_check(&state, status);
  }
  base_text_release(&sample);
}

static void test_options(void) {
  static const struct {
    const char *bytes;
    size_t size;
    pfl_status status;
    const char *words;
  } cases[] = {{"\x3a\x09\x0a\x01\x61\x12\x04\x0a\x02\x62\x63", 11,
                PFL_STATUS_UNIMPLEMENTED, "no setting \"a\""},
               {"\x1a\x04\x20\x05\x28\x01", 6, PFL_STATUS_INVALID_ARGUMENT,
                "5 replicas"},
               {"\x1a\x04\x20\x01\x28\x02", 6, PFL_STATUS_INVALID_ARGUMENT,
                "2 partitions"},
               {"\x1a\x02\x08\x01", 4, PFL_STATUS_UNIMPLEMENTED, "a field 1:"},
               {"\x08\x01", 2, PFL_STATUS_UNIMPLEMENTED, "a field 1:"},
               {"\x1a\x05\x20\x01\x28\x01", 6, PFL_STATUS_INVALID_ARGUMENT,
                "no Compile"},
               {"\x1a\x04\x20\x01\x28\x81", 6, PFL_STATUS_INVALID_ARGUMENT,
                "no Compile"},
               {"\x1b", 1, PFL_STATUS_INVALID_ARGUMENT, "no Compile"},
               {"\x1a\x0b\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 13,
                PFL_STATUS_INVALID_ARGUMENT, "no Compile"}};
  pfl_error error;
  int replicas = 0;
  for (int i = 1; i <= 4; i++) {
    base_text text = {0};
    CHECK_NEED(!xla_options_write(i, NULL, 0, &text, NULL));
    CHECK(!xla_options_read(text.bytes, text.length, &replicas, NULL) &&
              replicas == i,
          "%d replicas", i);
    base_text_release(&text);
  }
  CHECK(!xla_options_read(NULL, 0, &replicas, NULL) && replicas == 1, "none");
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    pfl_status status =
        xla_options_read(cases[i].bytes, cases[i].size, &replicas, &error);
    CHECK(status == cases[i].status && strstr(error.message, cases[i].words),
          "case %zu: %s", i, error.message);
  }
}

int main(void) {
  return CHECK_RUN(test_round_trip, test_refusals, test_cut, test_memory,
                   test_options);
}
