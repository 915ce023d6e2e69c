/* What is asked, written down before it is measured (rule 4). A plan is a small
 * JSON file, docs/plan.schema.json, whose hash the report tells: whoever kept
 * it earlier can see that it is the same. */
#ifndef PFL_BENCH_PLAN_H
#define PFL_BENCH_PLAN_H

#include "base/json.h"
#include "bench/catalog.h"

typedef struct bench_plan {
  char hash[SHA256_HEX_SIZE]; /* of the file; "": there is no plan */
  char registered[16];        /* the day, YYYY-MM-DD */
  char question[256];
  char cell[96];     /* bench_workload_name of the primary cell (rule 39) */
  char a[32], b[32]; /* names of devices */
  bench_price_kind kind;
  char region[32];   /* the price of a device that is not there is the lowest of
                        the continent (rule 47) */
  double delta;      /* above 0 (rule 4) */
  double half_width; /* of the interval of r (rule 40) */
  int64_t min_processes,
      min_runs; /* a measured side must have (rules 27, 29) */
  int64_t resamples;
  uint64_t seed;
} bench_plan;

/* `path`, or what is shipped if it is NULL. INVALID_ARGUMENT names the file and
 * the member. */
PFL_NODISCARD pfl_status plan_read(const char *path, bench_plan *out_plan,
                                   pfl_error *error);

/* The members of a plan, of the object being written. */
void plan_write(const bench_plan *plan, json_writer *json);

#endif
