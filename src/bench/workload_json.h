/* A workload's members in JSON, in reports and in what peers are asked. */
#ifndef PFL_BENCH_WORKLOAD_JSON_H
#define PFL_BENCH_WORKLOAD_JSON_H

#include "bench/fields.h"
#include "bench/workloads.h"

/* Into the object that is open: op, dtypes, sizes, scoring. */
void workload_json_write(json_writer *json, const bench_workload *workload);

/* The same members; one layer of no model. Sizes are within what can be
 * multiplied, no more is checked. */
bench_workload workload_json_read(json_fields *fields);

#endif
