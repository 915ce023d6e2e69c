/* What the Python package calls besides the public headers. It comes with the
 * package, in one library with the rest: no promise is made to anybody else. */
#ifndef PFL_PYTHON_API_H
#define PFL_PYTHON_API_H

#include <pallas_flash/pallas_flash.h>

#include "ffi_abi.h"

/* Grows with every change of a struct or function that the package knows of,
 * the public headers' included: it refuses a library of another number. */
#define PYTHON_ABI 1

PFL_API int32_t pfl_python_abi(void);

/* The context that all calls of the process share, with a thread for every CPU;
 * made at the first call, and anew in a process that was forked, which has none
 * of the threads. XLA gives its handlers no place for one. */
PFL_API PFL_NODISCARD pfl_status pfl_python_context(pfl_context **out_context,
                                                    pfl_error *out_error);

/* ---- On the CPU: XLA's handlers -------------------------------------------
 *
 * Operands and results in the order of the structs in attention.h, those left
 * out that a call does not have; which those are is told by attributes, i64:
 *   segment_ids, sinks, d_lse, scaled, paged     operands that are there
 *   pages                                        columns of a block_table
 *   causal, windowed, window_left, window_right  and scale, softcap (f64): the
 *                                                problem's, as pfl_scoring
 * lse is the second result, if there are two. */
PFL_API XLA_FFI_Error *pfl_python_forward(XLA_FFI_CallFrame *frame);
PFL_API XLA_FFI_Error *pfl_python_backward(XLA_FFI_CallFrame *frame);
PFL_API XLA_FFI_Error *pfl_python_decode(XLA_FFI_CallFrame *frame);

/* ---- On TPUs: what StableHLO is to hold ------------------------------------
 */

typedef struct pfl_python_request {
  size_t struct_size; /* sizeof(pfl_python_request) */
  const char *op;     /* "forward", "backward", "decode", "append" */
  const pfl_attention *attention;         /* of forward and backward */
  const pfl_decode *decode;               /* of the others */
  const char *target;                     /* "v5e:1x1" */
  int32_t lse, segment_ids, sinks, d_lse; /* as kernels_request */
} pfl_python_request;

/* *out_text: the JSON that xla/lower.h describes, which the caller gives to
 * pfl_python_free. INVALID_ARGUMENT: no problem, or one that there is no kernel
 * for. RESOURCE_EXHAUSTED. */
PFL_API PFL_NODISCARD pfl_status pfl_python_describe(
    const pfl_python_request *request, char **out_text, pfl_error *out_error);
PFL_API void pfl_python_free(char *text);

#endif
