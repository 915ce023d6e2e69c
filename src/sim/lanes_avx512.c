/* The loops of lanes.h for AVX512. */
#define LANES_TABLE sim_lanes_avx512
#include "sim/lanes_template.h"
