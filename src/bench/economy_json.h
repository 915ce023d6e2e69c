/* The economic part of a report as JSON, and back. */
#ifndef PFL_BENCH_ECONOMY_JSON_H
#define PFL_BENCH_ECONOMY_JSON_H

#include "base/json.h"
#include "bench/economy.h"

/* A member "economics" of the object being written; null if there is none.
 * `today` is a day's number, for what is stale. RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status economy_write(json_writer *json,
                                       const bench_economy *economy,
                                       int64_t today, pfl_error *error);

/* One estimate: an item of economics.cells[].estimates, and the content of a
 * journal's line. */
void economy_write_estimate(json_writer *json, const char *key,
                            const char *device, const bench_estimate *estimate);

/* The opposite; *out_device lives as long as the document. */
PFL_NODISCARD pfl_status economy_read_estimate(const json_value *value,
                                               const char **out_device,
                                               bench_estimate *out_estimate,
                                               pfl_error *error);

/* {"cell": ..., "estimate": ...}, a line of a journal. */
PFL_NODISCARD pfl_status economy_read_line(const json_value *value,
                                           bench_economy *economy,
                                           pfl_error *error);

/* Devices and cells out of the member "economics", which may be null, into an
 * economy that is open. */
PFL_NODISCARD pfl_status economy_read(const json_value *value,
                                      bench_economy *economy, pfl_error *error);

#endif
