#include "device/cache_checks.h"

#include "base/memory.h"

pfl_status device_lengths_check(const int32_t *lengths, int64_t batch,
                                int64_t most, pfl_error *error) {
  for (int64_t b = 0; b < batch; b++)
    if (lengths[b] < 0 || lengths[b] > most)
      PFL_RAISE(error, OUT_OF_RANGE,
                "lengths[%lld] is %d: must be 0 to %lld, which the cache has "
                "room for",
                (long long)b, lengths[b], (long long)most);
  return PFL_STATUS_OK;
}

static pfl_status check_entry(const device_table *table, int64_t b, int64_t i,
                              pfl_error *error) {
  int64_t page = table->entries[b * table->columns + i];
  if (page < 0 || page >= table->page_count)
    PFL_RAISE(error, OUT_OF_RANGE,
              "block_table[%lld, %lld] is %lld: must be one of %lld pages",
              (long long)b, (long long)i, (long long)page,
              (long long)table->page_count);
  if (page % table->turn != i % table->turn)
    PFL_RAISE(error, OUT_OF_RANGE,
              "block_table[%lld, %lld] is %lld: must be %lld modulo %lld, the "
              "chip that has the page",
              (long long)b, (long long)i, (long long)page,
              (long long)(i % table->turn), (long long)table->turn);
  return PFL_STATUS_OK;
}

pfl_status device_table_check(const device_table *table, const int32_t *begins,
                              const int32_t *ends, pfl_error *error) {
  for (int64_t b = 0; b < table->batch; b++) {
    int64_t first = begins ? begins[b] / table->page_length : 0;
    int64_t last = base_ceil_div(ends[b], table->page_length);
    if (begins && ends[b] == begins[b]) continue;
    for (int64_t i = first; i < last; i++)
      PFL_TRY(check_entry(table, b, i, error));
  }
  return PFL_STATUS_OK;
}
