/* A whole benchmark, of the tiny suite: what it writes is complete, agrees with
 * its own raw samples, and survives peers of every kind. */
#include "bench/bench.h"
#include "bench/report_html.h"
#include "bench/statistics.h"
#include "directory.h"
#include "fake_peer.h"

static char json_path[512], html_path[512];

static char *read_text(const char *path) {
  size_t size;
  char *bytes = get_file(path, &size);
  char *text = realloc(bytes, size + 1);
  CHECK_NEED(text);
  text[size] = 0;
  return text;
}

typedef struct result {
  pfl_status status;
  pfl_error error;
  char *table, *json, *html;
  json_document document;
} result;

static result run(bench_options options) {
  static const pfl_allocator allocator = {0};
  result r = {0};
  char table_path[512];
  snprintf(table_path, sizeof table_path, "%s", in_directory("table"));
  options.suite = "smoke";
  options.json_path = json_path;
  options.html_path = html_path;
  options.results = fopen(table_path, "w");
  CHECK_NEED(options.results);
  r.status = bench_run(&options, &r.error);
  CHECK_NEED(!fclose(options.results));
  r.table = read_text(table_path);
  r.json = read_text(json_path);
  r.html = read_text(html_path);
  CHECK_NEED(json_parse(r.json, strlen(r.json), &allocator, &r.document,
                        NULL) == PFL_STATUS_OK);
  CHECK_NEED(!unlink(table_path) && !unlink(json_path) && !unlink(html_path));
  return r;
}

static void release(result *r) {
  free(r->table);
  free(r->json);
  free(r->html);
  json_release(&r->document);
}

/* ---- JSON -------------------------------------------------------------- */

static const json_value *get(const json_value *value, const char *key) {
  const json_value *found = json_object_get(value, key);
  CHECK(found, "%s is missing", key);
  return found;
}

static double number(const json_value *value, const char *key) {
  double found = NAN;
  CHECK(json_double(get(value, key), &found), "%s is no number", key);
  return found;
}

/* Rule 55: every derived number is what the raw samples say. */
static void check_samples(const json_value *row, const json_value *side) {
  double seconds[4096], value;
  int64_t count = 0;
  const json_value *summary = get(side, "summary");
  for (const json_value *process = json_first(get(side, "processes")); process;
       process = process->next) {
    const json_value *runs = get(process, "seconds");
    for (const json_value *item = json_first(runs); item; item = item->next)
      if (count < 4096 && json_double(item, &value)) seconds[count++] = value;
    CHECK(get(process, "waited_seconds")->length == runs->length, "%u waits",
          get(process, "waited_seconds")->length);
    CHECK(number(process, "batch") >= 1, "a batch of %g",
          number(process, "batch"));
  }
  CHECK((double)count == number(summary, "runs") && count >= 6, "%lld samples",
        (long long)count);
  statistics_summary s = statistics_summarize(seconds, count);
  CHECK(number(summary, "median_seconds") == s.median, "median");
  CHECK(number(summary, "low_seconds") == s.low, "low");
  CHECK(number(summary, "high_seconds") == s.high, "high");
  CHECK(fabs(number(summary, "mean_seconds") / s.mean - 1) < 1e-12, "mean");
  CHECK(number(summary, "mild_outliers") == (double)s.mild, "outliers");
  double rate = number(row, "work") / s.median * 1e-9;
  CHECK(fabs(number(side, "rate") / rate - 1) < 1e-12, "rate %g, not %g",
        number(side, "rate"), rate);
  double share = rate / number(get(row, "limit"), "rate");
  CHECK(fabs(number(side, "fraction_of_limit") / share - 1) < 1e-12,
        "fraction %g, not %g", number(side, "fraction_of_limit"), share);
}

static void check_our_side(const json_value *row) {
  const json_value *side = json_first(get(row, "sides"));
  bool boolean;
  CHECK(json_bool(get(side, "ours"), &boolean) && boolean, "ours");
  CHECK(json_bool(get(side, "passed"), &boolean) && boolean, "passed");
  CHECK(get(side, "skipped")->type == JSON_NULL, "skipped");
  const char *evidence = json_string(get(side, "evidence"));
  CHECK(evidence && !strcmp(evidence, "A"), "evidence");
  CHECK(number(side, "error_over_tolerance") <= 1, "tolerance");
  CHECK(number(side, "max_abs_error") > 0, "error");
  check_samples(row, side);
}

static const char *const row_keys[] = {
    "cell",      "threads", "work",           "unit",  "checked",
    "processes", "seconds", "stolen_seconds", "limit", "sides"};
