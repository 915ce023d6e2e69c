/* Bundles out of the text of a listing, comments sorted out. */
#ifndef PFL_SCHEDULE_LISTING_LEXER_H
#define PFL_SCHEDULE_LISTING_LEXER_H

#include <stdint.h>

#include "base/text.h"

/* A place in the kernel's source, out of a comment: loc("attention.py":21:16).
 */
typedef struct listing_place {
  const char *file; /* in the listing's text */
  size_t file_length;
  int32_t line;
} listing_place;

/* One bundle. Every list lives until the next one is asked for. */
typedef struct listing_bundle {
  int64_t number;   /* as the listing counts */
  base_text body;   /* the slots, each ended by a NUL: "%s4_s1 = smov.u32 7";
                       of the comments only argument names are left (size=...),
                       and @CALLEE before the HLO of a call */
  base_text starts; /* int64_t: the regions that start here */
  base_text places; /* listing_place */
  bool last;        /* the listing says that it ends here */
  bool fallthrough; /* a branch around predicated code comes here */
} listing_bundle;

typedef struct listing_lexer {
  const char *path; /* for messages */
  const char *text;
  size_t length, at;
  int64_t line; /* of `at`, from 1; kept where a bundle begins */
  listing_bundle bundle;
} listing_lexer;

/* Moves to the next bundle: *out_found is false where there is none.
 * INVALID_ARGUMENT: the text ends within one. */
PFL_NODISCARD pfl_status listing_next(listing_lexer *lexer, bool *out_found,
                                      pfl_error *error);

/* Where `word` first stands in the text; NULL if it does not. */
const char *listing_find(const char *text, size_t length, const char *word);

void listing_lexer_release(listing_lexer *lexer);

#endif
