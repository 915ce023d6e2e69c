#include "bench/asked.h"

pfl_status asked_kernel_init(const bench_workload *workload, int chips,
                             asked_kernel *out_asked, pfl_error *error) {
  static const kernels_op ops[] = {[BENCH_OP_FORWARD] = KERNELS_FORWARD,
                                   [BENCH_OP_BACKWARD] = KERNELS_BACKWARD,
                                   [BENCH_OP_DECODE] = KERNELS_DECODE};
  asked_kernel *asked = out_asked;
  bool is_decode = workload->op == BENCH_OP_DECODE;
  if (is_decode) {
    pfl_decode decode = bench_workload_decode(workload);
    PFL_TRY(attention_decode_problem_init(&decode, &asked->decode, error));
  } else {
    pfl_attention attention = bench_workload_attention(workload);
    PFL_TRY(attention_problem_init(&attention, &asked->problem, error));
  }
  asked->request =
      (kernels_request){.op = ops[workload->op],
                        .problem = is_decode ? NULL : &asked->problem,
                        .decode = is_decode ? &asked->decode : NULL,
                        .sinks = workload->sinks,
                        .chips = chips};
  return PFL_STATUS_OK;
}