static const char *const cell_keys[] = {
    "name",   "model",   "layers",   "op",       "dtype",     "cache_dtype",
    "batch",  "q_heads", "kv_heads", "q_length", "kv_length", "head_dim",
    "causal", "window",  "softcap",  "sinks"};
static const char *const manifest_keys[] = {"program",
                                            "version",
                                            "commit",
                                            "compiler",
                                            "compiler_flags",
                                            "command",
                                            "suite",
                                            "isa",
                                            "seed",
                                            "processes",
                                            "resumed",
                                            "start",
                                            "end",
                                            "seconds",
                                            "stolen_seconds",
                                            "effort",
                                            "machine",
                                            "dispatch_seconds"};

static void check_row(const json_value *row) {
  for (size_t i = 0; i < sizeof row_keys / sizeof *row_keys; i++)
    get(row, row_keys[i]);
  for (size_t i = 0; i < sizeof cell_keys / sizeof *cell_keys; i++)
    get(get(row, "cell"), cell_keys[i]);
  CHECK(number(row, "threads") == 2, "threads");
  check_our_side(row);
}

static void test_json(void) {
  bench_options options = {.threads = 2, .seed = 3, .command = "pflash \"x\""};
  result r = run(options);
  CHECK(r.status == PFL_STATUS_OK, "%s", r.error.message);
  const json_value *root = r.document.root;
  const char *name = json_string(get(get(root, "schema"), "name"));
  CHECK(name && !strcmp(name, "pallas-flash/bench"), "schema");
  CHECK(number(get(root, "schema"), "version") == 2, "version");
  const json_value *manifest = get(root, "manifest");
  for (size_t i = 0; i < sizeof manifest_keys / sizeof *manifest_keys; i++)
    get(manifest, manifest_keys[i]);
  CHECK(number(manifest, "seed") == 3, "seed");
  CHECK(!strcmp(json_string(get(manifest, "command")), "pflash \"x\""),
        "command");
  CHECK(number(manifest, "dispatch_seconds") > 0, "dispatch");
  uint32_t rows = (uint32_t)bench_workload_count(BENCH_SUITE_SMOKE);
  CHECK(get(root, "rows")->length == rows, "%u rows of %u",
        get(root, "rows")->length, rows);
  for (const json_value *row = json_first(get(root, "rows")); row;
       row = row->next)
    check_row(row);
  CHECK(get(root, "limits")->length >= 2, "limits");
  release(&r);
}

/* One thread and all; where all is one, once. */
static void test_both_thread_counts(void) {
  result r = run((bench_options){0});
  CHECK(r.status == PFL_STATUS_OK, "%s", r.error.message);
  double seen[2] = {0, 0};
  for (const json_value *row = json_first(get(r.document.root, "rows")); row;
       row = row->next)
    seen[number(row, "threads") > 1] += 1;
  CHECK(seen[0] > 0 && seen[1] == (base_cpu_count() > 1 ? seen[0] : 0),
        "%g rows on one, %g on all", seen[0], seen[1]);
  release(&r);
}

/* ---- HTML and text ----------------------------------------------------- */

static bool is_void(const char *tag) {
  static const char *const names[] = {"meta", "br", "!DOCTYPE"};
  for (int i = 0; i < 3; i++)
    if (!strcmp(tag, names[i])) return true;
  return false;
}

/* Every element is closed, in order; & and < begin what they should. */
static void check_balance(const char *html) {
  static char open[64][16];
  int depth = 0;
  for (const char *at = html; *at; at++) {
    if (*at == '&') CHECK(strcspn(at, ";") < 9, "a bare & in %.20s", at);
    if (*at != '<') continue;
    bool closes = at[1] == '/';
    char tag[16] = "";
    snprintf(tag, sizeof tag, "%.*s", (int)strcspn(at + 1 + closes, " >\n/"),
             at + 1 + closes);
    const char *end = strchr(at, '>');
    CHECK_NEED(end && *tag);
    if (closes) {
      CHECK_NEED(depth > 0);
      CHECK(!strcmp(open[--depth], tag), "</%s> closes <%s>", tag, open[depth]);
    } else if (!is_void(tag) && end[-1] != '/') {
      CHECK_NEED(depth < 64);
      strcpy(open[depth++], tag);
    }
    at = end;
  }
  CHECK(depth == 0, "%d elements are left open", depth);
}

static int occurrences(const char *text, const char *what) {
  int count = 0;
  for (const char *at = text; (at = strstr(at, what)); at++) count++;
  return count;
}

