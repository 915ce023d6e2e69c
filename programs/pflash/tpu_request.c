#include "tpu_request.h"

#include <inttypes.h>

#include "base/file.h"
#include "output.h"

/* Lists that are told apart by place alone. */
#define SAME_PLACE(name, word)                         \
  _Static_assert((int)OP_##name == 1 + KERNELS_##name, \
                 "an op is the kernels' op, from 1");
OP_LIST(SAME_PLACE)
#undef SAME_PLACE
_Static_assert((int)TILES_MAX == KERNELS_TILES_MAX, "as many as a plan has");

static int64_t size_of(const cli_options *options, int place) {
  return place < options->shape_rank ? options->shape[place] : 0;
}

static pfl_scoring scoring(const cli_options *options) {
  return (pfl_scoring){.scale = options->scale,
                       .softcap = options->softcap,
                       .causal = options->causal,
                       .windowed = options->windowed,
                       .window_left = options->window_left,
                       .window_right = options->window_right};
}

static pfl_dtype dtype(const cli_options *options) {
  return options->dtype ? (pfl_dtype)options->dtype : PFL_DTYPE_BF16;
}

static pfl_status describe(const cli_options *options, tpu_request *request,
                           pfl_error *error) {
  const pfl_attention attention = {.struct_size = sizeof attention,
                                   .batch = size_of(options, 0),
                                   .q_heads = size_of(options, 1),
                                   .kv_heads = size_of(options, 2),
                                   .q_length = size_of(options, 3),
                                   .kv_length = size_of(options, 4),
                                   .head_dim = size_of(options, 5),
                                   .v_head_dim = size_of(options, 6),
                                   .dtype = dtype(options),
                                   .scoring = scoring(options)};
  return attention_problem_init(&attention, &request->problem, error);
}

/* A paged cache has as many pages as its sequences have room for. */
static pfl_status describe_decode(const cli_options *options,
                                  tpu_request *request, pfl_error *error) {
  int64_t room = size_of(options, 4), page = options->page, pages = 0, all = 0;
  if (page) pages = room / page + (room % page != 0);
  if (!base_multiply(pages, size_of(options, 0), &all))
    PFL_RAISE(error, INVALID_ARGUMENT, "the pages are more than 64 bits count");
  const pfl_decode decode = {.struct_size = sizeof decode,
                             .batch = size_of(options, 0),
                             .q_heads = size_of(options, 1),
                             .kv_heads = size_of(options, 2),
                             .q_length = size_of(options, 3),
                             .cache_length = page ? 0 : room,
                             .page_count = all,
                             .page_length = page,
                             .pages_per_sequence = pages,
                             .head_dim = size_of(options, 5),
                             .v_head_dim = size_of(options, 6),
                             .dtype = dtype(options),
                             .cache_dtype = (pfl_dtype)options->cache_dtype,
                             .scoring = scoring(options)};
  return attention_decode_problem_init(&decode, &request->decode, error);
}

/* What an op has no use for must not be given. */
static pfl_status check_uses(const cli_options *options, pfl_error *error) {
  bool decode = options->op == OP_DECODE;
  const option_use uses[] = {
      {"--cache-dtype", options->cache_dtype, decode},
      {"--page", options->page, decode},
      {"--segments", options->segments, !decode},
      {"--lse", options->lse, options->op != OP_BACKWARD},
  };
  return options_check_uses(uses, sizeof uses / sizeof *uses, "--op",
                            op_name((op)options->op), error);
}

static pfl_status check_target(const cli_options *options, const char *target,
                               pfl_error *error) {
  const kernels_chip *chip;
  int chips;
  pfl_error inner;
  if (kernels_target_find(target, &chip, &chips, &inner))
    PFL_RAISE(error, INVALID_ARGUMENT, "--%.480s", inner.message);
  if (options->chips > chips)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "--chips is %d: must be 1 to %d, which are all of %s",
              options->chips, chips, target);
  return PFL_STATUS_OK;
}

pfl_status tpu_request_make(const cli_options *options,
                            tpu_request *out_request, pfl_error *error) {
  const char *target = options->target ? options->target : "v5e:2x2";
  bool decode = options->op == OP_DECODE;
  PFL_TRY(check_uses(options, error));
  PFL_TRY(check_target(options, target, error));
  PFL_TRY(name_option("--shape",
                      decode ? describe_decode(options, out_request, error)
                             : describe(options, out_request, error),
                      error));
  for (int i = 0; i < options->tile_count; i++)
    out_request->tiles[i] =
        (kernels_tile){options->tiles[i].name, options->tiles[i].value};
  out_request->kernels =
      (kernels_request){.op = (kernels_op)(options->op - 1),
                        .problem = decode ? NULL : &out_request->problem,
                        .decode = decode ? &out_request->decode : NULL,
                        .lse = options->lse,
                        .segment_ids = options->segments,
                        .sinks = options->sinks,
                        .target = target,
                        .chips = options->chips,
                        .tiles = out_request->tiles,
                        .tile_count = options->tile_count};
  return PFL_STATUS_OK;
}

#define TABLE_BYTES_MOST ((int64_t)1 << 24)

pfl_status tpu_request_read(const cli_options *options, tpu_request *request,
                            pfl_error *error) {
  if (!options->tuned) return PFL_STATUS_OK;
  PFL_TRY(name_option("--tuned",
                      base_file_load(options->tuned, TABLE_BYTES_MOST,
                                     &request->tuned, error),
                      error));
  request->kernels.tuned = base_text_get(&request->tuned);
  return PFL_STATUS_OK;
}

void tpu_request_release(tpu_request *request) {
  base_text_release(&request->tuned);
}
