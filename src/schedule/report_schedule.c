/* A schedule as text: what it took, where it went, what to look at. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "schedule/schedule_summary.h"

/* ---- Numbers ------------------------------------------------------------- */

/* "1,234,567" */
static const char *grouped(int64_t number, char buffer[32]) {
  char digits[24];
  int length = snprintf(digits, sizeof digits, "%" PRId64, number), out = 0;
  for (int i = 0; i < length; i++) {
    if (i && (length - i) % 3 == 0 && digits[i - 1] != '-') buffer[out++] = ',';
    buffer[out++] = digits[i];
  }
  buffer[out] = 0;
  return buffer;
}

static double percent(int64_t part, int64_t whole) {
  return whole > 0 ? 100 * (double)part / (double)whole : 0;
}

/* ---- One program --------------------------------------------------------- */

#define BAR 40

static void add_share(const schedule_summary *summary, const char *name,
                      int64_t cycles, base_text *out) {
  char number[32], bar[BAR + 1] = "";
  int length = summary->cycles > 0 ? (int)(BAR * cycles / summary->cycles) : 0;
  if (!cycles) return;
  if (length > BAR) length = BAR;
  memset(bar, '#', (size_t)length);
  base_text_format(out, "  %-10s %14s %5.1f%%%s%s\n", name,
                   grouped(cycles, number), percent(cycles, summary->cycles),
                   length ? "  " : "", bar);
}

static void add_facts(const schedule_summary *summary, base_text *out) {
  const schedule_program *program = summary->profile->program;
  char read[32], written[32];
  base_text_format(out, "  MXU        busy %.1f%% of the cycles",
                   100 * summary->mxu_busy);
  if (summary->work.flops > 0)
    base_text_format(out, ", useful FLOPs %.1f%% of the peak",
                     100 * summary->flop_fraction);
  base_text_format(out,
                   "\n  HBM        %s B read, %s B written: %.1f%% of "
                   "what it can move\n",
                   grouped(summary->hbm_read_bytes, read),
                   grouped(summary->hbm_write_bytes, written),
                   100 * summary->hbm_fraction);
  if (summary->work.bytes > 0)
    base_text_format(out, "  cache      %.1f%% of HBM's rate\n",
                     100 * summary->byte_fraction);
  if (summary->work.how)
    base_text_format(out, "  counted    %s\n", summary->work.how);
  if (summary->profile->remote.count)
    base_text_format(out, "  links      %s B sent in %s transfers\n",
                     grouped(summary->profile->remote.bytes, read),
                     grouped(summary->profile->remote.count, written));
  if (program->slots)
    base_text_format(out, "  spills     %s stores, %s loads\n",
                     grouped(summary->spill_stores, read),
                     grouped(summary->spill_loads, written));
  if (program->vmem_bytes)
    base_text_format(out, "  VMEM       %.2f MiB\n",
                     (double)program->vmem_bytes / (1 << 20));
  base_text_format(out, "  code       %s bundles\n",
                   grouped(program->bundle_count, read));
}

/* The cause that most of a region's waiting is for. */
static schedule_cause worst_wait(const schedule_region *region) {
  schedule_cause worst = SCHEDULE_CAUSE_ISSUE;
  int64_t most = 0;
  for (int cause = 1; cause < SCHEDULE_CAUSES; cause++)
    if (region->causes[cause] > most) {
      most = region->causes[cause];
      worst = (schedule_cause)cause;
    }
  return worst;
}

/* The operation on a line of a Mosaic module: its name is the first thing in
 * quotes. */
static void add_operation(const char *text, int64_t line, char *out,
                          size_t size) {
  for (int64_t i = 1; text && i < line; i++) {
    text = strchr(text, '\n');
    if (text) text++;
  }
  const char *open = text ? strpbrk(text, "\"\n") : NULL;
  if (!open || *open != '"') return;
  size_t length = strcspn(open + 1, "\"\n");
  static const char prefix[] = "stable_mosaic.";
  if (!strncmp(open + 1, prefix, sizeof prefix - 1)) {
    open += sizeof prefix - 1;
    length -= sizeof prefix - 1;
  }
  size_t used = strlen(out);
  snprintf(out + used, size - used, ", %.*s", (int)length, open + 1);
}

const char *schedule_place_name(const schedule_report *report,
                                const schedule_summary *summary,
                                const schedule_line_cost *line,
                                char buffer[128]) {
  const char *slash = strrchr(line->file, '/');
  const char *file = slash ? slash + 1 : line->file;
  if (strcmp(file, "-")) {
    snprintf(buffer, 128, "%.96s:%" PRId64, file, line->line);
    return buffer;
  }
  snprintf(buffer, 128, "line %" PRId64, line->line);
  if (report->sources)
    add_operation(report->sources[summary - report->summaries], line->line,
                  buffer, 128);
  return buffer;
}

