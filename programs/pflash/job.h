/* One `pflash run`: tensors of a file in, an op, tensors of a file out. */
#ifndef PFLASH_JOB_H
#define PFLASH_JOB_H

#include "base/json.h"
#include "options.h"
#include "pallas_flash/pallas_flash.h"
#include "tensor_rules.h"

/* All zero to begin with; job_release whatever came of it. */
typedef struct cli_job {
  const cli_options *options;
  safetensors_file file;
  tensor_set set;
  pfl_context *context;
  float *sinks; /* in F32, whatever the file has; NULL: none */
  safetensors_tensor outputs[TENSOR_OUTPUTS_MAX];
  int output_count;
  double scale;      /* with its default resolved */
  double work;       /* FLOPs; decode: bytes of cache */
  double time_ms;    /* of the op */
  double forward_ms; /* backward without o and lse: of the forward before */
  /* on sim and tpu */
  char where[32];    /* the topology: "v5e:2x2" */
  double compile_ms; /* 0: from the cache */
  double upload_ms, download_ms;
} cli_job;

/* Makes the context and the outputs and computes. The file has been read and
 * checked. */
PFL_NODISCARD pfl_status job_compute(cli_job *job, pfl_error *error);

/* The same on sim or tpu, for outputs that are there. */
PFL_NODISCARD pfl_status job_compute_on_device(cli_job *job, pfl_error *error);

void job_release(cli_job *job);

/* What the file says, for a call. */
const void *job_input(const cli_job *job, const char *name);
pfl_attention job_attention(const cli_job *job);
pfl_decode job_decode(const cli_job *job);
pfl_decode_args job_decode_args(const cli_job *job);

/* What was done, on stdout. */
void job_print(const cli_job *job);
PFL_NODISCARD pfl_status job_print_json(const cli_job *job, pfl_error *error);

/* Parts of it that pflash compile says as well: the op with its scoring.
 * `scale` has its default resolved. */
void job_print_op(const cli_options *options);
void job_write_scoring(json_writer *json, const cli_options *options,
                       double scale);

#endif
