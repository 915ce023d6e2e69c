/* One text in three looks: for a terminal, Markdown and man. Texts are ASCII;
 * a terminal's and Markdown's lines hold 80 columns. */
#ifndef PFLASH_PAGE_H
#define PFLASH_PAGE_H

#include <stdio.h>

/* X(NAME, name on the command line). */
#define PAGE_STYLE_LIST(X) \
  X(TEXT, "text")          \
  X(MARKDOWN, "markdown")  \
  X(MAN, "man")

typedef enum page_style {
  PAGE_NONE,
#define PAGE_ENUM(name, word) PAGE_##name,
  PAGE_STYLE_LIST(PAGE_ENUM)
#undef PAGE_ENUM
} page_style;

typedef struct cli_page {
  FILE *file;
  page_style style;
  int column; /* where the next character goes, from 0 */
  int indent; /* column at which a wrapped line goes on */
  int width;  /* columns of a line */
} cli_page;

/* The page's own name and one line on it; nothing in a terminal. */
void page_title(cli_page *page, const char *name, const char *summary);

/* level 1 is a section, 2 a part of one. */
void page_heading(cli_page *page, int level, const char *title);

void page_paragraph(cli_page *page, const char *text);

/* `term` explained by `text`. */
void page_item(cli_page *page, const char *term, const char *text);

/* Text to be typed or read as it is: the words go on one line until
 * page_code_line or the end, wrapped between words where they must. */
void page_code_begin(cli_page *page);
void page_code_word(cli_page *page, const char *word);
void page_code_line(cli_page *page);
void page_code_end(cli_page *page);

#endif
