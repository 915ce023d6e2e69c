#define _GNU_SOURCE /* pipe2 */
#include "stop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
enum { SIGNALS = sizeof signals / sizeof *signals };

static int ends[2] = {-1, -1}; /* of a pipe */
static struct sigaction before[SIGNALS];
static volatile sig_atomic_t came;

static void note(int number) {
  int saved = errno;
  came = number;
  (void)!write(ends[1], "", 1);
  errno = saved;
}

const int *stop_begin(void) {
  struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  came = 0;
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK)) ends[0] = ends[1] = -1;
  for (int i = 0; i < SIGNALS && ends[0] >= 0; i++) {
    sigaction(signals[i], NULL, &before[i]);
    if (before[i].sa_handler != SIG_IGN) sigaction(signals[i], &action, NULL);
  }
  return &ends[0];
}

void stop_end(void) {
  for (int i = 0; i < SIGNALS && ends[0] >= 0; i++)
    sigaction(signals[i], &before[i], NULL);
  for (int i = 0; i < 2; i++) {
    if (ends[i] >= 0) close(ends[i]);
    ends[i] = -1;
  }
  if (came) raise(came);
}
