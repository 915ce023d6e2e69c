#include <assert.h>
#include <string.h>

#include "kernels/tuned_tiles.h"
#include "kernels/writers.h"

/* ---- Chips ----------------------------------------------------------------
 */

#define MIB ((int64_t)1 << 20)

/* VMEM of a core as jax's tables of TPUs have it; SMEM likewise. */
const kernels_chip kernels_chips[] = {{"v4", 16 * MIB, 1 * MIB, 128, false},
                                      {"v5e", 128 * MIB, 1 * MIB, 128, true},
                                      {"v5p", 64 * MIB, 1 * MIB, 128, true},
                                      {"v6e", 128 * MIB, 1 * MIB, 256, true},
                                      {"tpu7x", 64 * MIB, 1 * MIB, 256, true}};
const int kernels_chip_count = sizeof kernels_chips / sizeof *kernels_chips;

static pfl_status raise_target(const char *target, pfl_error *error) {
  base_text names = {0};
  for (int i = 0; i < kernels_chip_count; i++)
    base_text_format(&names, "%s%s", i ? ", " : "", kernels_chips[i].name);
  base_error_set(error, PFL_STATUS_INVALID_ARGUMENT,
                 "target is '%s': must be a chip and its topology, as v5e:2x2; "
                 "chips are %s",
                 target, base_text_get(&names));
  base_text_release(&names);
  return PFL_STATUS_INVALID_ARGUMENT;
}

/* "2x2" or "2x2x1": the product; 0 if it is none. */
static int count_chips(const char *topology) {
  int chips = 1;
  for (const char *at = topology;; at++) {
    int size = 0;
    for (; *at >= '0' && *at <= '9' && size < 1000; at++)
      size = 10 * size + (*at - '0');
    if (size < 1 || size > 256 || chips > 65536 / size) return 0;
    chips *= size;
    if (*at != 'x') return *at ? 0 : chips;
  }
}

pfl_status kernels_target_find(const char *target,
                               const kernels_chip **out_chip, int *out_chips,
                               pfl_error *error) {
  const char *colon = strchr(target, ':');
  int chips = colon ? count_chips(colon + 1) : 0;
  for (int i = 0; chips && i < kernels_chip_count; i++)
    if (strlen(kernels_chips[i].name) == (size_t)(colon - target) &&
        !strncmp(kernels_chips[i].name, target, (size_t)(colon - target))) {
      *out_chip = &kernels_chips[i];
      *out_chips = chips;
      return PFL_STATUS_OK;
    }
  return raise_target(target, error);
}

/* ---- Programs -------------------------------------------------------------
 */

enum { TILE_MOST = 1 << 18 };

static const struct {
  const char *word;
  kernels_writer *write;
} writers[] = {
    [KERNELS_FORWARD] = {"forward", kernels_forward_write},
    [KERNELS_BACKWARD] = {"backward", kernels_backward_write},
    [KERNELS_DECODE] = {"decode", kernels_decode_write},
    [KERNELS_APPEND] = {"append", kernels_append_write},
};

/* More is a mistake, and would take for ever to write out. */
static pfl_status check_tile_sizes(const kernels_request *request,
                                   pfl_error *error) {
  for (int i = 0; i < request->tile_count; i++)
    if (request->tiles[i].value < 1 || request->tiles[i].value > TILE_MOST)
      PFL_RAISE(error, INVALID_ARGUMENT, "%s is %lld: must be 1 to %d",
                request->tiles[i].name, (long long)request->tiles[i].value,
                TILE_MOST);
  return PFL_STATUS_OK;
}

static pfl_status check_tiles(const kernels_request *request,
                              const kernels_program *program,
                              pfl_error *error) {
  for (int i = 0; i < request->tile_count; i++) {
    bool known = false;
    for (int k = 0; k < program->tile_count; k++)
      known |= !strcmp(request->tiles[i].name, program->tiles[k].name);
    if (!known)
      PFL_RAISE(error, INVALID_ARGUMENT, "no tile of %s is called '%s'",
                writers[request->op].word, request->tiles[i].name);
  }
  return PFL_STATUS_OK;
}

static pfl_status write(const kernels_request *request,
                        const kernels_chip *chip,
                        const pfl_allocator *allocator,
                        kernels_program *out_program, pfl_error *error) {
  pfl_status status =
      writers[request->op].write(request, chip, allocator, out_program, error);
  if (!status) status = check_tiles(request, out_program, error);
  if (status) kernels_program_release(out_program);
  return status;
}

