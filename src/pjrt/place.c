#define _GNU_SOURCE /* dladdr */
#include "pjrt/place.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool pjrt_program_path(char *out_path, size_t capacity) {
  ssize_t length = readlink("/proc/self/exe", out_path, capacity - 1);
  if (length <= 0 || (size_t)length >= capacity - 1) return false;
  out_path[length] = 0;
  return true;
}

bool pjrt_library_path(char *out_path, size_t capacity) {
  Dl_info info;
  static const char place_in_library;
  if (!dladdr(&place_in_library, &info) || !info.dli_fname) return false;
  char *resolved = realpath(info.dli_fname, NULL);
  bool fits = resolved && strlen(resolved) < capacity;
  if (fits) strcpy(out_path, resolved);
  free(resolved);
  return fits;
}
