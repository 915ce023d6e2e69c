#include "bench/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/text.h"
#include "bench/machine.h"

enum { WORDS_SIZE = 512 };

#define FAREWELL_SECONDS 1.0 /* to end by itself once its stdin is closed */

/* ---- Starting and ending ----------------------------------------------- */

pfl_status child_start(bench_child *child, const char *const *command,
                       const char *const *settings, pfl_error *error) {
  child->used = 0;
  child->process = (base_process){.socket = -1};
  child->log = tmpfile();
  if (!child->log || fcntl(fileno(child->log), F_SETFD, FD_CLOEXEC))
    PFL_RAISE(error, UNAVAILABLE, "no temporary file: %s", strerror(errno));
  return base_process_start(command, settings, fileno(child->log),
                            &child->process, error);
}

void child_stop(bench_child *child) {
  base_process_end end;
  if (!child->log) return;
  base_process_stop(&child->process, FAREWELL_SECONDS, &end);
  fclose(child->log);
  child->log = NULL;
}

/* The last line with something in it that the child wrote to its stderr. */
static void read_last_words(FILE *log, char words[WORDS_SIZE]) {
  char line[WORDS_SIZE];
  *words = 0;
  rewind(log);
  while (fgets(line, sizeof line, log)) {
    line[strcspn(line, "\n")] = 0;
    if (line[strspn(line, " \t\r")]) memcpy(words, line, sizeof line);
  }
}

/* Says how it ended; it has closed its stdout. */
static pfl_status raise_ended(bench_child *child, pfl_error *error) {
  base_process_end end = {.exit_code = -1};
  char words[WORDS_SIZE], quoted[BASE_QUOTE_SIZE];
  if (!base_process_stop(&child->process, FAREWELL_SECONDS, &end))
    PFL_RAISE(error, UNAVAILABLE, "it closed its output and went on");
  read_last_words(child->log, words);
  const char *last =
      *words ? base_quote(words, strlen(words), quoted) : "nothing";
  if (end.signal)
    PFL_RAISE(error, UNAVAILABLE, "it was ended by signal %d; it said %s",
              end.signal, last);
  PFL_RAISE(error, UNAVAILABLE, "it ended with exit code %d; it said %s",
            end.exit_code, last);
}

/* ---- Lines ------------------------------------------------------------- */

pfl_status child_send(bench_child *child, const char *line, pfl_error *error) {
  size_t length = strlen(line), sent = 0;
  while (sent <= length) { /* the line break comes last */
    bool at_end = sent == length;
    ssize_t count = send(child->process.socket, at_end ? "\n" : line + sent,
                         at_end ? 1 : length - sent, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return raise_ended(child, error);
    sent += (size_t)count;
  }
  return PFL_STATUS_OK;
}

/* Adds what has come to the line; false if that was the end of its output. */
static bool take_bytes(bench_child *child) {
  ssize_t count;
  do {
    count = recv(child->process.socket, child->line + child->used,
                 sizeof child->line - child->used, 0);
  } while (count < 0 && errno == EINTR);
  if (count <= 0) return false;
  child->used += (size_t)count;
  return true;
}

/* Whether there is something to take before `end`. */
static bool wait_for_bytes(const bench_child *child, double end) {
  for (;;) {
    double left = end - machine_now();
    if (left <= 0) return false;
    struct pollfd entry = {child->process.socket, POLLIN, 0};
    int ready = poll(&entry, 1, (int)(left * 1e3) + 1);
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

pfl_status child_receive(bench_child *child, double seconds,
                         const char **out_line, pfl_error *error) {
  double end = machine_now() + seconds;
  const char *line_end = NULL;
  child->used = 0;
  while (!line_end) {
    if (child->used == sizeof child->line)
      PFL_RAISE(error, UNAVAILABLE, "it answered a line of over %d bytes",
                CHILD_LINE_MAX);
    if (!wait_for_bytes(child, end))
      PFL_RAISE(error, DEADLINE_EXCEEDED, "it gave no answer within %g seconds",
                seconds);
    if (!take_bytes(child)) return raise_ended(child, error);
    line_end = memchr(child->line, '\n', child->used);
  }
  if (line_end + 1 != child->line + child->used)
    PFL_RAISE(error, UNAVAILABLE, "it answered more than one line");
  child->line[child->used - 1] = 0;
  *out_line = child->line;
  return PFL_STATUS_OK;
}