/* With tuned tiles, if there are any. A row that the kernel does not take (it
 * may have changed since) is as none: *out_done is false then. */
static pfl_status write_tuned(const kernels_request *request,
                              const kernels_chip *chip,
                              const pfl_allocator *allocator,
                              kernels_program *out_program, bool *out_done,
                              pfl_error *error) {
  kernels_tuned tuned;
  kernels_request with_tiles = *request;
  int chips = out_program->chips;
  *out_done = false;
  if (request->tile_count || request->untuned ||
      !kernels_tuned_find(request, request->tuned, &tuned))
    return PFL_STATUS_OK;
  with_tiles.tiles = tuned.tiles;
  with_tiles.tile_count = tuned.count;
  if (check_tile_sizes(&with_tiles, NULL)) return PFL_STATUS_OK;
  pfl_status status = write(&with_tiles, chip, allocator, out_program, error);
  *out_done = !status;
  out_program->chips = chips;
  return status == PFL_STATUS_INVALID_ARGUMENT ? PFL_STATUS_OK : status;
}

pfl_status kernels_write(const kernels_request *request,
                         const pfl_allocator *allocator,
                         kernels_program *out_program, pfl_error *error) {
  const kernels_chip *chip;
  int chips;
  memset(out_program, 0, sizeof *out_program);
  PFL_TRY(kernels_target_find(request->target, &chip, &chips, error));
  out_program->chips = request->chips ? request->chips : 1;
  if (out_program->chips < 1 || out_program->chips > chips)
    PFL_RAISE(error, INVALID_ARGUMENT, "chips is %d: %s has 1 to %d",
              request->chips, request->target, chips);
  PFL_TRY(check_tile_sizes(request, error));
  if (!writers[request->op].write)
    PFL_RAISE(error, UNIMPLEMENTED, "there is no TPU kernel for %s yet",
              writers[request->op].word);
  bool done;
  PFL_TRY(write_tuned(request, chip, allocator, out_program, &done, error));
  if (done) return PFL_STATUS_OK;
  return write(request, chip, allocator, out_program, error);
}

void kernels_program_release(kernels_program *program) {
  for (int i = 0; i < program->kernel_count; i++)
    mo_module_destroy(program->kernels[i].module);
  memset(program, 0, sizeof *program);
}

/* ---- For the kernels -------------------------------------------------------
 */

int64_t kernels_tile_of(const kernels_request *request, const char *name,
                        int64_t otherwise) {
  for (int i = 0; i < request->tile_count; i++)
    if (!strcmp(request->tiles[i].name, name)) return request->tiles[i].value;
  return otherwise;
}

void kernels_tile_add(kernels_program *program, const char *name,
                      int64_t value) {
  assert(program->tile_count < KERNELS_TILES_MAX);
  program->tiles[program->tile_count++] = (kernels_tile){name, value};
}

static kernels_tensor *add_tensor(kernels_tensor *list, int *count,
                                  const char *name, pfl_dtype dtype,
                                  mo_shape shape) {
  assert(*count < KERNELS_TENSORS_MAX && shape.rank <= KERNELS_RANK_MAX);
  kernels_tensor *tensor = &list[(*count)++];
  *tensor = (kernels_tensor){.name = name, .dtype = dtype, .rank = shape.rank};
  memcpy(tensor->shape, shape.sizes, (size_t)shape.rank * sizeof *shape.sizes);
  return tensor;
}

kernels_tensor *kernels_input_add(kernels_kernel *kernel, const char *name,
                                  pfl_dtype dtype, mo_shape shape) {
  return add_tensor(kernel->inputs, &kernel->input_count, name, dtype, shape);
}

kernels_tensor *kernels_output_add(kernels_kernel *kernel, const char *name,
                                   pfl_dtype dtype, mo_shape shape) {
  return add_tensor(kernel->outputs, &kernel->output_count, name, dtype, shape);
}

mo_element kernels_element(pfl_dtype dtype) {
  switch (dtype) {
    case PFL_DTYPE_BF16: return MO_BF16;
    case PFL_DTYPE_F16: return MO_F16;
    case PFL_DTYPE_I8: return MO_I8;
    case PFL_DTYPE_I32: return MO_I32;
    default: return MO_F32;
  }
}
