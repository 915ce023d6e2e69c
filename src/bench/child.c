/* A child process with which lines are exchanged. */
#include "bench/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "bench/machine.h"

enum { WORDS_SIZE = 512 };

#define FAREWELL_SECONDS 1.0 /* to end by itself once its stdin is closed */

extern char **environ;

/* ---- Starting ---------------------------------------------------------- */

static bool same_variable(const char *a, const char *b) {
  size_t length = strcspn(a, "=");
  return strcspn(b, "=") == length && !memcmp(a, b, length);
}

/* The environment with `settings` in place of what they set; to be freed, the
 * strings not. */
static char **merge_environment(const char *const *settings) {
  size_t old = 0, added = 0, count = 0;
  while (environ[old]) old++;
  while (settings[added]) added++;
  char **merged = malloc((old + added + 1) * sizeof *merged);
  if (!merged) return NULL;
  for (size_t i = 0; i < old; i++) {
    bool replaced = false;
    for (size_t k = 0; k < added; k++)
      replaced |= same_variable(environ[i], settings[k]);
    if (!replaced) merged[count++] = environ[i];
  }
  for (size_t k = 0; k < added; k++) merged[count++] = (char *)settings[k];
  merged[count] = NULL;
  return merged;
}

/* 0 or an errno. */
static int spawn(pid_t *process, const char *const *command, char **environment,
                 int descriptor, int log) {
  posix_spawn_file_actions_t actions;
  int failure = posix_spawn_file_actions_init(&actions);
  if (failure) return failure;
  const int ends[] = {descriptor, descriptor, log};
  for (int i = 0; i < 3 && !failure; i++)
    failure = posix_spawn_file_actions_adddup2(&actions, ends[i], i);
  if (!failure)
    failure = posix_spawnp(process, command[0], &actions, NULL,
                           (char *const *)command, environment);
  posix_spawn_file_actions_destroy(&actions);
  return failure;
}

pfl_status child_start(bench_child *child, const char *const *command,
                       const char *const *settings, pfl_error *error) {
  *child = (bench_child){.log = tmpfile()};
  if (!child->log || fcntl(fileno(child->log), F_SETFD, FD_CLOEXEC))
    PFL_RAISE(error, UNAVAILABLE, "no temporary file: %s", strerror(errno));
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
    PFL_RAISE(error, UNAVAILABLE, "no socket for a child process: %s",
              strerror(errno));
  char **environment = merge_environment(settings);
  int failure = environment ? spawn(&child->process, command, environment,
                                    ends[1], fileno(child->log))
                            : ENOMEM;
  free(environment);
  close(ends[1]);
  if (failure) {
    close(ends[0]);
    child->process = 0;
    PFL_RAISE(error, NOT_FOUND, "cannot run %s: %s", command[0],
              strerror(failure));
  }
  child->descriptor = ends[0];
  return PFL_STATUS_OK;
}

/* ---- Ending ------------------------------------------------------------ */

static bool has_ended(bench_child *child, int *out_status) {
  *out_status = 0;
  if (waitpid(child->process, out_status, WNOHANG) == 0) return false;
  child->process = 0;
  return true;
}

/* Gives it time to end by itself; false if it had to be killed. */
static bool end_process(bench_child *child, int *out_status) {
  double end = machine_now() + FAREWELL_SECONDS;
  while (machine_now() < end) {
    if (has_ended(child, out_status)) return true;
    machine_sleep(0.005);
  }
  kill(child->process, SIGKILL);
  waitpid(child->process, out_status, 0);
  child->process = 0;
  return false;
}

void child_stop(bench_child *child) {
  int status;
  if (child->process) {
    close(child->descriptor);
    end_process(child, &status);
  }
  if (child->log) fclose(child->log);
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
  int status = 0;
  char words[WORDS_SIZE], quoted[BASE_QUOTE_SIZE];
  close(child->descriptor);
  if (!end_process(child, &status))
    PFL_RAISE(error, UNAVAILABLE, "it closed its output and went on");
  read_last_words(child->log, words);
  const char *last =
      *words ? base_quote(words, strlen(words), quoted) : "nothing";
  if (WIFSIGNALED(status))
    PFL_RAISE(error, UNAVAILABLE, "it was ended by signal %d; it said %s",
              WTERMSIG(status), last);
  PFL_RAISE(error, UNAVAILABLE, "it ended with exit code %d; it said %s",
            WEXITSTATUS(status), last);
}

/* ---- Lines ------------------------------------------------------------- */

pfl_status child_send(bench_child *child, const char *line, pfl_error *error) {
  size_t length = strlen(line), sent = 0;
  while (sent <= length) { /* the line break comes last */
    bool at_end = sent == length;
    ssize_t count = send(child->descriptor, at_end ? "\n" : line + sent,
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
    count = recv(child->descriptor, child->line + child->used,
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
    struct pollfd entry = {child->descriptor, POLLIN, 0};
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