static void test_html(void) {
  result r = run((bench_options){.threads = 1, .command = "a <b> & \"c\""});
  check_balance(r.html);
  CHECK(strstr(r.html, "a &lt;b&gt; &amp; &quot;c&quot;"), "the command");
  /* nothing is fetched and nothing runs */
  CHECK(!strstr(r.html, "href=") && !strstr(r.html, "<script") &&
            !strstr(r.html, "src=") && !strstr(r.html, "@import") &&
            !strstr(r.html, "url("),
        "the page needs something else");
  int rows = (int)get(r.document.root, "rows")->length;
  /* a bar and a strip for each */
  CHECK(occurrences(r.html, "class=\"cell\"") == 2 * rows, "%d cells",
        occurrences(r.html, "class=\"cell\""));
  static const char *const parts[] = {"answer",   "verdicts", "cost",
                                      "roofline", "measured", "latency",
                                      "numbers",  "prices",   "rules"};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    char id[32];
    snprintf(id, sizeof id, "id=\"%s\"", parts[i]);
    CHECK(occurrences(r.html, id) == 1, "no %s", parts[i]);
  }
  CHECK(occurrences(r.html, "class=\"ours\" width") == rows + 1, "%d bars",
        occurrences(r.html, "class=\"ours\" width"));
  CHECK(!strstr(r.html, "nan") && !strstr(r.html, "inf%"), "no number");
  CHECK(strstr(r.html, "prefers-color-scheme:dark") &&
            strstr(r.html, "@media print") && strstr(r.html, "viewport"),
        "dark, paper, phone");
  release(&r);
}

static void test_table(void) {
  result r = run((bench_options){.threads = 1});
  int rows = 0;
  for (char *line = strtok(r.table, "\n"); line; line = strtok(NULL, "\n")) {
    CHECK(strlen(line) <= 80, "%zu columns: %s", strlen(line), line);
    rows += strstr(line, " GF/s") || strstr(line, " GB/s");
  }
  /* the limits' line has GB/s too */
  CHECK(rows >= (int)get(r.document.root, "rows")->length, "%d rows", rows);
  release(&r);
}

/* ---- Peers ------------------------------------------------------------- */

static const json_value *peer_side(const json_value *row) {
  return json_first(get(row, "sides"))->next;
}

/* The fake does forward in f32 alone; what it cannot, it dies of. */
static void test_peer(void) {
  const char *peers[] = {FAKE_PEER_PATH};
  fake_peer_set(NULL);
  result r =
      run((bench_options){.threads = 1, .peers = peers, .peer_count = 1});
  CHECK(r.status == PFL_STATUS_OK, "%s", r.error.message);
  const json_value *row = json_first(get(r.document.root, "rows"));
  const json_value *side = peer_side(row);
  CHECK(!strcmp(json_string(get(side, "name")), "fake 1.0"), "name");
  CHECK(get(side, "skipped")->type == JSON_NULL, "%s",
        json_string(get(side, "skipped")));
  check_samples(row, side);
  double ours =
      number(get(json_first(get(row, "sides")), "summary"), "median_seconds");
  double theirs = number(get(side, "summary"), "median_seconds");
  CHECK(fabs(number(side, "time_over_ours") * ours / theirs - 1) < 1e-3,
        "%g times", number(side, "time_over_ours"));
  for (row = row->next; row; row = row->next) {
    check_our_side(row);
    CHECK(json_string(get(peer_side(row), "skipped")), "%s went well",
          json_string(get(get(row, "cell"), "name")));
  }
  check_balance(r.html);
  release(&r);
}

static void test_peers_that_fail(void) {
  static const char *const faults[] = {
      "die at once", "die on run",   "garbage",      "skip",
      "other shape", "hostile name", "other result", "no file"};
  const char *peers[] = {FAKE_PEER_PATH, "/nowhere/at/all"};
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
    fake_peer_set(faults[i]);
    result r =
        run((bench_options){.threads = 1, .peers = peers, .peer_count = 2});
    CHECK(r.status == PFL_STATUS_OK, "%s: %s", faults[i], r.error.message);
    for (const json_value *row = json_first(get(r.document.root, "rows")); row;
         row = row->next) {
      check_our_side(row);
      CHECK(get(row, "sides")->length == 3, "%u sides",
            get(row, "sides")->length);
      const char *reason = json_string(get(peer_side(row)->next, "skipped"));
      CHECK(reason && strstr(reason, "/nowhere/at/all"), "%s", reason);
    }
    const json_value *side =
        peer_side(json_first(get(r.document.root, "rows")));
    bool measured = get(side, "skipped")->type == JSON_NULL, passed = true;
    CHECK(measured == (i >= 5 && i <= 6), "%s", faults[i]);
    if (measured && json_bool(get(side, "passed"), &passed))
      CHECK(passed == (i != 6), "%s passed", faults[i]);
    CHECK(!strstr(r.html, "<b>\\") && !strchr(r.table, '\a'), "%s", faults[i]);
    check_balance(r.html);
    release(&r);
  }
}

