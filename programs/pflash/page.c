#include "page.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

/* Man indents what it shows, and does not wrap code. */
enum { WIDTH = 80, CODE_WIDTH = 72, TERM_WIDTH = 24 };

/* Man reads '\' and a leading '.' or "'" as its own, and '-' as a hyphen;
 * Markdown reads a line that starts with a lone sign as part of a list. */
static void put_text(cli_page *page, const char *text, size_t length) {
  if (page->style == PAGE_MAN && !page->column && length && strchr(".'", *text))
    fputs("\\&", page->file);
  if (page->style == PAGE_MARKDOWN && !page->column && length == 1 &&
      strchr("-+*#", *text))
    fputc('\\', page->file);
  for (size_t i = 0; i < length; i++) {
    if (page->style == PAGE_MAN && strchr("-\\", text[i]))
      fputc('\\', page->file);
    if (page->style == PAGE_MAN && text[i] == '\\')
      fputc('e', page->file);
    else
      fputc(text[i], page->file);
  }
  page->column += (int)length;
}

static void put(cli_page *page, const char *text) {
  put_text(page, text, strlen(text));
}

static void end_line(cli_page *page) {
  fputc('\n', page->file);
  page->column = 0;
}

static void move_to(cli_page *page, int column) {
  while (page->column < column) {
    fputc(' ', page->file);
    page->column++;
  }
}

/* A word, on the next line if this one is full. */
static void put_word(cli_page *page, const char *word, size_t length) {
  if (page->column > page->indent) {
    if (page->column + 1 + (int)length > page->width)
      end_line(page);
    else
      move_to(page, page->column + 1);
  }
  move_to(page, page->indent);
  put_text(page, word, length);
}

static void put_words(cli_page *page, int indent, const char *text) {
  page->indent = indent;
  page->width = WIDTH;
  while (*text) {
    size_t length = strcspn(text, " ");
    put_word(page, text, length);
    text += length + strspn(text + length, " ");
  }
  end_line(page);
}

#define ORIGIN \
  "Written by test_cli.py --rewrite from the tables in programs/pflash."

void page_title(cli_page *page, const char *name, const char *summary) {
  switch (page->style) {
    case PAGE_MARKDOWN:
      fprintf(page->file, "<!-- " ORIGIN " -->\n# %s\n\n", name);
      put_words(page, 0, summary);
      break;
    case PAGE_MAN:
      fprintf(page->file, ".\\\" " ORIGIN "\n.TH \"%s\" 1\n.SH NAME\n%s \\- ",
              name, name);
      put_words(page, 0, summary);
      break;
    default: break;
  }
}

void page_heading(cli_page *page, int level, const char *title) {
  switch (page->style) {
    case PAGE_MARKDOWN:
      fprintf(page->file, "\n%s ", level == 1 ? "##" : "###");
      break;
    case PAGE_MAN: fputs(level == 1 ? ".SH " : ".SS ", page->file); break;
    default: end_line(page);
  }
  bool capitals = page->style == PAGE_MAN && level == 1;
  for (; *title; title++)
    fputc(capitals ? toupper((unsigned char)*title) : *title, page->file);
  end_line(page);
}

void page_paragraph(cli_page *page, const char *text) {
  if (page->style == PAGE_MAN)
    fputs(".PP\n", page->file);
  else
    end_line(page);
  put_words(page, 0, text);
}

void page_item(cli_page *page, const char *term, const char *text) {
  switch (page->style) {
    case PAGE_MARKDOWN:
      fprintf(page->file, "\n`%s`\\\n", term);
      put_words(page, 0, text);
      break;
    case PAGE_MAN:
      fputs(".TP\n.B \"", page->file);
      put(page, term);
      fputs("\"\n", page->file);
      page->column = 0;
      put_words(page, 0, text);
      break;
    default:
      move_to(page, 2);
      put(page, term);
      if (page->column + 2 > TERM_WIDTH) end_line(page);
      move_to(page, TERM_WIDTH);
      put_words(page, TERM_WIDTH, text);
  }
}

void page_code_begin(cli_page *page) {
  if (page->style == PAGE_MARKDOWN) fputs("\n```\n", page->file);
  if (page->style == PAGE_MAN) fputs(".PP\n.nf\n", page->file);
  page->indent = 0;
  page->width = CODE_WIDTH;
}

void page_code_word(cli_page *page, const char *word) {
  put_word(page, word, strlen(word));
  if (!page->indent) page->indent = page->column + 1;
}

void page_code_line(cli_page *page) {
  end_line(page);
  page->indent = 0;
}

void page_code_end(cli_page *page) {
  if (page->style == PAGE_MARKDOWN) fputs("```\n", page->file);
  if (page->style == PAGE_MAN) fputs(".fi\n", page->file);
}
