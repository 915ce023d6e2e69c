/* The rules of docs/method.md that a report answers to, and how far it kept
 * each of them. */
#ifndef PFL_BENCH_RULES_H
#define PFL_BENCH_RULES_H

#include "bench/report.h"

typedef enum rule_state { RULE_KEPT, RULE_PARTLY, RULE_NOT_KEPT } rule_state;

const char *rule_word(rule_state state);

typedef struct rule_answer {
  const char *number; /* as docs/method.md counts: "D1", "23" */
  const char *what;   /* what it asks */
  rule_state state;
  const char *because; /* how it was kept, or why not */
} rule_answer;

/* The n-th rule, counted from 0, answered for this report; false after the
 * last. */
bool rules_get(const bench_report *report, int n, rule_answer *out_answer);

#endif
