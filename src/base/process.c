#define _GNU_SOURCE /* pipe2 */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LOG_MOST = 1 << 16 }; /* bytes of stderr kept: the last ones */

extern char **environ;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void close_end(int *end) {
  if (*end >= 0) close(*end);
  *end = -1;
}

/* ---- Starting ------------------------------------------------------------ */

static bool same_variable(const char *a, const char *b) {
  size_t length = strcspn(a, "=");
  return strcspn(b, "=") == length && !memcmp(a, b, length);
}

/* The environment with `settings` in place of what they set; to be freed, the
 * strings not. */
static char **merge_environment(const char *const *settings) {
  size_t old = 0, added = 0, count = 0;
  while (environ && environ[old]) old++;
  while (settings && settings[added]) added++;
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
static int set_attributes(posix_spawnattr_t *attributes) {
  sigset_t none, usual;
  sigemptyset(&none);
  sigemptyset(&usual);
  sigaddset(&usual, SIGPIPE);
  posix_spawnattr_setpgroup(attributes, 0);
  posix_spawnattr_setsigmask(attributes, &none);
  posix_spawnattr_setsigdefault(attributes, &usual);
  return posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP |
                                                  POSIX_SPAWN_SETSIGMASK |
                                                  POSIX_SPAWN_SETSIGDEF);
}

/* 0 or an errno. */
static int spawn(const char *const *command, char **environment, int socket,
                 int log, pid_t *out_id) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  int failure = posix_spawn_file_actions_init(&actions);
  if (failure) return failure;
  failure = posix_spawnattr_init(&attributes);
  if (!failure) {
    const int ends[] = {socket, socket, log};
    failure = set_attributes(&attributes);
    for (int i = 0; i < 3 && !failure; i++)
      failure = posix_spawn_file_actions_adddup2(&actions, ends[i], i);
    if (!failure)
      failure = posix_spawnp(out_id, command[0], &actions, &attributes,
                             (char *const *)command, environment);
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_destroy(&actions);
  return failure;
}

pfl_status base_process_start(const char *const *command,
                              const char *const *settings, int log,
                              base_process *out_process, pfl_error *error) {
  int ends[2];
  *out_process = (base_process){.socket = -1};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no socket for a process: %s",
              strerror(errno));
  char **environment = merge_environment(settings);
  pid_t id = 0;
  int failure =
      environment ? spawn(command, environment, ends[1], log, &id) : ENOMEM;
  free(environment);
  close(ends[1]);
  if (failure) {
    close(ends[0]);
    return base_error_set(
        error,
        failure == ENOMEM || failure == EAGAIN ? PFL_STATUS_RESOURCE_EXHAUSTED
                                               : PFL_STATUS_NOT_FOUND,
        "cannot run %.300s: %s", command[0], strerror(failure));
  }
  *out_process = (base_process){id, ends[0]};
  return PFL_STATUS_OK;
}

/* ---- Ending -------------------------------------------------------------- */

/* It is given back only after what it left behind is killed: until then no
 * other group can have its number. */
bool base_process_has_ended(base_process *process, base_process_end *out_end) {
  siginfo_t info = {0};
  int status = 0;
  if (!process->id) return true;
  int failed =
      waitid(P_PID, (id_t)process->id, &info, WEXITED | WNOHANG | WNOWAIT);
  if (failed ? errno == EINTR : !info.si_pid) return false;
  kill(-process->id, SIGKILL);
  *out_end = (base_process_end){.exit_code = -1};
  pid_t found = waitpid(process->id, &status, 0);
  process->id = 0;
  if (found > 0 && WIFEXITED(status)) out_end->exit_code = WEXITSTATUS(status);
  if (found > 0 && WIFSIGNALED(status)) out_end->signal = WTERMSIG(status);
  return true; /* also if somebody else was told how */
}

bool base_process_stop(base_process *process, double seconds,
                       base_process_end *out_end) {
  double end = now() + seconds;
  close_end(&process->socket);
  bool ended;
  while (!(ended = base_process_has_ended(process, out_end)) && now() < end)
    poll(NULL, 0, 2);
  if (!ended) kill(-process->id, SIGKILL);
  while (!base_process_has_ended(process, out_end)) poll(NULL, 0, 1);
  return ended;
}

/* ---- To its end ---------------------------------------------------------- */

