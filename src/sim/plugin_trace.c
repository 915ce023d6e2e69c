/* A trace in the Trace Event Format, as Perfetto and chrome://tracing read it:
 * an array of events, written as they come. A chip is a process; its tracks are
 * threads. What overlaps on a track is laid on lanes beside each other. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "sim/plugin_parts.h"

enum { LANES = 16, TRACKS = 2 + SIM_CHIPS_MAX }; /* core, DMA, a link a peer */

struct sim_trace {
  FILE *file;
  bool filled;
  double begin_us, end_us; /* of the run, and of all so far */
  double lane_end_us[SIM_CHIPS_MAX][TRACKS][LANES];
  bool named[SIM_CHIPS_MAX][TRACKS][LANES];
};

static void write_line(sim_trace *trace, const base_text *text) {
  fputs(trace->filled ? ",\n" : "\n", trace->file);
  trace->filled = true;
  fputs(base_text_get(text), trace->file);
}

/* What a process or a thread is called. */
static void write_name(sim_trace *trace, const char *kind, int chip, int thread,
                       const char *name) {
  base_text text = {0};
  json_writer json = {.text = &text};
  json_begin_object(&json, NULL);
  json_write_string(&json, "name", kind);
  json_write_string(&json, "ph", "M");
  json_write_int64(&json, "pid", chip);
  json_write_int64(&json, "tid", thread);
  json_begin_object(&json, "args");
  json_write_string(&json, "name", name);
  json_end(&json);
  json_end(&json);
  write_line(trace, &text);
  base_text_release(&text);
}

pfl_status sim_trace_open(const char *path, int chips, sim_trace **out_trace,
                          pfl_error *error) {
  sim_trace *trace = base_allocate(&sim_heap, sizeof *trace);
  if (!trace) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a trace");
  memset(trace, 0, sizeof *trace);
  trace->file = fopen(path, "w");
  if (!trace->file) {
    base_release(&sim_heap, trace);
    PFL_RAISE(error, NOT_FOUND, "a trace cannot be written to %.300s: %s", path,
              strerror(errno));
  }
  fputc('[', trace->file);
  for (int chip = 0; chip < chips; chip++) {
    char name[32];
    snprintf(name, sizeof name, "chip %d", chip);
    write_name(trace, "process_name", chip, 0, name);
  }
  *out_trace = trace;
  return PFL_STATUS_OK;
}

void sim_trace_close(sim_trace *trace) {
  if (!trace) return;
  fputs("\n]\n", trace->file);
  fclose(trace->file);
  base_release(&sim_heap, trace);
}

void sim_trace_begin(sim_trace *trace) {
  trace->begin_us = trace->end_us;
  fflush(trace->file);
}

/* The first lane that is free at `begin`; the last, if none is. */
static int find_lane(const double *ends, double begin) {
  int lane = 0;
  while (lane < LANES - 1 && ends[lane] > begin) lane++;
  return lane;
}

static int track_of(const sim_span *span) {
  switch (span->track) {
    case SIM_TRACK_CORE: return 0;
    case SIM_TRACK_DMA: return 1;
    case SIM_TRACK_LINK: return 2 + span->peer;
  }
  return 0;
}

static void name_lane(sim_trace *trace, const sim_span *span, int track,
                      int lane) {
  char name[48];
  if (trace->named[span->chip][track][lane]) return;
  trace->named[span->chip][track][lane] = true;
  const char *what = span->track == SIM_TRACK_CORE  ? "core"
                     : span->track == SIM_TRACK_DMA ? "DMA"
                                                    : "link to chip";
  if (span->track == SIM_TRACK_LINK)
    snprintf(name, sizeof name, "%s %d", what, span->peer);
  else
    snprintf(name, sizeof name, "%s", what);
  write_name(trace, "thread_name", span->chip, track * LANES + lane, name);
}

static void write_span(sim_trace *trace, const sim_span *span, int thread) {
  base_text text = {0};
  json_writer json = {.text = &text};
  json_begin_object(&json, NULL);
  json_write_string(&json, "name", span->name);
  json_write_string(&json, "ph", "X");
  json_write_int64(&json, "pid", span->chip);
  json_write_int64(&json, "tid", thread);
  json_write_double(&json, "ts", trace->begin_us + span->begin_us);
  json_write_double(&json, "dur", span->end_us - span->begin_us);
  json_begin_object(&json, "args");
  if (span->bytes) json_write_int64(&json, "bytes", span->bytes);
  if (span->file) {
    json_write_string(&json, "file", span->file);
    json_write_int64(&json, "line", span->line);
  }
  json_end(&json);
  json_end(&json);
  write_line(trace, &text);
  base_text_release(&text);
}

void sim_trace_add(void *user, const sim_span *span) {
  sim_trace *trace = user;
  int track = track_of(span);
  double *ends = trace->lane_end_us[span->chip][track];
  double begin = trace->begin_us + span->begin_us;
  double end = trace->begin_us + span->end_us;
  int lane = find_lane(ends, begin);
  ends[lane] = end;
  if (end > trace->end_us) trace->end_us = end;
  name_lane(trace, span, track, lane);
  write_span(trace, span, track * LANES + lane);
}
