/* baseline_text OP B HQ HKV SQ SK D CAUSAL WINDOW SOFTCAP SINKS DTYPE CACHE:
 * prints the baseline's program for it (baseline_jax.py). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xla/baseline.h"

static pfl_dtype dtype_of(const char *name) {
  int dtype = PFL_DTYPE_F32;
  while (dtype < PFL_DTYPE_I8 && strcmp(pfl_dtype_name((pfl_dtype)dtype), name))
    dtype++;
  return (pfl_dtype)dtype;
}

int main(int argc, char **argv) {
  base_text text = {0};
  pfl_error error;
  if (argc != 14) return 2;
  const xla_baseline baseline = {.backward = !strcmp(argv[1], "backward"),
                                 .batch = atoll(argv[2]),
                                 .q_heads = atoll(argv[3]),
                                 .kv_heads = atoll(argv[4]),
                                 .q_length = atoll(argv[5]),
                                 .kv_length = atoll(argv[6]),
                                 .head_dim = atoll(argv[7]),
                                 .causal = atoi(argv[8]),
                                 .window = atoll(argv[9]),
                                 .scale = 0.125,
                                 .softcap = atof(argv[10]),
                                 .sinks = atoi(argv[11]),
                                 .dtype = dtype_of(argv[12]),
                                 .cache_dtype = dtype_of(argv[13])};
  if (xla_baseline_write(&baseline, &text, &error)) {
    fprintf(stderr, "%s\n", error.message);
    return 1;
  }
  fputs(base_text_get(&text), stdout);
  base_text_release(&text);
  return 0;
}
