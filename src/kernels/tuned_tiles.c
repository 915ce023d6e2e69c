#include "kernels/tuned_tiles.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char built_in[] = "\n"
#include "kernels/tuned_rows.inc"
    ;

/* ---- Keys ---------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void add(char *key,
                                                      const char *format, ...) {
  size_t used = strlen(key);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(key + used, KERNELS_TUNED_KEY - used, format, arguments);
  va_end(arguments);
}

static void add_window(char *key, attention_window window) {
  bool left = window.left != ATTENTION_OPEN;
  if (!left && window.right == ATTENTION_OPEN)
    add(key, " full");
  else if (!left && window.right == 0)
    add(key, " causal");
  else
    add(key, " window=%lld,%lld", (long long)(left ? window.left : -1),
        (long long)(window.right == ATTENTION_OPEN ? -1 : window.right));
}

static void add_decode(char *key, const attention_decode_problem *p,
                       int chips) {
  add(key, " chips=%d %s cache=%s", chips ? chips : 1, pfl_dtype_name(p->dtype),
      pfl_dtype_name(p->cache_dtype));
  add_window(key, p->window);
  add(key, " Hkv=%lld G=%lld T=%lld Smax=%lld D=%lld Dv=%lld",
      (long long)p->Hkv, (long long)p->group, (long long)p->T,
      (long long)p->Smax, (long long)p->D, (long long)p->Dv);
  if (p->page_length) add(key, " page=%lld", (long long)p->page_length);
}

void kernels_tuned_key(const kernels_request *request,
                       char out_key[KERNELS_TUNED_KEY]) {
  static const char *const ops[] = {
#define OP_WORD(name, word) [KERNELS_##name] = word,
      KERNELS_OP_LIST(OP_WORD)
#undef OP_WORD
  };
  *out_key = 0;
  add(out_key, "%s %.*s", ops[request->op], (int)strcspn(request->target, ":"),
      request->target);
  if (request->op == KERNELS_DECODE || request->op == KERNELS_APPEND) {
    add_decode(out_key, request->decode, request->chips);
    return;
  }
  const attention_problem *p = request->problem;
  add(out_key, " %s", pfl_dtype_name(p->dtype));
  add_window(out_key, p->window);
  if (request->segment_ids) add(out_key, " segments");
  if (p->softcap != 0) add(out_key, " softcap");
  add(out_key, " Sq=%lld Sk=%lld D=%lld Dv=%lld", (long long)p->Sq,
      (long long)p->Sk, (long long)p->D, (long long)p->Dv);
}

/* ---- Rows ---------------------------------------------------------------- */

/* "block_q=1024 block_k=512 :": false if it is anything else. */
static bool read_tiles(const char *text, kernels_tuned *out) {
  out->count = 0;
  for (text += strspn(text, " "); *text != ':'; text += strspn(text, " ")) {
    size_t length = strcspn(text, "= :\n");
    if (out->count == KERNELS_TILES_MAX || text[length] != '=' || !length ||
        length >= sizeof *out->names)
      return false;
    char *name = out->names[out->count], *end;
    memcpy(name, text, length);
    name[length] = 0;
    long long value = strtoll(text + length + 1, &end, 10);
    if (end == text + length + 1 || value < 1) return false;
    out->tiles[out->count++] = (kernels_tile){name, value};
    text = end;
  }
  return out->count > 0;
}

static bool find_row(const char *table, const char *key, kernels_tuned *out) {
  size_t length = strlen(key);
  for (const char *line = table; line; line = strchr(line, '\n')) {
    line += strspn(line, " \t\r\n\"");
    if (!*line) break;
    if (!strncmp(line, key, length) && !strncmp(line + length, " : ", 3))
      return read_tiles(line + length + 3, out);
  }
  return false;
}

bool kernels_tuned_find(const kernels_request *request, const char *table,
                        kernels_tuned *out) {
  char key[KERNELS_TUNED_KEY];
  kernels_tuned_key(request, key);
  return (table && find_row(table, key, out)) || find_row(built_in, key, out);
}