/* ---- Wrong usage ------------------------------------------------------- */

static void test_refusals(void) {
  const char *strangers[] = {"tensorflow"};
  char nowhere[600];
  snprintf(nowhere, sizeof nowhere, "%s/no/such/folder.json", directory);
  const struct {
    bench_options options;
    pfl_status status;
    const char *words;
  } cases[] = {
      {{.suite = "slow"}, PFL_STATUS_INVALID_ARGUMENT, "slow"},
      {{.threads = -1}, PFL_STATUS_INVALID_ARGUMENT, "-1"},
      {{.threads = 1025}, PFL_STATUS_INVALID_ARGUMENT, "1025"},
      {{.peers = strangers, .peer_count = 1},
       PFL_STATUS_INVALID_ARGUMENT,
       "tensorflow"},
      {{.suite = "smoke", .json_path = nowhere},
       PFL_STATUS_NOT_FOUND,
       "folder.json"},
      {{.suite = "smoke", .html_path = directory},
       PFL_STATUS_INVALID_ARGUMENT,
       directory},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    pfl_error error = {0};
    bench_options options = cases[i].options;
    pfl_status status = bench_run(&options, &error);
    CHECK(status == cases[i].status, "case %zu: %s %s", i,
          pfl_status_name(status), error.message);
    CHECK(strstr(error.message, cases[i].words), "case %zu: %s", i,
          error.message);
    CHECK(files_in_directory() == 0, "case %zu left a file", i);
  }
}

/* A row made up: what is said of it follows from its samples. */
static void test_remarks(void) {
  double ours[] = {2, 2, 2, 2, 2, 2, 2}, theirs[] = {6, 6, 6, 6, 6, 6, 6};
  double still[] = {0, 0, 0, 0, 0, 0, 0}, held[] = {0, 0, 0, 0, 0, 1, 1};
  const struct {
    double limit_seconds;
    double *waited, *limit_waited;
    bool passed;
    const char *remark;
    double ratio, fraction;
  } cases[] = {
      {1, still, still, true, "", 3, 0.5},
      {3, still, still, true, "beyond", 3, 1.5},
      {3, held, still, true, "noisy", 3, 1.5},
      {1, still, held, true, "noisy", 3, 0.5},
      {1, held, still, false, "WRONG", 0, 0.5},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    double limit[7];
    for (int n = 0; n < 7; n++) limit[n] = cases[i].limit_seconds;
    bench_samples us = {.count = 7, .seconds = ours, .waited = cases[i].waited};
    bench_samples them = {.count = 7, .seconds = theirs, .waited = still};
    bench_samples bound = {
        .count = 7, .seconds = limit, .waited = cases[i].limit_waited};
    report_side sides[] = {
        {.processes = &us, .verdict = {.passed = cases[i].passed}},
        {.processes = &them}};
    report_row row = {.workload = {.batch = 1, .q_length = 1},
                      .work = 10,
                      .limit_work = 10,
                      .process_count = 1,
                      .limit_processes = &bound,
                      .sides = sides};
    bench_report report = {.side_count = 2, .row_count = 1, .rows = &row};
    CHECK_NEED(report_finish(&report, NULL) == PFL_STATUS_OK);
    CHECK(!strcmp(report_row_remark(&row), cases[i].remark), "case %zu: %s", i,
          report_row_remark(&row));
    CHECK(report_ratio(&row, &sides[1]) == cases[i].ratio, "case %zu: %g", i,
          report_ratio(&row, &sides[1]));
    CHECK(fabs(sides[0].fraction - cases[i].fraction) < 1e-12, "case %zu: %g",
          i, sides[0].fraction);
  }
}

static void test_escapes(void) {
  base_text html = {0};
  html_add_text(&html, "<a href=\"x\">&amp;</a>");
  CHECK(!strcmp(base_text_get(&html),
                "&lt;a href=&quot;x&quot;&gt;&amp;amp;"
                "&lt;/a&gt;"),
        "%s", base_text_get(&html));
  base_text_release(&html);
}

int main(void) {
  if (getenv("PFLASH_FAKE_PEER")) return fake_peer();
  directory_make();
  snprintf(json_path, sizeof json_path, "%s", in_directory("r.json"));
  snprintf(html_path, sizeof html_path, "%s", in_directory("r.html"));
  int failed = CHECK_RUN(test_json, test_both_thread_counts, test_html,
                         test_table, test_peer, test_peers_that_fail,
                         test_refusals, test_remarks, test_escapes);
  directory_remove();
  return failed;
}
