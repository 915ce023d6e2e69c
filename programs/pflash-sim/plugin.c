/* libpflash_sim.so: the one symbol that a plugin has. */
#include "sim/plugin_api.h"

PFL_API const PJRT_Api *GetPjrtApi(void);

const PJRT_Api *GetPjrtApi(void) { return sim_plugin_api(); }
