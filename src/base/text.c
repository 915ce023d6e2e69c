#include "base/text.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* Makes room for `more` bytes and a NUL after what is there. */
static bool reserve(base_text *text, size_t more) {
  if (text->failed) return false;
  if (more < text->capacity - text->length) return true;
  size_t capacity = 2 * (text->length + more) + 64;
  char *bytes = more < PTRDIFF_MAX / 4 && text->length < PTRDIFF_MAX / 4
                    ? base_allocate(&text->allocator, capacity)
                    : NULL;
  if (!bytes) {
    text->failed = true;
    return false;
  }
  if (text->length) memcpy(bytes, text->bytes, text->length);
  base_release(&text->allocator, text->bytes);
  text->bytes = bytes;
  text->capacity = capacity;
  return true;
}

void base_text_add(base_text *text, const char *bytes, size_t length) {
  if (!reserve(text, length)) return;
  if (length) memcpy(text->bytes + text->length, bytes, length);
  text->length += length;
  text->bytes[text->length] = 0;
}

void base_text_add_string(base_text *text, const char *string) {
  base_text_add(text, string, strlen(string));
}

void base_text_format(base_text *text, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(NULL, 0, format, arguments);
  va_end(arguments);
  if (length < 0) text->failed = true;
  if (length < 0 || !reserve(text, (size_t)length)) return;
  va_start(arguments, format);
  vsnprintf(text->bytes + text->length, (size_t)length + 1, format, arguments);
  va_end(arguments);
  text->length += (size_t)length;
}

/* printf and strtod go by the locale of whatever program this runs in; here the
 * calling thread gets the C locale for a moment. */
typedef struct c_locale {
  locale_t c, before;
} c_locale;

static c_locale enter_c_locale(void) {
  c_locale locale = {.c = newlocale(LC_ALL_MASK, "C", (locale_t)0)};
  locale.before = uselocale(locale.c);
  return locale;
}

static void leave_c_locale(c_locale locale) {
  uselocale(locale.before);
  if (locale.c) freelocale(locale.c);
}

void base_text_add_double(base_text *text, double number) {
  c_locale locale = enter_c_locale();
  /* %g drops zeros, so DBL_DIG digits give every shorter form too; a subnormal
   * number has fewer digits than that */
  int digits = fabs(number) < DBL_MIN ? 1 : DBL_DIG;
  char decimal[40]; /* gcc, for TSan, reckons with 38 */
  snprintf(decimal, sizeof decimal, "%.*g", digits, number);
  while (digits < DBL_DECIMAL_DIG && strtod(decimal, NULL) != number)
    snprintf(decimal, sizeof decimal, "%.*g", ++digits, number);
  leave_c_locale(locale);
  base_text_add_string(text, decimal);
}

double base_double_from(const char *digits, char **out_end) {
  c_locale locale = enter_c_locale();
  double number = strtod(digits, out_end);
  leave_c_locale(locale);
  return number;
}

const char *base_text_get(const base_text *text) {
  return text->bytes ? text->bytes : "";
}

pfl_status base_text_check(const base_text *text, pfl_error *error) {
  if (text->failed)
    PFL_RAISE(error, RESOURCE_EXHAUSTED,
              "no memory for a text of more than %zu bytes", text->length);
  return PFL_STATUS_OK;
}

void base_text_release(base_text *text) {
  base_release(&text->allocator, text->bytes);
  *text = (base_text){.allocator = text->allocator};
}

size_t base_utf8_length(const char *bytes, size_t size) {
  if (!size) return 0;
  const unsigned char *byte = (const unsigned char *)bytes;
  if (byte[0] < 0x80) return 1;
  size_t length = byte[0] < 0xc0   ? 0
                  : byte[0] < 0xe0 ? 2
                  : byte[0] < 0xf0 ? 3
                  : byte[0] < 0xf8 ? 4
                                   : 0;
  if (!length || length > size) return 0;
  unsigned code = byte[0] & (0x7fu >> length);
  for (size_t i = 1; i < length; i++) {
    if ((byte[i] & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte[i] & 0x3f);
  }
  static const unsigned least[] = {[2] = 0x80, [3] = 0x800, [4] = 0x10000};
  bool surrogate = code >= 0xd800 && code <= 0xdfff;
  return code >= least[length] && code <= 0x10ffff && !surrogate ? length : 0;
}

const char *base_quote(const char *bytes, size_t length,
                       char buffer[BASE_QUOTE_SIZE]) {
  size_t used = 0;
  buffer[used++] = '"';
  while (length && used + sizeof "\\xff\"..." <= BASE_QUOTE_SIZE) {
    size_t step = base_utf8_length(bytes, length);
    unsigned char first = (unsigned char)bytes[0];
    /* C0, DEL and, as two bytes of UTF-8, C1 */
    bool control =
        first < 0x20 || first == 0x7f ||
        (step == 2 && first == 0xc2 && (unsigned char)bytes[1] < 0xa0);
    if (!step || control) {
      step = 1;
      used += (size_t)sprintf(buffer + used, "\\x%02x", first);
    } else {
      memcpy(buffer + used, bytes, step);
      used += step;
    }
    bytes += step;
    length -= step;
  }
  strcpy(buffer + used, length ? "\"..." : "\"");
  return buffer;
}
