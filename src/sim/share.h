/* Work of one instruction shared by the host's threads, where a chip runs
 * alone. What each thread does is the same whoever does it. */
#ifndef PFL_SIM_SHARE_H
#define PFL_SIM_SHARE_H

#include "sim/chip.h"

/* Does items first .. end - 1 of a job. */
typedef void sim_range_fn(const void *job, int64_t first, int64_t end);

/* All of `count` items, in ranges of `grain`, or at once if that is little. */
void sim_share(const sim_chip *chip, int64_t count, int64_t grain,
               sim_range_fn *run, const void *job);

#endif
