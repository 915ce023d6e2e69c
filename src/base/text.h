/* Text that grows, and what is needed to put strangers' bytes into it. */
#ifndef PFL_BASE_TEXT_H
#define PFL_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "pallas_flash/context.h"

/* All zero is empty text with malloc's memory. A failed allocation is
 * remembered and whatever is added after it is dropped, so that a writer adds
 * without looking and asks base_text_check once, at the end. */
typedef struct base_text {
  pfl_allocator allocator;
  char *bytes; /* `length` bytes and a NUL; NULL as long as nothing is added */
  size_t length; /* without the NUL */
  size_t capacity;
  bool failed;
} base_text;

void base_text_add(base_text *text, const char *bytes, size_t length);
void base_text_add_string(base_text *text, const char *string);
__attribute__((format(printf, 2, 3))) void base_text_format(base_text *text,
                                                            const char *format,
                                                            ...);

/* In as few digits as read back to the same number, with a full stop whatever
 * the locale; "inf" and "nan" for what they are. */
void base_text_add_double(base_text *text, double number);

/* The text so far as a string, "" if it is empty; good until the next call. */
const char *base_text_get(const base_text *text);

/* RESOURCE_EXHAUSTED if an allocation failed on the way. */
PFL_NODISCARD pfl_status base_text_check(const base_text *text,
                                         pfl_error *error);

/* Gives the memory back; the text is empty and may be used again. */
void base_text_release(base_text *text);

/* strtod with a full stop whatever the locale. */
double base_double_from(const char *digits, char **out_end);

/* Bytes, 1 to 4, of the UTF-8 character that `bytes` begins with; 0 if it
 * begins with none (RFC 3629: no surrogates, no overlong forms), or is empty.
 */
size_t base_utf8_length(const char *bytes, size_t size);

/* Puts `bytes` into `buffer` for a message: in quotes, what would disturb a
 * terminal as \x1b, a long one cut and ended with dots. Returns `buffer`. */
#define BASE_QUOTE_SIZE 96
const char *base_quote(const char *bytes, size_t length,
                       char buffer[BASE_QUOTE_SIZE]);

#endif
