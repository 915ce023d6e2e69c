/* The simulated slice as a PJRT plugin: the table of functions that
 * libpflash_sim.so exports as GetPjrtApi. docs/simulator.md describes it.
 *
 * Threads: every function may be called from any thread. */
#ifndef PFL_SIM_PLUGIN_API_H
#define PFL_SIM_PLUGIN_API_H

#include "pallas_flash/status.h"
#include "pjrt/pjrt_abi.h"

/* Static storage. */
const PJRT_Api *sim_plugin_api(void);

#endif
