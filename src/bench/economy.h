/* The economic part of a report: what other devices would take for its cells,
 * and what that costs. Estimates are raw; costs and comparisons are worked out
 * from them, the prices and the plan whenever they are asked for. */
#ifndef PFL_BENCH_ECONOMY_H
#define PFL_BENCH_ECONOMY_H

#include "bench/plan.h"
#include "bench/provider.h"

#define ECONOMY_DEVICES_MAX 16

/* The device that the others are compared with, and they: a chip of
 * hardware.csv and how many of them are rented as one. X(chip, chips). */
#define ECONOMY_DEVICE_LIST(X) \
  X("v5e", 4)                  \
  X("L4", 1)                   \
  X("A10G", 1)                 \
  X("T4", 1)                   \
  X("L40S", 1)                 \
  X("Inferentia2", 1)

typedef struct economy_device {
  char name[PROVIDER_NAME_SIZE];
  char chip[PROVIDER_NAME_SIZE];
  int64_t chips;
  bool measured; /* it follows from the rows (measured.h) */
} economy_device;

/* What the user says that an hour of a device costs. It takes the place of the
 * tables' price of that device. */
#define ECONOMY_CPU "cpu" /* the name of this machine's CPU as a device */
enum { ECONOMY_GIVEN_MAX = 8, ECONOMY_SOURCE_SIZE = 256 };
typedef struct economy_given {
  char device[PROVIDER_NAME_SIZE], as_of[16], source[ECONOMY_SOURCE_SIZE];
  catalog_price price; /* points into this */
} economy_given;

typedef struct economy_cell {
  bench_workload workload;
  bench_estimate *estimates; /* [device_count] */
} economy_cell;

typedef struct bench_economy {
  bench_catalog catalog;
  bench_plan plan;
  char compiler[128]; /* of the predictions; "": there are none */
  int given_count;
  economy_given *given; /* [ECONOMY_GIVEN_MAX] */
  int device_count;     /* 0: the report has no economic part */
  economy_device devices[ECONOMY_DEVICES_MAX]; /* the first is A */
  int64_t cell_count;
  economy_cell *cells;
} bench_economy;

/* Reads the tables and the plan; any of the paths may be NULL. */
PFL_NODISCARD pfl_status economy_open(const char *data, const char *prices,
                                      const char *plan,
                                      bench_economy *out_economy,
                                      pfl_error *error);
void economy_close(bench_economy *economy);

/* Takes prices "DEVICE=USD,DAY,SOURCE", as "cpu=0.0832,2026-11-25,an invoice".
 * Those of devices that are there already are replaced. INVALID_ARGUMENT: no
 * such form, a price that is not above 0, no day; too many. */
PFL_NODISCARD pfl_status economy_give_price(bench_economy *economy,
                                            const char *text, pfl_error *error);
/* The same in parts. */
PFL_NODISCARD pfl_status economy_set_price(bench_economy *economy,
                                           const char *device, double usd,
                                           const char *as_of,
                                           const char *source,
                                           pfl_error *error);

/* A cell without estimates, or the one that is there. RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status economy_add_cell(bench_economy *economy,
                                          const bench_workload *workload,
                                          economy_cell **out_cell,
                                          pfl_error *error);
economy_cell *economy_find_cell(const bench_economy *economy,
                                const bench_workload *workload);

/* Forgets the devices from `first` on, and what they took. */
void economy_drop_devices(bench_economy *economy, int first);

bool economy_estimated(const bench_estimate *estimate);

/* The price of a device by the plan; NULL: it has none of that kind on that
 * continent. */
const catalog_price *economy_price(const bench_economy *economy, int device);

/* The continent of the plan's region; NULL if no price is of there. */
const char *economy_area(const bench_economy *economy);

/* Tokens a second of all the model's layers of the cell's kind, attention
 * alone: B Sq / (layers x seconds). */
bench_quantity economy_tokens_per_second(const economy_cell *cell, int device);

/* Why no verdict may rest on a comparison of the two; NULL: one may. */
const char *economy_weakness(const bench_estimate *a, const bench_estimate *b);

/* A against device `b` in a cell; false if one has no estimate or no price.
 * The ratio is of throughputs: seconds of b over seconds of A. */
bool economy_compare(const bench_economy *economy, const economy_cell *cell,
                     int b, economics_comparison *out_comparison);

/* Whether that comparison is the plan's own (rule 39). */
bool economy_is_primary(const bench_economy *economy, const economy_cell *cell,
                        int b);

/* The plan's cell, and its device b; NULL or 0 if the report has it not. */
const economy_cell *economy_primary_cell(const bench_economy *economy);
int economy_primary_device(const bench_economy *economy);

/* Ratio over devices of a published pair, per unit as rented: what the plan's
 * prices make of it; false without prices for both. */
bool economy_compare_published(const bench_economy *economy,
                               const catalog_result *a, const catalog_result *b,
                               economics_comparison *out_comparison);

/* The n-th price, counted from 0, that the comparisons use and that is stale
 * on `today`; NULL after the last. */
const catalog_price *economy_stale_get(const bench_economy *economy,
                                       int64_t today, int n);

#endif
