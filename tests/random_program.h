/* Random programs of every form that xla/program.h can say. */
#ifndef PFL_TESTS_RANDOM_PROGRAM_H
#define PFL_TESTS_RANDOM_PROGRAM_H

#include <stdbool.h>

#include "check.h"
#include "xla/program.h"

enum { RANDOM_CALLS = 5, RANDOM_LIST = 6, RANDOM_BYTES = 24 };

/* What a program points to. */
typedef struct random_program {
  xla_program program;
  xla_tensor arguments[RANDOM_LIST];
  xla_call calls[RANDOM_CALLS];
  int outputs[RANDOM_LIST];
  xla_alias donations[RANDOM_LIST];
  char name[RANDOM_BYTES], kernel_names[RANDOM_CALLS][RANDOM_BYTES];
  char bodies[RANDOM_CALLS][RANDOM_BYTES];
  int operands[RANDOM_CALLS][RANDOM_LIST];
  xla_tensor results[RANDOM_CALLS][RANDOM_LIST];
  xla_memory memories[RANDOM_CALLS][2][RANDOM_LIST];
  xla_alias aliases[RANDOM_CALLS][RANDOM_LIST];
} random_program;

static inline void random_name(char out[RANDOM_BYTES]) {
  int64_t length = check_between(0, RANDOM_BYTES - 1);
  for (int64_t i = 0; i < length; i++)
    out[i] = (char)(check_random() % 3 ? check_between(' ', '~')
                                       : check_between(1, 255));
  out[length] = 0;
}

static inline xla_tensor random_tensor(void) {
  xla_tensor tensor = {.dtype = (pfl_dtype)check_between(1, PFL_DTYPE_I32),
                       .rank = (int)check_between(0, XLA_RANK_MAX)};
  if (check_random() & 1) tensor.rank = 1; /* so that some are the same */
  for (int i = 0; i < tensor.rank; i++)
    tensor.shape[i] =
        check_random() & 1 ? 1 : check_between(0, tensor.rank > 3 ? 9 : 99999);
  return tensor;
}

static inline bool random_same(const xla_tensor *a, const xla_tensor *b) {
  return a->dtype == b->dtype && a->rank == b->rank &&
         !memcmp(a->shape, b->shape, sizeof a->shape);
}

static inline int64_t random_size(void) {
  return check_random() & 1 ? 0 : (int64_t)(check_random() >> 1);
}

static inline void random_call(random_program *all, int number,
                               int value_count) {
  xla_call *call = &all->calls[number];
  random_name(all->kernel_names[number]);
  for (int i = 0; i < RANDOM_BYTES; i++)
    all->bodies[number][i] = (char)check_random();
  *call = (xla_call){
      .kernel_name = all->kernel_names[number],
      .body = all->bodies[number],
      .body_size = (size_t)check_between(1, RANDOM_BYTES),
      .operands = all->operands[number],
      .operand_count = value_count ? (int)check_between(0, RANDOM_LIST) : 0,
      .results = all->results[number],
      .result_count = (int)check_between(1, RANDOM_LIST / 2),
      .aliases = all->aliases[number],
      .cost = {random_size(), random_size(), random_size(), random_size()},
      .vmem_limit_bytes = random_size(),
      .has_communication = check_random() & 1,
      .bounds_unchecked = check_random() & 1,
      .semaphores_unchecked = check_random() & 1,
      .side_effects = check_random() & 1};
  if (call->has_communication) call->collective_id = (int32_t)check_random();
  if (check_random() & 1) call->operand_memories = all->memories[number][0];
  if (check_random() & 1) call->result_memories = all->memories[number][1];
  for (int i = 0; i < RANDOM_LIST; i++) {
    all->memories[number][0][i] = (xla_memory)check_between(0, 3);
    all->memories[number][1][i] = (xla_memory)check_between(0, 3);
  }
  for (int i = 0; i < call->operand_count; i++)
    all->operands[number][i] = (int)check_between(0, value_count - 1);
  for (int i = 0; i < call->result_count; i++) {
    xla_tensor *result = &all->results[number][i];
    *result = random_tensor();
    if (i >= call->operand_count) continue;
    const xla_tensor *operand =
        xla_value_type(&all->program, all->operands[number][i]);
    if (check_random() & 1) *result = *operand;
    if (check_random() & 1 && random_same(result, operand))
      all->aliases[number][call->alias_count++] = (xla_alias){i, i};
  }
}

static inline void random_make(random_program *all) {
  memset(all, 0, sizeof *all);
  xla_program *program = &all->program;
  random_name(all->name);
  *program = (xla_program){.name = all->name,
                           .replicas = (int)check_between(1, XLA_REPLICAS_MAX),
                           .arguments = all->arguments,
                           .argument_count = (int)check_between(0, RANDOM_LIST),
                           .calls = all->calls,
                           .outputs = all->outputs,
                           .output_count = (int)check_between(1, RANDOM_LIST),
                           .donations = all->donations};
  for (int i = 0; i < program->argument_count; i++)
    all->arguments[i] = random_tensor();
  int values = program->argument_count;
  int calls = (int)check_between(values ? 0 : 1, RANDOM_CALLS);
  for (int i = 0; i < calls; i++) {
    random_call(all, i, values);
    values += all->calls[i].result_count;
    program->call_count++;
  }
  for (int i = 0; i < program->output_count; i++) {
    all->outputs[i] = (int)check_between(0, values - 1);
    if (i >= program->argument_count || check_random() & 1) continue;
    if (random_same(xla_value_type(program, all->outputs[i]),
                    &all->arguments[i]))
      all->donations[program->donation_count++] = (xla_alias){i, i};
  }
}

#endif
