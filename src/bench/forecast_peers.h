/* The kernels that JAX has for the TPU, beside ours: bench/peers/jax_tpu.py
 * compiles them, their listings are read here. docs/benchmark.md has the
 * protocol. */
#ifndef PFL_BENCH_FORECAST_PEERS_H
#define PFL_BENCH_FORECAST_PEERS_H

#include "bench/forecast.h"

typedef struct forecast_peers forecast_peers;

/* Starts the script and sets what JAX it found, "jax 0.10.2". Listings go to a
 * directory of their own in `directory`, which outlives this. NOT_FOUND,
 * UNAVAILABLE, UNIMPLEMENTED: there is no compiler, no script, no JAX, and why.
 * RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status forecast_peers_open(const char *directory,
                                             forecast_peers **out_peers,
                                             char *out_versions,
                                             size_t capacity, pfl_error *error);
void forecast_peers_close(forecast_peers *peers);

/* Adds to a cell a side for each kernel that may do it: the best of its ways,
 * or why there is none. */
void forecast_peers_predict(forecast_peers *peers, forecast_cell *cell);

#endif
