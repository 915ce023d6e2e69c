/* Which runs are of one block: those of one start of the machine where there
 * were several, else those of one process. */
#include "bench/replicas.h"

#include "check.h"

enum { PROCESSES = 5 };

/* Process p has p runs, of p seconds each. */
static void fill(report_row *row, bench_samples *samples,
                 const char *const *starts) {
  *row = (report_row){.process_count = PROCESSES};
  for (int p = 0; p < PROCESSES; p++) {
    samples[p] = (bench_samples){0};
    for (int i = 0; i < p; i++) CHECK_NEED(samples_add(&samples[p], p, -1));
    snprintf(row->starts[p], sizeof row->starts[p], "%s", starts[p]);
  }
}

static void release(bench_samples *samples) {
  for (int p = 0; p < PROCESSES; p++) samples_release(&samples[p]);
}

static void check_block(const bench_replicas *r, int block, int64_t count,
                        double total) {
  double sum = 0;
  for (int64_t i = 0; i < r->runs[block].count; i++)
    sum += r->runs[block].seconds[i];
  CHECK(r->runs[block].count == count && sum == total,
        "block %d: %lld runs of %g s, not %lld of %g", block,
        (long long)r->runs[block].count, sum, (long long)count, total);
}

static void test_processes(void) {
  static const char *const starts[] = {"a", "a", "a", "a", "a"};
  bench_samples samples[PROCESSES];
  report_row row;
  bench_replicas r;
  fill(&row, samples, starts);
  CHECK(replicas_starts(&row) == 1, "%lld", (long long)replicas_starts(&row));
  CHECK_NEED(!replicas_create(&row, samples, &r, NULL));
  CHECK(r.count == PROCESSES, "%lld blocks", (long long)r.count);
  for (int p = 0; p < PROCESSES; p++) check_block(&r, p, p, p * p);
  replicas_pack(&r);
  CHECK(r.count == PROCESSES - 1 && r.runs[0].count == 1, "%lld packed",
        (long long)r.count);
  replicas_release(&r);
  release(samples);
}

/* a: processes 0 and 2, b: 1 and 4, c: 3 */
static void test_starts(void) {
  static const char *const starts[] = {"a", "b", "a", "c", "b"};
  bench_samples samples[PROCESSES];
  report_row row;
  bench_replicas r;
  fill(&row, samples, starts);
  CHECK(replicas_starts(&row) == 3, "%lld", (long long)replicas_starts(&row));
  CHECK_NEED(!replicas_create(&row, samples, &r, NULL));
  CHECK(r.count == 3, "%lld blocks", (long long)r.count);
  check_block(&r, 0, 2, 4);
  check_block(&r, 1, 5, 17);
  check_block(&r, 2, 3, 9);
  replicas_release(&r);
  release(samples);
}

int main(void) { return CHECK_RUN(test_processes, test_starts); }
