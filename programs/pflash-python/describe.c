/* The TPU's programs, described for a client that writes its own StableHLO. */
#include <string.h>

#include "python_api.h"
#include "xla/lower.h"

int32_t pfl_python_abi(void) { return PYTHON_ABI; }

static const char *const ops[] = {
#define WORD(name, word) [KERNELS_##name] = word,
    KERNELS_OP_LIST(WORD)
#undef WORD
};
enum { OP_COUNT = sizeof ops / sizeof *ops };

static pfl_status find_op(const char *word, kernels_op *out_op,
                          pfl_error *error) {
  for (int i = 0; word && i < OP_COUNT; i++)
    if (!strcmp(ops[i], word)) return *out_op = (kernels_op)i, PFL_STATUS_OK;
  PFL_RAISE(error, INVALID_ARGUMENT,
            "op is '%.40s': must be forward, backward, decode or append",
            word ? word : "");
}

static pfl_status describe(const kernels_request *request, char **out_text,
                           pfl_error *error) {
  const pfl_allocator heap = {0};
  kernels_program program;
  base_text text = {0};
  PFL_TRY(kernels_write(request, &heap, &program, error));
  pfl_status status = xla_describe(&program, &text, error);
  kernels_program_release(&program);
  if (status)
    base_text_release(&text);
  else
    *out_text = text.bytes;
  return status;
}

pfl_status pfl_python_describe(const pfl_python_request *request,
                               char **out_text, pfl_error *out_error) {
  kernels_op op = KERNELS_FORWARD;
  attention_problem problem;
  attention_decode_problem decode;
  PFL_TRY(attention_check_struct(request, sizeof *request, "pfl_python_request",
                                 out_error));
  PFL_TRY(find_op(request->op, &op, out_error));
  bool decodes = op == KERNELS_DECODE || op == KERNELS_APPEND;
  if (!request->target)
    PFL_RAISE(out_error, INVALID_ARGUMENT, "target is NULL");
  PFL_TRY(
      decodes
          ? attention_decode_problem_init(request->decode, &decode, out_error)
          : attention_problem_init(request->attention, &problem, out_error));
  const kernels_request kernels = {.op = op,
                                   .problem = decodes ? NULL : &problem,
                                   .decode = decodes ? &decode : NULL,
                                   .lse = request->lse,
                                   .segment_ids = request->segment_ids,
                                   .sinks = request->sinks,
                                   .d_lse = request->d_lse,
                                   .target = request->target};
  return describe(&kernels, out_text, out_error);
}

/* Of a text without an allocator. */
void pfl_python_free(char *text) {
  const pfl_allocator heap = {0};
  base_release(&heap, text);
}
