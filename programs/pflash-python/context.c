/* The process's context: the one thing that the Python package's library keeps,
 * since XLA calls a handler with nothing of ours. */
#include <pthread.h>
#include <unistd.h>

#include "python_api.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pfl_context *context;
static pid_t owner; /* the process that made it */

pfl_status pfl_python_context(pfl_context **out_context, pfl_error *out_error) {
  pfl_status status = PFL_STATUS_OK;
  pthread_mutex_lock(&mutex);
  if (owner != getpid())
    context = NULL; /* the parent's, without threads here */
  if (!context) status = pfl_context_create(NULL, &context, out_error);
  owner = getpid();
  *out_context = context;
  pthread_mutex_unlock(&mutex);
  return status;
}
