/* Runs that are interrupted, runs in several processes, and reports read back:
 * nothing that was finished is lost or measured twice. The test program is its
 * own process: run again with --process behind its name, main measures. */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "bench/bench.h"
#include "bench/journal.h"
#include "bench/machine.h"
#include "directory.h"

static char journal_path[512], json_path[512];

static const report_sources shipped;

static bench_options smoke(void) {
  return (bench_options){
      .suite = "smoke", .threads = 1, .journal_path = journal_path};
}

static char *read_text(const char *path, size_t *out_length) {
  char *bytes = get_file(path, out_length);
  char *text = realloc(bytes, *out_length + 1);
  CHECK_NEED(text);
  text[*out_length] = 0;
  return text;
}

static int count_lines(const char *text) {
  int lines = 0;
  for (; (text = strchr(text, '\n')); text++) lines++;
  return lines;
}

static void remove_files(void) {
  unlink(journal_path);
  unlink(json_path);
}

/* ---- Interruptions ----------------------------------------------------- */

/* A run in a process that is killed after `seconds`. */
static void run_and_kill(double seconds) {
  pid_t child = fork();
  CHECK_NEED(child >= 0);
  if (!child) {
    bench_options options = smoke();
    pfl_status status = bench_run(&options, NULL);
    _exit(status != PFL_STATUS_OK);
  }
  machine_sleep(seconds);
  kill(child, SIGKILL);
  CHECK_NEED(waitpid(child, NULL, 0) == child);
}

/* Every whole line of the journal is there again, byte by byte, after the run
 * was gone on with, and only what was missing was measured. */
static void test_killed(void) {
  int rows = (int)bench_workload_count(BENCH_SUITE_SMOKE), kept_some = 0;
  for (int i = 0; i < check_cases(8); i++) {
    remove_files();
    run_and_kill(check_uniform() * 0.5);
    size_t before_length = 0, after_length;
    char *before = access(journal_path, F_OK)
                       ? calloc(1, 1)
                       : read_text(journal_path, &before_length);
    CHECK_NEED(before);
    char *end = strrchr(before, '\n');
    size_t whole = end ? (size_t)(end + 1 - before) : 0;
    int lines = count_lines(before);
    kept_some += lines > 1 && lines <= rows;
    bench_options options = smoke();
    pfl_error error = {0};
    options.json_path = json_path;
    CHECK(bench_run(&options, &error) == PFL_STATUS_OK, "%s", error.message);
    char *after = read_text(journal_path, &after_length);
    CHECK(after_length >= whole && !memcmp(before, after, whole),
          "%d lines are changed", lines);
    bool resumed = lines > 1 && lines <= rows;
    CHECK(count_lines(after) == 1 + rows + resumed, "%d lines of %d",
          count_lines(after), 1 + rows + resumed);
    bench_report report;
    CHECK(report_read(json_path, &shipped, &report, &error) == PFL_STATUS_OK,
          "%s", error.message);
    CHECK(report.row_count == rows && report.manifest.resumed == resumed,
          "%lld rows, resumed %lld times", (long long)report.row_count,
          (long long)report.manifest.resumed);
    report_release(&report);
    free(before);
    free(after);
  }
  if (!getenv("PFLASH_TEST_SCALE"))
    CHECK(kept_some > 0, "no run was killed between two rows");
  remove_files();
}

/* The journal cut off at every kind of place: what is whole is kept. */
static void test_cut(void) {
  bench_options options = smoke();
  int rows = (int)bench_workload_count(BENCH_SUITE_SMOKE);
  CHECK_NEED(bench_run(&options, NULL) == PFL_STATUS_OK);
  size_t length, after_length;
  char *text = read_text(journal_path, &length);
  for (int i = 0; i < check_cases(6); i++) {
    size_t cut = (size_t)check_between(0, (int64_t)length);
    put_file(journal_path, text, cut);
    CHECK(bench_run(&options, NULL) == PFL_STATUS_OK, "cut at %zu", cut);
    char *after = read_text(journal_path, &after_length);
    size_t whole = cut;
    while (whole && text[whole - 1] != '\n') whole--;
    CHECK(!memcmp(text, after, whole), "cut at %zu", cut);
    int lines = count_lines(after);
    CHECK(lines == 1 + rows || lines == 2 + rows, "%d lines", lines);
    free(after);
  }
  free(text);
  remove_files();
}

/* ---- Journals of others ------------------------------------------------ */

static void check_refused(const bench_options *options, pfl_status expected,
                          const char *words) {
  pfl_error error = {0};
  pfl_status status = bench_run(options, &error);
  CHECK(status == expected && strstr(error.message, words), "%s: %s, not %s",
        pfl_status_name(status), error.message, words);
}

