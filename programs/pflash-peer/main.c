/* pflash-peer tpu | PLUGIN: a peer of `pflash bench`, which starts it:
 * attention on the devices of a TPU, or of any PJRT plugin (bench/serve.h). It
 * is a process of its own because a plugin may end the process it is in. */
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bench/serve.h"

/* What a plugin prints must not get between the answers. */
static FILE *take_stdout(void) {
  int answers = dup(1);
  if (answers < 0 || dup2(2, 1) < 0) return NULL;
  return fdopen(answers, "w");
}

int main(int argc, char **argv) {
  pfl_error error = {0};
  FILE *answers = take_stdout();
  if (argc != 2 || !answers) {
    fputs("usage: pflash-peer tpu|PLUGIN\n", stderr);
    return 2;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  pfl_status status = serve(argv[1], stdin, answers, &error);
  if (status) fprintf(stderr, "pflash-peer: %s\n", error.message);
  /* a plugin's threads are not waited for */
  fflush(answers);
  _exit(status ? 1 : 0);
}