static void add_region(const schedule_report *report,
                       const schedule_summary *summary,
                       const schedule_region *region, base_text *out) {
  char cycles[32], times[32], place[128] = "", waits[40] = "";
  schedule_cause wait = worst_wait(region);
  if (wait != SCHEDULE_CAUSE_ISSUE)
    snprintf(waits, sizeof waits, "waits %.0f%% %s",
             percent(region->causes[wait], region->cycles),
             schedule_cause_name(wait));
  if (region->lines[0].file)
    schedule_place_name(report, summary, &region->lines[0], place);
  base_text_format(out, "  %14s %5.1f%%  0x%05" PRIx64 "-0x%05" PRIx64 " x %s",
                   grouped(region->cycles, cycles),
                   percent(region->cycles, summary->cycles), region->first,
                   region->last, grouped(region->times, times));
  if (*waits || *place)
    base_text_format(
        out, "%*s  %-18s  %s",
        (int)(7 - strlen(times)) > 0 ? (int)(7 - strlen(times)) : 0, "", waits,
        place);
  while (out->length && out->bytes[out->length - 1] == ' ')
    out->bytes[--out->length] = 0;
  base_text_add_string(out, "\n");
}

static void add_lines(const schedule_report *report,
                      const schedule_summary *summary, base_text *out) {
  if (!summary->line_count) return;
  base_text_add_string(out, "  the kernel's costliest lines\n");
  for (int i = 0; i < summary->line_count; i++) {
    const schedule_line_cost *line = &summary->lines[i];
    char cycles[32], place[128];
    base_text_format(out, "  %14s %5.1f%%  %s\n",
                     grouped((int64_t)line->cycles, cycles),
                     percent((int64_t)line->cycles, summary->cycles),
                     schedule_place_name(report, summary, line, place));
  }
}

static void add_program(const schedule_report *report,
                        const schedule_summary *summary, base_text *out) {
  const schedule_profile *profile = summary->profile;
  char cycles[32];
  base_text_format(out, "%s", profile->program->name);
  if (summary->chips > 1)
    base_text_format(out, " on %d chips, the slowest of them", summary->chips);
  if (profile->calls > 1)
    base_text_format(out, ", %" PRId64 " calls", profile->calls);
  base_text_format(out, ": %s cycles, %.1f us at %.2g GHz",
                   grouped(summary->cycles, cycles), summary->us,
                   summary->clock_ghz);
  if (report->model->dispatch_us > 0)
    base_text_format(out, ", %.1f us with dispatch",
                     summary->us + report->model->dispatch_us);
  base_text_add_string(out, "\n");
  for (int cause = 0; cause < SCHEDULE_CAUSES; cause++)
    add_share(summary, schedule_cause_name((schedule_cause)cause),
              profile->causes[cause], out);
  add_share(summary, "called", schedule_called_cycles(summary), out);
  add_facts(summary, out);
  base_text_add_string(out, "  costliest bundles\n");
  for (int i = 0; i < summary->region_count; i++)
    add_region(report, summary, &summary->regions[i], out);
  add_lines(report, summary, out);
}

/* ---- The report ---------------------------------------------------------- */

static void add_warnings(const schedule_result *result, base_text *out) {
  for (int64_t i = 0; i < result->warning_count; i++) {
    const schedule_warning *warning = &result->warnings[i];
    base_text_format(out,
                     "note: %s: bundle 0x%" PRIx64 " %s (%" PRId64 " times)\n",
                     warning->program->name, warning->bundle,
                     schedule_warning_text(warning->kind), warning->count);
  }
}

static void add_unknown(const schedule_program *program, base_text *out) {
  for (int64_t u = 0; u < program->unknown_count; u++)
    base_text_format(out,
                     "note: %s: %s is an instruction that is not known, in "
                     "%" PRId64 " bundles: counted as one of the vector unit\n",
                     program->name, program->unknown[u].name,
                     program->unknown[u].count);
}

void schedule_report_text(const schedule_report *report, base_text *out) {
  for (int64_t i = 0; i < report->summary_count; i++) {
    if (i) base_text_add_string(out, "\n");
    add_program(report, &report->summaries[i], out);
  }
  for (int64_t i = 0; i < report->result_count; i++)
    add_warnings(&report->results[i], out);
  for (int64_t i = 0; i < report->summary_count; i++)
    add_unknown(report->summaries[i].profile->program, out);
}
