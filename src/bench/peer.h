/* A peer: another implementation of the same attention, in a child process
 * that speaks JSON lines over its stdin and stdout. docs/benchmark.md has the
 * protocol. A peer is not trusted: whatever it does ends in an error that says
 * what it did, within a time limit. */
#ifndef PFL_BENCH_PEER_H
#define PFL_BENCH_PEER_H

#include <sys/types.h>

#include "base/status.h"
#include "bench/gate.h"
#include "bench/tensors.h"

typedef struct bench_peer bench_peer;

enum { PEER_DEVICE_SIZE = 64, PEER_CHIPS_MAX = 4096 };

/* How long a peer may take, in seconds. All zero: 120, 60. */
typedef struct peer_patience {
  double ready; /* until it has read a cell and is ready */
  double run;   /* for one run, or to write its outputs */
} peer_patience;

/* Whether there may be a peer called that: listed, a path, or a device, "tpu"
 * or "pjrt:" and the path of a plugin. */
bool peer_is_known(const char *name);

/* Sets the paths of a script of the peers' folder, and of the Python that is to
 * run it. NOT_FOUND: there is no such script. */
PFL_NODISCARD pfl_status peer_find_script(const char *file, char *out_script,
                                          char *out_python, size_t capacity,
                                          pfl_error *error);

/* Starts the peer `name`, which is to use `threads` threads: one from
 * BENCH_PEER_LIST, the path of a program, or a device, which pflash-peer then
 * serves. Tensors pass through files in
 * `directory`.
 * INVALID_ARGUMENT: no such name. NOT_FOUND: no such program. */
PFL_NODISCARD pfl_status peer_start(const char *name, int32_t threads,
                                    const char *directory,
                                    peer_patience patience,
                                    bench_peer **out_peer, pfl_error *error);

/* Ends the process, by force if need be. NULL is allowed. */
void peer_stop(bench_peer *peer);

/* After any of these fails the peer is of no more use but to peer_stop, except
 * where peer_load fails with UNIMPLEMENTED: the peer cannot do this workload
 * and waits for another.
 * UNAVAILABLE: it ended or answered nonsense. DEADLINE_EXCEEDED: no answer. */

/* Gives it a workload, whose inputs it reads from a file. */
PFL_NODISCARD pfl_status peer_load(bench_peer *peer,
                                   const bench_tensors *tensors,
                                   pfl_error *error);

/* One run; how long it took by the peer's own clock. */
PFL_NODISCARD pfl_status peer_run(bench_peer *peer, double *out_seconds,
                                  pfl_error *error);

/* Holds the outputs of its last run against the reference. */
PFL_NODISCARD pfl_status peer_check(bench_peer *peer,
                                    const bench_tensors *tensors,
                                    const bench_gate *gate,
                                    gate_verdict *out_verdict,
                                    pfl_error *error);

/* What it calls itself, "torch 2.8.0" for instance; its name before peer_load
 * succeeded. Lives as long as the peer. */
const char *peer_title(const bench_peer *peer);

/* The kind of device that it says it runs the workload on, "NVIDIA L4", and how
 * many of them; "": this machine's CPU. */
const char *peer_device(const bench_peer *peer);
int64_t peer_chips(const bench_peer *peer);

pid_t peer_process(const bench_peer *peer);

#endif
