/* The library's version, which CMakeLists.txt states. */
#include "pallas_flash/context.h"

const char *pfl_version(void) { return PFLASH_VERSION; }
