/* mosaic_compile: the kernels of mosaic_kernels.h through the real compiler,
 * ahead of time for a v5e, in the oldest version that carries them and in the
 * newest. Exit code 77 where there is no compiler. */
#include "check.h"
#include "mosaic_kernels.h"
#include "pjrt/compile.h"
#include "xla/program.h"

static const pfl_allocator heap;
static bool missing;

/* What XLA is told of a kernel's operands and result, in mosaic_kernels' order.
 */
typedef struct call_shape {
  xla_tensor operands[3];
  int count;
  xla_tensor result;
  int replicas;
} call_shape;

#define F32(...)                      \
  {                                   \
    PFL_DTYPE_F32, 2, { __VA_ARGS__ } \
  }
#define BF16(...)                      \
  {                                    \
    PFL_DTYPE_BF16, 2, { __VA_ARGS__ } \
  }
static const xla_tensor tiles = {PFL_DTYPE_F32, 3, {16, 64, 128}};

static call_shape shape_of(const char *kernel) {
  if (!strcmp(kernel, "matmul"))
    return (call_shape){
        {BF16(1024, 1024), BF16(512, 1024)}, 2, BF16(1024, 512), 1};
  if (!strcmp(kernel, "double_buffer"))
    return (call_shape){{tiles}, 1, tiles, 1};
  if (!strcmp(kernel, "exchange"))
    return (call_shape){{F32(8, 128)}, 1, F32(8, 128), 4};
  if (!strcmp(kernel, "medley"))
    return (call_shape){
        {{PFL_DTYPE_I32, 1, {8}}, F32(512, 256), BF16(256, 256)},
        3,
        F32(512, 256),
        1};
  return (call_shape){{F32(256, 128), F32(256, 128)}, 2, F32(256, 128), 1};
}

static pfl_status compile(const char *name, const base_text *body,
                          pfl_error *error) {
  call_shape shape = shape_of(name);
  bool remote = shape.replicas > 1;
  xla_call call = {.kernel_name = name,
                   .body = body->bytes,
                   .body_size = body->length,
                   .operands = (const int[]){0, 1, 2},
                   .operand_count = shape.count,
                   .results = &shape.result,
                   .result_count = 1,
                   .has_communication = remote,
                   .side_effects = remote};
  xla_program program = {.name = name,
                         .replicas = shape.replicas,
                         .arguments = shape.operands,
                         .argument_count = shape.count,
                         .calls = &call,
                         .call_count = 1,
                         .outputs = &shape.count,
                         .output_count = 1};
  base_text text = {0}, options = {0};
  pjrt_artifact artifact;
  pfl_status status = xla_program_write(&program, &text, error);
  if (!status)
    status = xla_options_write(shape.replicas, NULL, 0, &options, error);
  if (!status)
    status =
        pjrt_compile(&(pjrt_compile_request){.topology = "v5e:2x2",
                                             .module = text.bytes,
                                             .module_size = text.length,
                                             .options = options.bytes,
                                             .options_size = options.length,
                                             .seconds = 120,
                                             .uncached = true},
                     &heap, &artifact, error);
  if (!status) pjrt_artifact_release(&artifact);
  base_text_release(&text);
  base_text_release(&options);
  return status;
}

static void test_compile(void) {
  for (int i = 0; i < 2 * MOSAIC_KERNELS && !missing; i++) {
    const mosaic_kernel *kernel = &mosaic_kernels[i / 2];
    mo_builder b;
    mo_module *module;
    base_text body = {0};
    pfl_error error = {PFL_STATUS_OK, ""};
    mo_begin(&b, &heap);
    kernel->build(&b);
    CHECK_NEED(!mo_finish(&b, &module, &error));
    module->version = i % 2 ? MO_VERSION_NEWEST : 0;
    CHECK_NEED(!mo_print(module, NULL, &body, &error));
    pfl_status status = compile(kernel->name, &body, &error);
    missing = status == PFL_STATUS_NOT_FOUND;
    CHECK(!status || missing, "%s, version %d: %s", kernel->name,
          module->version, error.message);
    if (missing) printf("skipped: %s\n", error.message);
    base_text_release(&body);
    mo_module_destroy(module);
  }
}

int main(void) {
  int failed = CHECK_RUN(test_compile);
  return failed ? failed : missing ? 77 : 0;
}
