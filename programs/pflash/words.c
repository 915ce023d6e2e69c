#include "words.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void words_append(char *text, size_t size, const char *format, ...) {
  size_t used = strlen(text);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text + used, size - used, format, arguments);
  va_end(arguments);
}

enum { LENGTH_MAX = 32 };

static int least(int a, int b) { return a < b ? a : b; }

/* Letters to insert, drop, replace or swap with the next to make b of a (the
 * restricted Damerau-Levenshtein distance). */
static int distance(const char *a, const char *b) {
  int d[LENGTH_MAX + 1][LENGTH_MAX + 1]; /* d[i][j]: from a[0..i) to b[0..j) */
  int rows = (int)strlen(a), columns = (int)strlen(b);
  for (int i = 0; i <= rows; i++) {
    for (int j = 0; j <= columns; j++) {
      d[i][j] = i + j;
      if (!i || !j) continue;
      d[i][j] = least(d[i - 1][j - 1] + (a[i - 1] != b[j - 1]),
                      1 + least(d[i - 1][j], d[i][j - 1]));
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = least(d[i][j], 1 + d[i - 2][j - 2]);
    }
  }
  return d[rows][columns];
}

static const char *skip_dashes(const char *name) {
  return name + strspn(name, "-");
}

void suggest_offer(word_suggestion *suggestion, const char *name) {
  const char *word = skip_dashes(suggestion->word);
  const char *candidate = skip_dashes(name);
  size_t length = strlen(word);
  if (!length || length > LENGTH_MAX || strlen(candidate) > LENGTH_MAX) return;
  int found = distance(word, candidate);
  /* a name's start is near to it; a word that shares no letter never is */
  if (!strncmp(word, candidate, length))
    found = least(found, 1);
  else if (found >= (int)length || found > 1 + (int)length / 4)
    return;
  if (suggestion->best && found >= suggestion->distance) return;
  suggestion->best = name;
  suggestion->distance = found;
}
