/* Predictions that were made once: small files in `predictions` within the
 * compile cache (pjrt/cache.h), each called by the SHA-256 of all that it
 * follows from. A file that is not whole, or may have been written by another
 * user, is as none; what cannot be written is not kept. There are never more
 * than PREDICTIONS_MOST: the oldest make room. */
#ifndef PFL_BENCH_PREDICTION_CACHE_H
#define PFL_BENCH_PREDICTION_CACHE_H

#include "bench/predict.h"

enum { PREDICTIONS_MOST = 2000 };

/* Sets *out_path to where the prediction of `key` belongs: what was predicted,
 * in any words. The numbers of the model and its very code are added to it. It
 * stays empty if there is no cache. RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status prediction_cache_name(const base_text *key,
                                               base_text *out_path,
                                               pfl_error *error);

/* Neither does anything if the path is empty. */
bool prediction_cache_load(const char *path, bench_prediction *out_prediction);
void prediction_cache_store(const char *path,
                            const bench_prediction *prediction);

#endif