typedef struct running {
  base_process process;
  int log; /* our end of a pipe; -1: closed */
  size_t sent;
  double end; /* on the monotonic clock */
} running;

static void send_some(const base_run *run, running *child) {
  ssize_t sent =
      send(child->process.socket, (const char *)run->input + child->sent,
           run->input_size - child->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent > 0) child->sent += (size_t)sent;
  if (sent < 0 && errno != EINTR && errno != EAGAIN)
    child->sent = run->input_size; /* it reads no more */
  if (child->sent == run->input_size) shutdown(child->process.socket, SHUT_WR);
}

static void receive_some(int *end, base_text *out) {
  char bytes[1 << 16];
  ssize_t count = read(*end, bytes, sizeof bytes);
  if (count > 0) base_text_add(out, bytes, (size_t)count);
  if (!count || (count < 0 && errno != EINTR && errno != EAGAIN))
    close_end(end);
}

/* Keeps the last half of a log that grew too long. */
static void trim_log(base_text *log) {
  if (log->length < LOG_MOST) return;
  size_t keep = LOG_MOST / 2;
  memmove(log->bytes, log->bytes + log->length - keep, keep);
  log->length = keep;
  log->bytes[keep] = 0;
}

static pfl_status raise_late(const base_run *run, pfl_error *error) {
  PFL_RAISE(error, DEADLINE_EXCEEDED, "no end within %g seconds", run->seconds);
}

/* Until it has closed its stdout, which is its last act. */
static pfl_status talk(const base_run *run, running *child, base_text *output,
                       base_text *log, pfl_error *error) {
  int *end = &child->process.socket;
  if (!run->input_size) shutdown(*end, SHUT_WR);
  while (*end >= 0) {
    double left = child->end - now();
    if (left <= 0) return raise_late(run, error);
    bool sending = child->sent < run->input_size;
    struct pollfd ends[3] = {
        {*end, (short)(POLLIN | (sending ? POLLOUT : 0)), 0},
        {child->log, POLLIN, 0},
        {run->stop ? *run->stop : -1, POLLIN, 0}};
    if (poll(ends, 3, left < 3600 ? (int)(left * 1e3) + 1 : 3600000) < 0 &&
        errno != EINTR)
      PFL_RAISE(error, INTERNAL, "cannot wait for a process");
    if (ends[2].revents) PFL_RAISE(error, CANCELLED, "stopped before its end");
    if (sending && ends[0].revents & POLLOUT) send_some(run, child);
    if (ends[0].revents & (POLLIN | POLLHUP | POLLERR))
      receive_some(end, output);
    if (ends[1].revents) receive_some(&child->log, log);
    trim_log(log);
    if (output->length > run->output_most)
      PFL_RAISE(error, RESOURCE_EXHAUSTED, "it wrote more than %zu bytes",
                run->output_most);
    PFL_TRY(base_text_check(output, error));
    PFL_TRY(base_text_check(log, error));
  }
  return PFL_STATUS_OK;
}

/* Reads on what it writes to stderr until it has ended. */
static pfl_status await_end(const base_run *run, running *child, base_text *log,
                            base_process_end *out_end, pfl_error *error) {
  while (!base_process_has_ended(&child->process, out_end)) {
    struct pollfd end = {child->log, POLLIN, 0};
    poll(&end, child->log >= 0, 2);
    if (end.revents) receive_some(&child->log, log);
    trim_log(log);
    if (now() > child->end) return raise_late(run, error);
  }
  return PFL_STATUS_OK;
}

pfl_status base_process_run(const base_run *run, base_text *out_output,
                            base_text *out_log, base_process_end *out_end,
                            pfl_error *error) {
  running child = {.end = now() + run->seconds};
  int log[2];
  if (pipe2(log, O_CLOEXEC))
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no pipe for a process: %s",
              strerror(errno));
  pfl_status status =
      base_process_start(run->command, NULL, log[1], &child.process, error);
  close(log[1]);
  child.log = log[0];
  if (!status) status = talk(run, &child, out_output, out_log, error);
  if (!status) status = await_end(run, &child, out_log, out_end, error);
  base_process_stop(&child.process, 0, out_end);
  if (child.log >= 0 && !fcntl(child.log, F_SETFL, O_NONBLOCK))
    receive_some(&child.log, out_log);
  trim_log(out_log);
  close_end(&child.log);
  return status;
}
