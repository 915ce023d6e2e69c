/* Reading the text of a module: what the parser's files share. */
#ifndef PFL_MOSAIC_IR_LEXER_H
#define PFL_MOSAIC_IR_LEXER_H

#include "mosaic/ir.h"

typedef struct mo_lexer {
  const char *text;
  size_t length, at;
  mo_module *module;
  int depth; /* of types and attributes within each other */
  pfl_error *error;
} mo_lexer;

/* Raises: line, column, what was expected, what was found. */
pfl_status mo_expected(const mo_lexer *lexer, const char *what);
/* Raises: line, column, and what is wrong there. */
pfl_status mo_wrong(const mo_lexer *lexer, size_t at, const char *what,
                    const char *word, size_t length);
pfl_status mo_out_of_memory(const mo_lexer *lexer);

void mo_skip_space(mo_lexer *lexer); /* and comments */

/* The next byte after white space; 0 at the end. */
char mo_peek(mo_lexer *lexer);

/* Takes `string`, after white space, if it comes next. */
bool mo_take(mo_lexer *lexer, const char *string);
/* The same for a word, which must end there. */
bool mo_take_word(mo_lexer *lexer, const char *word);
PFL_NODISCARD pfl_status mo_need(mo_lexer *lexer, const char *string);

/* A word of letters, digits, _ $ . and -; its length, 0 if there is none. */
size_t mo_word_length(mo_lexer *lexer);

/* What stands between quotes, as it stands there. */
PFL_NODISCARD pfl_status mo_read_string(mo_lexer *lexer, const char **out,
                                        size_t *out_length);

/* A decimal integer that fits. */
PFL_NODISCARD pfl_status mo_read_integer(mo_lexer *lexer, int64_t *out);

/* Everything up to a , ) ] } > or = that is not within brackets or quotes, or
 * to white space; at least one byte. */
PFL_NODISCARD pfl_status mo_read_balanced(mo_lexer *lexer, const char *what,
                                          const char **out, size_t *out_length);

PFL_NODISCARD pfl_status mo_read_type(mo_lexer *lexer, const mo_type **out);

/* (a, b) -> c into a function type. */
PFL_NODISCARD pfl_status mo_read_function_type(mo_lexer *lexer,
                                               const mo_type **out);

PFL_NODISCARD pfl_status mo_read_attr(mo_lexer *lexer, const mo_attr **out);

/* {name = attr, ...}; the names are copied. */
PFL_NODISCARD pfl_status mo_read_attrs(mo_lexer *lexer, mo_op *into);

#endif
