#include "bench/replicas.h"

#include <stdlib.h>
#include <string.h>

/* The block of process `which`: how many starts were seen before its own. */
static int64_t block_of(const report_row *row, int64_t which, bool by_start) {
  int64_t block = 0;
  if (!by_start) return which;
  for (int64_t i = 0; i < which; i++) {
    if (!strcmp(row->starts[i], row->starts[which]))
      return block_of(row, i, true);
    bool first = true;
    for (int64_t k = 0; k < i; k++)
      first &= strcmp(row->starts[k], row->starts[i]) != 0;
    block += first;
  }
  return block;
}

int64_t replicas_starts(const report_row *row) {
  int64_t most = 0;
  for (int64_t i = 0; i < row->process_count; i++)
    most = base_max(most, block_of(row, i, true));
  return most + 1;
}

pfl_status replicas_create(const report_row *row,
                           const bench_samples *processes,
                           bench_replicas *out_replicas, pfl_error *error) {
  bench_replicas *r = out_replicas;
  int64_t starts = replicas_starts(row), total = 0, used = 0;
  *r = (bench_replicas){.count = starts > 1 ? starts : row->process_count};
  for (int64_t i = 0; i < row->process_count; i++) total += processes[i].count;
  r->joined = malloc((size_t)(total + 1) * sizeof *r->joined);
  if (!r->joined) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for runs");
  for (int64_t block = 0; block < r->count; block++) {
    r->runs[block] = (bootstrap_runs){r->joined + used, 0};
    for (int64_t i = 0; i < row->process_count; i++) {
      const bench_samples *s = &processes[i];
      if (!s->count || block_of(row, i, starts > 1) != block) continue;
      memcpy(r->joined + used, s->seconds,
             (size_t)s->count * sizeof *s->seconds);
      used += s->count;
      r->runs[block].count += s->count;
    }
  }
  return PFL_STATUS_OK;
}

void replicas_release(bench_replicas *replicas) {
  free(replicas->joined);
  *replicas = (bench_replicas){0};
}

void replicas_pack(bench_replicas *replicas) {
  int64_t kept = 0;
  for (int64_t i = 0; i < replicas->count; i++)
    if (replicas->runs[i].count) replicas->runs[kept++] = replicas->runs[i];
  replicas->count = kept;
}
