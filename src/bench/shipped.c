/* The files that are shipped beside the program. */
#include "bench/shipped.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pjrt/place.h"

enum { FOLDER_SIZE = 4096 };

const char *shipped_variable(const char *folder) {
#define SHIPPED_ROW(name, variable) \
  if (!strcmp(folder, name)) return variable;
  BENCH_SHIPPED_LIST(SHIPPED_ROW)
#undef SHIPPED_ROW
  return "";
}

static bool is_there(char *out_path, size_t capacity, int length) {
  return length > 0 && (size_t)length < capacity && !access(out_path, R_OK);
}

bool shipped_find(const char *folder, const char *file, char *out_path,
                  size_t capacity) {
  static const char *const places[] = {"bench", "share/pallas_flash"};
  const char *given = getenv(shipped_variable(folder));
  if (given)
    return is_there(out_path, capacity,
                    snprintf(out_path, capacity, "%s/%s", given, file));
  char above[FOLDER_SIZE];
  if (!pjrt_program_path(above, sizeof above)) return false;
  for (char *slash; (slash = strrchr(above, '/')) != NULL;) {
    *slash = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
      if (is_there(out_path, capacity,
                   snprintf(out_path, capacity, "%s/%s/%s/%s", above, places[i],
                            folder, file)))
        return true;
  }
  return false;
}
