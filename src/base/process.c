#define _GNU_SOURCE /* pipe2 */
#include "pjrt/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LOG_MOST = 1 << 16 }; /* bytes of stderr kept: the last ones */

extern char **environ;

/* Our ends. The socket is the process's stdin and stdout: writing to one whose
 * reader died raises no signal, as a pipe would. */
typedef struct running {
  pid_t id;
  int talk, log; /* -1: closed */
  size_t sent;
  double end; /* on the monotonic clock */
} running;

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

/* 0 or an errno. A group of its own, so that its children die with it; no
 * signal blocked or ignored, whatever the caller does. */
static int spawn(const pjrt_process *process, int talk, int log, pid_t *id) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none, usual;
  sigemptyset(&none);
  sigemptyset(&usual);
  sigaddset(&usual, SIGPIPE);
  int failure = posix_spawn_file_actions_init(&actions);
  if (failure) return failure;
  failure = posix_spawnattr_init(&attributes);
  if (!failure) {
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP |
                                              POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &usual);
    failure = posix_spawn_file_actions_adddup2(&actions, talk, 0);
    if (!failure) failure = posix_spawn_file_actions_adddup2(&actions, talk, 1);
    if (!failure) failure = posix_spawn_file_actions_adddup2(&actions, log, 2);
    if (!failure)
      failure = posix_spawn(id, process->command[0], &actions, &attributes,
                            (char *const *)process->command, environ);
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_destroy(&actions);
  return failure;
}

static pfl_status start(const pjrt_process *process, running *out,
                        pfl_error *error) {
  int talk[2], log[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, talk))
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no socket for a child process");
  if (pipe2(log, O_CLOEXEC)) {
    close(talk[0]);
    close(talk[1]);
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no pipe for a child process");
  }
  int failure = spawn(process, talk[1], log[1], &out->id);
  close(talk[1]);
  close(log[1]);
  out->talk = talk[0];
  out->log = log[0];
  if (!failure) return PFL_STATUS_OK;
  close_end(&out->talk);
  close_end(&out->log);
  PFL_RAISE(error, NOT_FOUND, "cannot run %.300s: %s", process->command[0],
            strerror(failure));
}

/* ---- Talking ------------------------------------------------------------- */

static void send_some(const pjrt_process *process, running *child) {
  ssize_t sent =
      send(child->talk, (const char *)process->input + child->sent,
           process->input_size - child->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent > 0) child->sent += (size_t)sent;
  if (sent < 0 && errno != EINTR && errno != EAGAIN)
    child->sent = process->input_size; /* it reads no more */
  if (child->sent == process->input_size) shutdown(child->talk, SHUT_WR);
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

/* Until it has closed its stdout, which is its last act. */
static pfl_status talk(const pjrt_process *process, running *child,
                       base_text *output, base_text *log, pfl_error *error) {
  if (!process->input_size) shutdown(child->talk, SHUT_WR);
  while (child->talk >= 0) {
    double left = child->end - now();
    if (left <= 0)
      PFL_RAISE(error, DEADLINE_EXCEEDED, "no end within %g seconds",
                process->seconds);
    bool sending = child->sent < process->input_size;
    struct pollfd ends[2] = {
        {child->talk, (short)(POLLIN | (sending ? POLLOUT : 0)), 0},
        {child->log, POLLIN, 0}};
    if (poll(ends, 2, left < 3600 ? (int)(left * 1e3) + 1 : 3600000) < 0 &&
        errno != EINTR)
      PFL_RAISE(error, INTERNAL, "cannot wait for a child process");
    if (sending && ends[0].revents & POLLOUT) send_some(process, child);
    if (ends[0].revents & (POLLIN | POLLHUP | POLLERR))
      receive_some(&child->talk, output);
    if (ends[1].revents) receive_some(&child->log, log);
    trim_log(log);
    if (output->length > process->output_most)
      PFL_RAISE(error, RESOURCE_EXHAUSTED, "it wrote more than %zu bytes",
                process->output_most);
    PFL_TRY(base_text_check(output, error));
    PFL_TRY(base_text_check(log, error));
  }
  return PFL_STATUS_OK;
}

/* ---- Ending -------------------------------------------------------------- */

/* Whether it has ended; then how, unless somebody else was told. */
static bool has_ended(running *child, pjrt_process_end *out_end) {
  int status = 0;
  pid_t found = waitpid(child->id, &status, WNOHANG);
  if (found == 0 || (found < 0 && errno == EINTR)) return false;
  *out_end = (pjrt_process_end){.exit_code = -1};
  if (found > 0 && WIFEXITED(status)) out_end->exit_code = WEXITSTATUS(status);
  if (found > 0 && WIFSIGNALED(status)) out_end->signal = WTERMSIG(status);
  return true;
}

pfl_status pjrt_process_run(const pjrt_process *process, base_text *out_output,
                            base_text *out_log, pjrt_process_end *out_end,
                            pfl_error *error) {
  running child = {.talk = -1, .log = -1, .end = now() + process->seconds};
  PFL_TRY(start(process, &child, error));
  pfl_status status = talk(process, &child, out_output, out_log, error);
  bool ended = false;
  while (!status && !(ended = has_ended(&child, out_end))) {
    struct pollfd log = {child.log, POLLIN, 0};
    poll(&log, child.log >= 0, 2);
    if (log.revents) receive_some(&child.log, out_log);
    if (now() > child.end)
      status = base_error_set(error, PFL_STATUS_DEADLINE_EXCEEDED,
                              "no end within %g seconds", process->seconds);
  }
  kill(-child.id, SIGKILL); /* it, or what it left behind */
  while (!ended && !has_ended(&child, out_end)) poll(NULL, 0, 1);
  if (child.log >= 0 && !fcntl(child.log, F_SETFL, O_NONBLOCK))
    receive_some(&child.log, out_log);
  trim_log(out_log);
  close_end(&child.talk);
  close_end(&child.log);
  return status;
}