static void test_other_runs(void) {
  bench_options options = smoke();
  CHECK_NEED(bench_run(&options, NULL) == PFL_STATUS_OK);
  options.seed = 7;
  check_refused(&options, PFL_STATUS_INVALID_ARGUMENT,
                "its seed is 1, this one's 7");
  options = smoke();
  options.threads = 2;
  check_refused(&options, PFL_STATUS_INVALID_ARGUMENT, "its threads is 1");
  options = smoke();
  options.isa = PFL_ISA_PORTABLE;
  if (pfl_isa_best() != PFL_ISA_PORTABLE)
    check_refused(&options, PFL_STATUS_INVALID_ARGUMENT, "its isa is");
  const char *peers[] = {"./nobody"};
  options = smoke();
  options.peers = peers;
  options.peer_count = 1;
  check_refused(&options, PFL_STATUS_INVALID_ARGUMENT, "its peers is an array");
  remove_files();
}

static void test_no_journals(void) {
  bench_options options = smoke();
  static const struct {
    const char *text, *words;
  } cases[] = {
      {"hello\n", "byte 0"},
      {"{}\n", "journal is missing"},
      {"{\"journal\":2,\"identity\":{},\"start\":\"\"}\n", "1 to 1"},
      {"{\"journal\":1,\"identity\":{},\"start\":\"\"}\n",
       "its schema is nothing"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    put_file(journal_path, cases[i].text, strlen(cases[i].text));
    check_refused(&options, PFL_STATUS_INVALID_ARGUMENT, cases[i].words);
    size_t length;
    char *after = read_text(journal_path, &length);
    CHECK(!strcmp(after, cases[i].text), "case %zu is changed", i);
    free(after);
  }
  remove_files();
  options.journal_path = directory;
  check_refused(&options, PFL_STATUS_UNAVAILABLE, directory);
  options.journal_path = "/dev/null";
  check_refused(&options, PFL_STATUS_INVALID_ARGUMENT, "regular file");
}

/* A line in the middle that is no row, and one that is there twice. */
static void test_broken_lines(void) {
  bench_options options = smoke();
  CHECK_NEED(bench_run(&options, NULL) == PFL_STATUS_OK);
  size_t length;
  char *text = read_text(journal_path, &length);
  char *second = strchr(text, '\n') + 1, *third = strchr(second, '\n') + 1;
  char kept = *second;
  *second = 'x';
  put_file(journal_path, text, length);
  check_refused(&options, PFL_STATUS_INVALID_ARGUMENT, ":2: byte 0");
  *second = kept;
  char *twice = malloc(length + (size_t)(third - second));
  CHECK_NEED(twice);
  memcpy(twice, text, length);
  memcpy(twice + length, second, (size_t)(third - second));
  put_file(journal_path, twice, length + (size_t)(third - second));
  check_refused(&options, PFL_STATUS_INVALID_ARGUMENT, "there twice");
  free(twice);
  free(text);
  remove_files();
}

/* While a run has the journal no other gets it. */
static void test_locked(void) {
  int ready[2];
  char byte;
  CHECK_NEED(!pipe(ready));
  pid_t child = fork();
  CHECK_NEED(child >= 0);
  if (!child) {
    bench_report report = {.side_count = 1};
    bench_journal journal;
    if (journal_open(journal_path, "{}", &report, &journal, NULL)) _exit(1);
    if (write(ready[1], "x", 1) == 1) pause();
    _exit(0);
  }
  CHECK_NEED(read(ready[0], &byte, 1) == 1);
  bench_options options = smoke();
  check_refused(&options, PFL_STATUS_UNAVAILABLE, "another run");
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  close(ready[0]);
  close(ready[1]);
  remove_files();
}

/* ---- Processes --------------------------------------------------------- */

static int be_process(int count, char **arguments) {
  bench_options options = smoke();
  options.processes = 3;
  for (int i = 1; i + 1 < count; i++) {
    if (!strcmp(arguments[i], "--journal"))
      options.journal_path = arguments[i + 1];
    if (!strcmp(arguments[i], "--process"))
      options.process = atoi(arguments[i + 1]);
  }
  const char *fail = getenv("PFLASH_TEST_FAIL");
  if (fail && atoi(fail) == options.process) return 3;
  return bench_run(&options, NULL) != PFL_STATUS_OK;
}

static const char *const self[] = {"/proc/self/exe", NULL};

static void test_processes(void) {
  bench_options options = smoke();
  pfl_error error = {0};
  options.processes = 3;
  options.self = self;
  options.json_path = json_path;
  /* the second fails: the first is kept */
  CHECK_NEED(!setenv("PFLASH_TEST_FAIL", "2", 1));
  check_refused(&options, PFL_STATUS_UNAVAILABLE, "process 2 ended with");
  CHECK_NEED(!unsetenv("PFLASH_TEST_FAIL"));
  size_t length;
  char *before = read_text(journal_path, &length);
  int rows = (int)bench_workload_count(BENCH_SUITE_SMOKE);
  CHECK(count_lines(before) == 1 + rows, "%d lines", count_lines(before));
  CHECK(bench_run(&options, &error) == PFL_STATUS_OK, "%s", error.message);
  bench_report report;
  CHECK(report_read(json_path, &shipped, &report, &error) == PFL_STATUS_OK,
        "%s", error.message);
  CHECK(report.manifest.processes == 3 && report.row_count == rows, "%lld rows",
        (long long)report.row_count);
  for (int64_t i = 0; i < report.row_count; i++) {
    const report_row *row = &report.rows[i];
    CHECK(row->process_count == 3, "%lld processes",
          (long long)row->process_count);
    int64_t runs = 0;
    for (int p = 0; p < 3; p++) {
      CHECK(report_row_has(row, p), "process %d", p);
      runs += row->sides[0].processes[p].count;
    }
    CHECK(row->sides[0].summary.count == runs, "%lld runs of %lld",
          (long long)row->sides[0].summary.count, (long long)runs);
  }
  report_release(&report);
  free(before);
  /* all is there: nothing is run, not even a process */
  CHECK_NEED(!setenv("PFLASH_TEST_FAIL", "1", 1));
  CHECK(bench_run(&options, &error) == PFL_STATUS_OK, "%s", error.message);
  CHECK_NEED(!unsetenv("PFLASH_TEST_FAIL"));
  remove_files();
}

/* Without a journal of the caller's, none is left. */
static void test_processes_alone(void) {
  bench_options options = smoke();
  pfl_error error = {0};
  options.processes = 3;
  options.self = self;
  options.journal_path = NULL;
  CHECK(bench_run(&options, &error) == PFL_STATUS_OK, "%s", error.message);
  CHECK(files_in_directory() == 0, "%d files", files_in_directory());
  options.self = NULL;
  check_refused(&options, PFL_STATUS_INVALID_ARGUMENT, "command");
  options = smoke();
  options.processes = 65;
  check_refused(&options, PFL_STATUS_INVALID_ARGUMENT, "65");
  options.processes = 2;
  options.process = 3;
  check_refused(&options, PFL_STATUS_INVALID_ARGUMENT, "process is 3");
}

/* ---- Reading back ------------------------------------------------------ */

/* A report that is read and written again is the same, byte for byte: nothing
 * is told that does not follow from what is raw. */
static void test_read_back(void) {
  bench_options options = smoke();
  pfl_error error = {0};
  options.journal_path = NULL;
  options.json_path = json_path;
  options.command = "pflash bench 'x'";
  CHECK_NEED(bench_run(&options, NULL) == PFL_STATUS_OK);
  size_t length;
  char *text = read_text(json_path, &length);
  bench_report report;
  base_text again = {0};
  CHECK_NEED(report_read(json_path, &shipped, &report, &error) ==
             PFL_STATUS_OK);
  CHECK(report_json(&report, &again, &error) == PFL_STATUS_OK, "%s",
        error.message);
  size_t same = 0;
  while (same < length && base_text_get(&again)[same] == text[same]) same++;
  CHECK(same == length && again.length == length, "%.60s was %.60s",
        base_text_get(&again) + same, text + same);
  base_text_release(&again);
  report_release(&report);
  free(text);
  remove_files();
}

/* Every member taken away, or made something else, is refused or makes no
 * difference; nothing crashes. */
static void test_mutations(void) {
  bench_options options = smoke();
  options.journal_path = NULL;
  options.json_path = json_path;
  CHECK_NEED(bench_run(&options, NULL) == PFL_STATUS_OK);
  size_t length;
  char *text = read_text(json_path, &length);
  int refused = 0, cases = check_cases(300);
  static const char *const others[] = {"null", "-1", "1e300", "\"x\"",
                                       "[]",   "{}", "0",     "true"};
  for (int i = 0; i < cases; i++) {
    /* a value after some colon becomes another */
    size_t place = (size_t)check_between(0, (int64_t)length - 1);
    char *colon = strchr(text + place, ':');
    if (!colon) continue;
    size_t old = strcspn(colon + 1, ",}]\n");
    base_text changed = {0};
    base_text_add(&changed, text, (size_t)(colon + 1 - text));
    base_text_add_string(&changed, others[check_between(0, 7)]);
    base_text_add_string(&changed, colon + 1 + old);
    put_file(json_path, base_text_get(&changed), changed.length);
    bench_report report;
    pfl_error error = {0};
    pfl_status status = report_read(json_path, &shipped, &report, &error);
    CHECK(status == PFL_STATUS_OK || strstr(error.message, json_path),
          "%s does not name the file", error.message);
    refused += status != PFL_STATUS_OK;
    if (status == PFL_STATUS_OK) report_release(&report);
    base_text_release(&changed);
  }
  CHECK(refused > cases / 4, "%d of %d are refused", refused, cases);
  free(text);
  remove_files();
}

int main(int count, char **arguments) {
  if (count > 1) return be_process(count, arguments);
  directory_make();
  snprintf(journal_path, sizeof journal_path, "%s", in_directory("journal"));
  snprintf(json_path, sizeof json_path, "%s", in_directory("report.json"));
  int failed =
      CHECK_RUN(test_killed, test_cut, test_other_runs, test_no_journals,
                test_broken_lines, test_locked, test_processes,
                test_processes_alone, test_read_back, test_mutations);
  directory_remove();
  return failed;
}
