/* Listings of a few bundles, written in a test, and what they take.
 *
 *   listing_case c = {0};
 *   case_add(&c, "%s1_s1 = sld [smem:[#allocation0]]");
 *   case_add(&c, "%s2_s2 = sadd.s32 1, %s1_s1");
 *   case_run(&c);
 *   CHECK(c.result.cycles == 2 + 5, "...");
 *   case_release(&c);
 */
#ifndef PFL_TESTS_LISTING_CASE_H
#define PFL_TESTS_LISTING_CASE_H

#include <stdarg.h>

#include "check.h"
#include "schedule/schedule_run.h"

typedef struct listing_case {
  base_text text;
  int64_t bundles;
  schedule_input inputs[4];
  int input_count;
  int chips;
  int64_t limit, span_limit;
  const char *allocations, *utilization;
  schedule_model model; /* clock_ghz 0: the default */
  /* what came of it */
  schedule_program *program;
  schedule_result result;
  pfl_status status;
  pfl_error error;
} listing_case;

static const pfl_allocator case_heap;

/* One bundle; `tail` is the comment after it, or NULL. */
static inline void case_add_with(listing_case *c, const char *body,
                                 const char *tail) {
  if (c->bundles)
    base_text_format(&c->text, "  0x%llx   : > { %s }", (long long)c->bundles,
                     body);
  else
    base_text_format(&c->text, "     0   :  { %s }", body);
  if (tail) base_text_format(&c->text, " /* %s */", tail);
  base_text_add_string(&c->text, "\n");
  c->bundles++;
}

static inline void case_add(listing_case *c, const char *body) {
  case_add_with(c, body, NULL);
}

__attribute__((format(printf, 2, 3))) static inline void case_addf(
    listing_case *c, const char *format, ...) {
  char body[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(body, sizeof body, format, arguments);
  va_end(arguments);
  case_add(c, body);
}

static inline void case_empty(listing_case *c, int count) {
  for (int i = 0; i < count; i++) case_add(c, "");
}

static inline pfl_status case_parse(listing_case *c,
                                    const pfl_allocator *allocator) {
  schedule_texts texts = {
      .path = "case",
      .listing = base_text_get(&c->text),
      .listing_length = c->text.length,
      .utilization = c->utilization,
      .utilization_length = c->utilization ? strlen(c->utilization) : 0,
      .allocations = c->allocations,
      .allocations_length = c->allocations ? strlen(c->allocations) : 0};
  return schedule_program_parse(&texts, allocator, &c->program, &c->error);
}

static inline pfl_status case_execute(listing_case *c,
                                      const pfl_allocator *allocator) {
  const schedule_program *program = c->program;
  schedule_request request = {
      .programs = &program,
      .program_count = 1,
      .inputs = c->inputs,
      .input_count = c->input_count,
      .chips = c->chips,
      .cycle_limit = c->limit,
      .span_limit = c->span_limit,
      .model = c->model.clock_ghz > 0 ? c->model : schedule_model_default()};
  return schedule_run(&request, allocator, &c->result, &c->error);
}

/* Adds the last bundle, parses and runs. */
static inline void case_run(listing_case *c) {
  case_add_with(c, "", "exit bundle: %case = custom-call()");
  c->status = case_parse(c, &case_heap);
  if (!c->status) c->status = case_execute(c, &case_heap);
}

/* The same, for what must succeed. */
static inline void case_done(listing_case *c) {
  case_run(c);
  CHECK(!c->status, "%s\n%s", c->error.message, base_text_get(&c->text));
  if (c->status) exit(1);
}

static inline int64_t case_cause(const listing_case *c, schedule_cause cause) {
  return c->result.profiles[0].causes[cause];
}

static inline int64_t case_warnings(const listing_case *c,
                                    schedule_warning_kind kind) {
  int64_t count = 0;
  for (int64_t i = 0; i < c->result.warning_count; i++)
    if (c->result.warnings[i].kind == kind)
      count += c->result.warnings[i].count;
  return count;
}

static inline void case_release(listing_case *c) {
  schedule_result_release(&c->result, &case_heap);
  schedule_program_destroy(c->program);
  base_text_release(&c->text);
}

#endif
