/* Small texts: put together, and the nearest of some names to a wrong one. */
#ifndef PFLASH_WORDS_H
#define PFLASH_WORDS_H

#include <stddef.h>

/* Adds to the string in `text`, of `size` bytes in all; cut where it does not
 * fit. */
__attribute__((format(printf, 3, 4))) void words_append(char *text, size_t size,
                                                        const char *format,
                                                        ...);

/* "did you mean": start with `word`, offer every name, and look at `best`. */
typedef struct word_suggestion {
  const char *word;
  const char *best; /* NULL: nothing near */
  int distance;
} word_suggestion;

/* Leading dashes do not count on either side. */
void suggest_offer(word_suggestion *suggestion, const char *name);

#endif
