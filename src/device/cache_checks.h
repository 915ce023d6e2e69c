/* What a cache's lengths and tables must be before a program is given them: it
 * reads wherever they say. */
#ifndef PFL_DEVICE_CACHE_CHECKS_H
#define PFL_DEVICE_CACHE_CHECKS_H

#include <stdint.h>

#include "base/status.h"

/* [batch] lengths of 0 .. most. OUT_OF_RANGE names one that is not. */
PFL_NODISCARD pfl_status device_lengths_check(const int32_t *lengths,
                                              int64_t batch, int64_t most,
                                              pfl_error *error);

/* A table of pages, [batch, columns], and what is in use of it. */
typedef struct device_table {
  const int32_t *entries;
  int64_t batch, columns, page_length, page_count;
  int64_t turn; /* page i of a sequence must be i modulo this; 1: any */
} device_table;

/* The entries of tokens begins[b] .. ends[b] - 1 of each sequence; begins NULL:
 * from 0. OUT_OF_RANGE names one that is no page, or the wrong one. */
PFL_NODISCARD pfl_status device_table_check(const device_table *table,
                                            const int32_t *begins,
                                            const int32_t *ends,
                                            pfl_error *error);

#endif
