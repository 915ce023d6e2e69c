/* From kernels to a program: which tensors are its arguments and results, who
 * reads whose output, topologies, and memory that runs out. */
#include "xla/lower.h"

#include "check.h"
#include "failing.h"
#include "mosaic_kernels.h"

static const pfl_allocator heap;

static kernels_kernel *add_kernel(kernels_program *program,
                                  const char *const *names) {
  kernels_kernel *kernel = &program->kernels[program->kernel_count++];
  mo_builder b;
  pfl_error error;
  mo_begin(&b, &heap);
  build_vector_add(&b);
  CHECK_NEED(!mo_finish(&b, &kernel->module, &error));
  kernel->name = "vector_add";
  for (int i = 0; i < 2; i++)
    kernels_input_add(kernel, names[i], PFL_DTYPE_F32, MO_SHAPE(256, 128));
  kernels_output_add(kernel, names[2], PFL_DTYPE_F32, MO_SHAPE(256, 128));
  return kernel;
}

/* sum = (a + b) + b, and the sum of that and itself, where "x" is made anew. */
static kernels_program make_program(void) {
  kernels_program program = {.name = "sums", .chips = 1};
  kernels_kernel *first = add_kernel(&program, (const char *[]){"a", "b", "x"});
  first->outputs[0].internal = true;
  first->inputs[1].pinned = true;
  add_kernel(&program, (const char *[]){"x", "b", "x"});
  add_kernel(&program, (const char *[]){"x", "x", "sum"});
  return program;
}

static void test_names(void) {
  kernels_program program = make_program();
  xla_signature signature;
  xla_signature_of(&program, &signature);
  CHECK(signature.argument_count == 2 && signature.result_count == 2,
        "%d arguments, %d results", signature.argument_count,
        signature.result_count);
  CHECK_NEED(signature.argument_count == 2 && signature.result_count == 2);
  CHECK(!strcmp(signature.arguments[0]->name, "a") &&
            !strcmp(signature.arguments[1]->name, "b"),
        "arguments in the order of their first use");
  CHECK(signature.results[0] == &program.kernels[1].outputs[0] &&
            signature.results[1] == &program.kernels[2].outputs[0],
        "results in the order in which they are made");
  kernels_program_release(&program);
}

static void test_text(void) {
  kernels_program program = make_program();
  base_text text = {0}, options = {0};
  pfl_error error = {PFL_STATUS_OK, ""};
  CHECK(!xla_lower(&program, &text, &options, &error), "%s", error.message);
  const char *const expected[] = {
      "module @\"sums\"",
      "@main(%arg0: tensor<256x128xf32>, %arg1: tensor<256x128xf32>)",
      "%0 = stablehlo.custom_call @tpu_custom_call(%arg0, %arg1)",
      "%1 = stablehlo.custom_call @tpu_custom_call(%0, %arg1)",
      "%2 = stablehlo.custom_call @tpu_custom_call(%1, %1)",
      "return %1, %2",
      "\\22input_memory_space_colors\\22:[{\\22operand_index\\22:1,"};
  for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
    CHECK(strstr(base_text_get(&text), expected[i]), "no %s", expected[i]);
  CHECK(options.length > 0, "options");
  base_text_release(&text);
  base_text_release(&options);
  kernels_program_release(&program);
}

static void test_memory(void) {
  kernels_program program = make_program();
  for (failing_state state = {0}; failing_next(&state);) {
    base_text text = {.allocator = failing_allocator(&state)};
    pfl_status status = xla_lower(&program, &text, NULL, NULL);
    base_text_release(&text);
    state.done = failing_check(&state, status);
  }
  kernels_program_release(&program);
}

static void test_targets(void) {
  const kernels_chip *chip;
  int chips;
  pfl_error error;
  CHECK(!kernels_target_find("v5e:2x2", &chip, &chips, &error) && chips == 4 &&
            !strcmp(chip->name, "v5e"),
        "v5e:2x2");
  CHECK(
      !kernels_target_find("v5p:4x4x8", &chip, &chips, &error) && chips == 128,
      "v5p:4x4x8");
  const char *const refused[] = {"",
                                 "v5e",
                                 "v5e:",
                                 "v5e:x",
                                 "v5e:2x",
                                 "v5e:2x2x",
                                 "v5e:0x2",
                                 "v5e:2y2",
                                 "v5e:-2x2",
                                 "v5e: 2x2",
                                 "V5E:2x2",
                                 "5e:2x2",
                                 "v5ee:2x2",
                                 ":2x2",
                                 "v5e:256x256x256x256",
                                 "v5e:9999999999999999999x1"};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
    CHECK(kernels_target_find(refused[i], &chip, &chips, &error) ==
                  PFL_STATUS_INVALID_ARGUMENT &&
              strstr(error.message, "v6e"),
          "'%s'", refused[i]);
}

int main(void) {
  return CHECK_RUN(test_names, test_text, test_memory, test_targets);
}
