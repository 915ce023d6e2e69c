/* The loops of lanes.h for AVX2. */
#define LANES_TABLE sim_lanes_avx2
#include "sim/lanes_template.h"
