/* Work of one instruction spread over the host's threads, where a chip runs
 * alone. What each thread does is the same whoever does it. */
#ifndef PFL_SIM_SPREAD_H
#define PFL_SIM_SPREAD_H

#include "sim/chip.h"

/* Does items first .. end - 1 of a job. */
typedef void sim_range_fn(const void *job, int64_t first, int64_t end);

/* All of `count` items, in ranges of `grain`, or at once if that is little. */
void sim_spread(const sim_chip *chip, int64_t count, int64_t grain,
                sim_range_fn *run, const void *job);

#endif
