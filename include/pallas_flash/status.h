/* Statuses and error messages.
 *
 * Every function that can fail returns a pfl_status and takes, last, a
 * pfl_error that it fills on failure. Nothing is allocated on the error path
 * and nothing is printed. SPDX-License-Identifier: Apache-2.0 */
#ifndef PALLAS_FLASH_STATUS_H
#define PALLAS_FLASH_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(PFL_STATIC)
#define PFL_API
#elif defined(__GNUC__)
#define PFL_API __attribute__((visibility("default")))
#else
#define PFL_API
#endif

#if defined(__GNUC__)
#define PFL_NODISCARD __attribute__((warn_unused_result))
#else
#define PFL_NODISCARD
#endif

/* The canonical codes, with the numbers of PJRT_Error_Code: a status of a
 * PJRT plugin and one of this library are the same number. X(NAME, number). */
#define PFL_STATUS_LIST(X)                                                     \
  X(OK, 0)                                                                     \
  X(CANCELLED, 1)                                                              \
  X(UNKNOWN, 2)                                                                \
  X(INVALID_ARGUMENT, 3)                                                       \
  X(DEADLINE_EXCEEDED, 4)                                                      \
  X(NOT_FOUND, 5)                                                              \
  X(ALREADY_EXISTS, 6)                                                         \
  X(PERMISSION_DENIED, 7)                                                      \
  X(RESOURCE_EXHAUSTED, 8)                                                     \
  X(FAILED_PRECONDITION, 9)                                                    \
  X(ABORTED, 10)                                                               \
  X(OUT_OF_RANGE, 11)                                                          \
  X(UNIMPLEMENTED, 12)                                                         \
  X(INTERNAL, 13)                                                              \
  X(UNAVAILABLE, 14)                                                           \
  X(DATA_LOSS, 15)                                                             \
  X(UNAUTHENTICATED, 16)

typedef enum pfl_status {
#define PFL_STATUS_ENUM(name, number) PFL_STATUS_##name = number,
  PFL_STATUS_LIST(PFL_STATUS_ENUM)
#undef PFL_STATUS_ENUM
} pfl_status;

#define PFL_MESSAGE_SIZE 512

/* What went wrong, for a person: what was given and what is needed. Owned by
 * the caller; NULL may be passed wherever a pfl_error * is taken. It is written
 * only on failure. The message is UTF-8, always ends in NUL, and is cut to fit. */
typedef struct pfl_error {
  pfl_status status;
  char message[PFL_MESSAGE_SIZE];
} pfl_error;

/* The name of a status, "INVALID_ARGUMENT" for instance; "UNKNOWN" for a number
 * that is none. Static storage, never NULL. Any thread. */
PFL_API const char *pfl_status_name(pfl_status status);

#ifdef __cplusplus
}
#endif
#endif
