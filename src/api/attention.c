/* The public calls: check, reserve, run. Everything that can fail does so
 * before an output is touched. */
#include "pallas_flash/attention.h"

#include "api/chip_calls.h"
#include "attention/problem.h"

static pfl_status check_context(const pfl_context *context, const void *args,
                                pfl_error *error) {
  if (!context) PFL_RAISE(error, INVALID_ARGUMENT, "context is NULL");
  if (!args) PFL_RAISE(error, INVALID_ARGUMENT, "args is NULL");
  return PFL_STATUS_OK;
}

/* Nobody sees anything: no chip is needed to say so. */
static bool is_empty(const attention_problem *p) {
  return !p->B || !p->Hq || !p->Sq || !p->Sk;
}

static pfl_status do_forward(pfl_context *context, const attention_problem *p,
                             const pfl_forward_args *args, pfl_error *error) {
  if (context->chips && !is_empty(p))
    return api_chips_forward(context, p, args, error);
  PFL_TRY(api_context_reserve(
      context, cpu_forward_workspace(&context->engine, p), error));
  cpu_forward(&context->engine, p, args, context->workspace);
  return PFL_STATUS_OK;
}

static pfl_status do_backward(pfl_context *context, const attention_problem *p,
                              const pfl_backward_args *args, pfl_error *error) {
  if (context->chips && !is_empty(p))
    return api_chips_backward(context, p, args, error);
  PFL_TRY(api_context_reserve(
      context, cpu_backward_workspace(&context->engine, p), error));
  cpu_backward(&context->engine, p, args, context->workspace);
  return PFL_STATUS_OK;
}

static pfl_status do_decode(pfl_context *context,
                            const attention_decode_problem *p,
                            const pfl_decode_args *args, pfl_error *error) {
  if (context->chips && p->B && p->Hq && p->Smax)
    return api_chips_decode(context, p, args, error);
  PFL_TRY(api_context_reserve(
      context, cpu_decode_workspace(&context->engine, p), error));
  cpu_decode(&context->engine, p, args, context->workspace);
  return PFL_STATUS_OK;
}

pfl_status pfl_attention_forward(pfl_context *context,
                                 const pfl_attention *attention,
                                 const pfl_forward_args *args,
                                 pfl_error *out_error) {
  attention_problem problem;
  PFL_TRY(check_context(context, args, out_error));
  PFL_TRY(attention_problem_init(attention, &problem, out_error));
  PFL_TRY(attention_check_forward(&problem, args, out_error));
  pthread_mutex_lock(&context->mutex);
  pfl_status status = do_forward(context, &problem, args, out_error);
  pthread_mutex_unlock(&context->mutex);
  return status;
}

pfl_status pfl_attention_backward(pfl_context *context,
                                  const pfl_attention *attention,
                                  const pfl_backward_args *args,
                                  pfl_error *out_error) {
  attention_problem problem;
  PFL_TRY(check_context(context, args, out_error));
  PFL_TRY(attention_problem_init(attention, &problem, out_error));
  PFL_TRY(attention_check_backward(&problem, args, out_error));
  pthread_mutex_lock(&context->mutex);
  pfl_status status = do_backward(context, &problem, args, out_error);
  pthread_mutex_unlock(&context->mutex);
  return status;
}

pfl_status pfl_attention_decode(pfl_context *context, const pfl_decode *decode,
                                const pfl_decode_args *args,
                                pfl_error *out_error) {
  attention_decode_problem problem;
  PFL_TRY(check_context(context, args, out_error));
  PFL_TRY(attention_decode_problem_init(decode, &problem, out_error));
  PFL_TRY(attention_check_decode(&problem, args, out_error));
  pthread_mutex_lock(&context->mutex);
  pfl_status status = do_decode(context, &problem, args, out_error);
  pthread_mutex_unlock(&context->mutex);
  return status;
}
