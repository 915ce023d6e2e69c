/* The tensors of a call: what is needed, what is paired, what is in range. */
#include "attention_case.h"

static attention_problem valid_problem(void) {
  pfl_attention attention = {.struct_size = sizeof attention,
                             .batch = 2,
                             .q_heads = 8,
                             .kv_heads = 4,
                             .q_length = 5,
                             .kv_length = 7,
                             .head_dim = 16};
  attention_problem problem;
  CHECK_NEED(!attention_problem_init(&attention, &problem, NULL));
  return problem;
}

static attention_decode_problem valid_decode_problem(bool paged) {
  pfl_decode decode = {.struct_size = sizeof decode,
                       .batch = 2,
                       .q_heads = 8,
                       .kv_heads = 4,
                       .q_length = 1,
                       .head_dim = 16,
                       .cache_length = paged ? 0 : 12,
                       .page_count = paged ? 6 : 0,
                       .page_length = paged ? 4 : 0,
                       .pages_per_sequence = paged ? 3 : 0};
  attention_decode_problem problem;
  CHECK_NEED(!attention_decode_problem_init(&decode, &problem, NULL));
  return problem;
}

/* Checks arguments of `type`, all given but for what `spoil` takes away. */
#define ARGUMENTS(problem_value, type, check, valid, spoil, status, message) \
  do {                                                                       \
    type args = valid;                                                       \
    pfl_error error = {PFL_STATUS_OK, ""};                                   \
    spoil;                                                                   \
    case_expect(check(problem_value, &args, &error), &error,                 \
                PFL_STATUS_##status, message);                               \
  } while (0)

static double store[8]; /* somewhere for pointers to point; not read */

static pfl_forward_args valid_forward_args(void) {
  return (pfl_forward_args){
      .struct_size = sizeof(pfl_forward_args),
      .q = store,
      .k = store,
      .v = store,
      .out_o = store,
  };
}

#define FORWARD(spoil, status, message)                    \
  ARGUMENTS(&p, pfl_forward_args, attention_check_forward, \
            valid_forward_args(), spoil, status, message)

static void test_forward_arguments(void) {
  attention_problem p = valid_problem();
  const void *odd = (const char *)store + 2;
  int32_t *ids = (int32_t *)store;
  FORWARD((void)0, OK, "nothing spoilt");
  FORWARD(args.struct_size = 1, INVALID_ARGUMENT,
          "pfl_forward_args: struct_size is 1: must be sizeof");
  FORWARD(args.q = NULL, INVALID_ARGUMENT, "q is NULL: this call needs it");
  FORWARD(args.k = NULL, INVALID_ARGUMENT, "k is NULL: this call needs it");
  FORWARD(args.v = NULL, INVALID_ARGUMENT, "v is NULL: this call needs it");
  FORWARD(args.out_o = NULL, INVALID_ARGUMENT, "out_o is NULL: this call");
  FORWARD(args.k = odd, INVALID_ARGUMENT, "address must be a multiple of 4");
  FORWARD(args.q_segment_ids = ids, INVALID_ARGUMENT,
          "kv_segment_ids is NULL and q_segment_ids is not: give both or");
  FORWARD(args.kv_segment_ids = ids, INVALID_ARGUMENT,
          "q_segment_ids is NULL and kv_segment_ids is not: give both or");
  FORWARD(args.q_segment_ids = args.kv_segment_ids = ids, OK, "both");
  FORWARD(args.sinks = args.out_lse = (float *)store, OK, "the optional ones");
  p.dtype = PFL_DTYPE_BF16;
  FORWARD(args.k = odd, OK, "two bytes suffice for bf16");
  p.Sk = 0;
  FORWARD(args.k = args.v = NULL, OK, "no keys");
  FORWARD(args.q_segment_ids = ids, OK, "kv_segment_ids has no elements");
  FORWARD(args.kv_segment_ids = ids, INVALID_ARGUMENT, "q_segment_ids is NULL");
  p.Sk = 7;
  p.Sq = 0;
  FORWARD(args.q = args.out_o = NULL, OK, "no queries");
  FORWARD(args.k = NULL, INVALID_ARGUMENT, "k is NULL: this call needs it");
}

static pfl_backward_args valid_backward_args(void) {
  return (pfl_backward_args){
      .struct_size = sizeof(pfl_backward_args),
      .q = store,
      .k = store,
      .v = store,
      .o = store,
      .lse = (float *)store,
      .d_o = store,
      .out_dq = store,
      .out_dk = store,
      .out_dv = store,
  };
}

#define BACKWARD(spoil, status, message)                     \
  ARGUMENTS(&p, pfl_backward_args, attention_check_backward, \
            valid_backward_args(), spoil, status, message)

static void test_backward_arguments(void) {
  attention_problem p = valid_problem();
  float *given = (float *)store;
  BACKWARD((void)0, OK, "nothing spoilt");
  BACKWARD(args.struct_size = 0, INVALID_ARGUMENT, "struct_size is 0");
  BACKWARD(args.q = NULL, INVALID_ARGUMENT, "q is NULL: this call needs it");
  BACKWARD(args.k = NULL, INVALID_ARGUMENT, "k is NULL: this call needs it");
  BACKWARD(args.v = NULL, INVALID_ARGUMENT, "v is NULL: this call needs it");
  BACKWARD(args.o = NULL, INVALID_ARGUMENT, "o is NULL: this call needs it");
  BACKWARD(args.lse = NULL, INVALID_ARGUMENT, "lse is NULL: this call needs");
  BACKWARD(args.d_o = NULL, INVALID_ARGUMENT, "d_o is NULL: this call needs");
  BACKWARD(args.out_dq = NULL, INVALID_ARGUMENT, "out_dq is NULL: this call");
  BACKWARD(args.out_dk = NULL, INVALID_ARGUMENT, "out_dk is NULL: this call");
  BACKWARD(args.out_dv = NULL, INVALID_ARGUMENT, "out_dv is NULL: this call");
  BACKWARD(args.out_dsinks = given, INVALID_ARGUMENT,
           "out_dsinks is given and sinks is NULL");
  BACKWARD(args.sinks = given, OK, "dsinks not wanted");
  BACKWARD(args.sinks = args.out_dsinks = given, OK, "dsinks wanted");
  BACKWARD(args.q_segment_ids = (int32_t *)store, INVALID_ARGUMENT,
           "kv_segment_ids is NULL and q_segment_ids is not");
  p.B = 0;
  BACKWARD(args = (pfl_backward_args){.struct_size = sizeof args}, OK, "empty");
}

static pfl_decode_args valid_decode_args(void) {
  return (pfl_decode_args){
      .struct_size = sizeof(pfl_decode_args),
      .q = store,
      .k = store,
      .v = store,
      .out_o = store,
  };
}

#define DECODE(spoil, status, message)                                        \
  ARGUMENTS(&p, pfl_decode_args, attention_check_decode, valid_decode_args(), \
            spoil, status, message)

static void test_decode_arguments(void) {
  attention_decode_problem p = valid_decode_problem(false);
  float *given = (float *)store;
  DECODE((void)0, OK, "nothing spoilt");
  DECODE(args.struct_size = 0, INVALID_ARGUMENT, "struct_size is 0");
  DECODE(args.q = NULL, INVALID_ARGUMENT, "q is NULL: this call needs it");
  DECODE(args.k = NULL, INVALID_ARGUMENT, "k is NULL: this call needs it");
  DECODE(args.v = NULL, INVALID_ARGUMENT, "v is NULL: this call needs it");
  DECODE(args.out_o = NULL, INVALID_ARGUMENT, "out_o is NULL: this call");
  DECODE(args.k_scale = given, INVALID_ARGUMENT,
         "k_scale is given: it must be NULL unless the cache is int8");
  DECODE(args.v_scale = given, INVALID_ARGUMENT, "v_scale is given: it must");
  DECODE(args.block_table = (int32_t *)store, INVALID_ARGUMENT,
         "block_table is given: it must be NULL unless the cache is paged");
  p.cache_dtype = PFL_DTYPE_I8;
  DECODE(args.k_scale = given, INVALID_ARGUMENT, "v_scale is NULL: this call");
  DECODE(args.v_scale = given, INVALID_ARGUMENT, "k_scale is NULL: this call");
  DECODE(args.k_scale = args.v_scale = given, OK, "both scales");
}

static void test_lengths(void) {
  attention_decode_problem p = valid_decode_problem(false);
  DECODE(args.lengths = ((int32_t[]){0, 12}), OK, "the whole range");
  DECODE(args.lengths = ((int32_t[]){12, 13}), OUT_OF_RANGE,
         "lengths[1] is 13: must be 0 to 12");
  DECODE(args.lengths = ((int32_t[]){-1, 3}), OUT_OF_RANGE,
         "lengths[0] is -1: must be 0 to 12");
  DECODE(args.lengths = ((int32_t[]){1, INT32_MIN}), OUT_OF_RANGE,
         "lengths[1] is -2147483648: must be 0 to 12");
}

static void test_block_table(void) {
  attention_decode_problem p = valid_decode_problem(true);
  const int32_t right[] = {5, 0, 1, 2, 3, 4}, unused[] = {5, 0, -9, 2, 99, 99},
                low[] = {5, 0, 1, 2, -1, 4}, high[] = {6, 0, 1, 2, 3, 4};
  DECODE((void)0, INVALID_ARGUMENT, "block_table is NULL: this call needs it");
  DECODE(args.block_table = right, OK, "every page once");
  DECODE(args.block_table = high, OUT_OF_RANGE,
         "block_table[0][0] is 6: must be a page, at least 0 and less than 6");
  DECODE(args.block_table = low, OUT_OF_RANGE, "block_table[1][1] is -1");
  DECODE(args.block_table = unused, OUT_OF_RANGE, "block_table[0][2] is -9");
  DECODE((args.block_table = unused, args.lengths = ((int32_t[]){8, 4})), OK,
         "entries past the length are not read");
  DECODE((args.block_table = unused, args.lengths = ((int32_t[]){8, 5})),
         OUT_OF_RANGE, "block_table[1][1] is 99");
  DECODE((args.block_table = right, args.lengths = ((int32_t[]){8, 13})),
         OUT_OF_RANGE, "lengths[1] is 13: must be 0 to 12");
}

int main(void) {
  return CHECK_RUN(test_forward_arguments, test_backward_arguments,
                   test_decode_arguments, test_lengths, test_block_table);
}
