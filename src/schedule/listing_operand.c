/* The kernel's operands: what the listing says of their shapes. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "schedule/listing_builder.h"

/* "[shape: bf16[8,256,128], index: 5, kind: input, ...]" */
static bool read_shape(const char *at, const char *end,
                       schedule_operand *operand) {
  char copy[192], kind[8] = "";
  long long index = -1;
  int used = 0;
  size_t length = (size_t)(end - at);
  if (length >= sizeof copy) length = sizeof copy - 1;
  memcpy(copy, at, length);
  copy[length] = 0;
  if (sscanf(copy, "[shape: %7[a-z0-9][%n", operand->type, &used) != 1 || !used)
    return false;
  const char *rest = copy + used;
  size_t digits = strspn(rest, "0123456789,");
  if (digits >= sizeof operand->shape) return false;
  memcpy(operand->shape, rest, digits);
  operand->shape[digits] = 0;
  if (sscanf(rest + digits, "], index: %lld, kind: %7[a-z]", &index, kind) != 2)
    return false;
  operand->index = index;
  operand->output = !strcmp(kind, "output");
  return index >= 0 && index < 4096;
}

/* Bytes of the shape, each of the last two dimensions rounded up to a tile's
 * 8 x 128; 0 if they are too many to count. */
static int64_t padded_bytes(const schedule_operand *operand) {
  int64_t sizes[16], count = 0, width = 4;
  const char *at = operand->shape;
  for (; *at && count < 16; at += *at == ',') {
    int64_t size = 0;
    while (*at >= '0' && *at <= '9' && size < INT32_MAX)
      size = 10 * size + (*at++ - '0');
    sizes[count++] = size;
    if (*at && *at != ',') return 0;
  }
  if (count > 0) sizes[count - 1] = base_round_up(sizes[count - 1], 128);
  if (count > 1) sizes[count - 2] = base_round_up(sizes[count - 2], 8);
  if (strstr(operand->type, "16")) width = 2;
  if (strstr(operand->type, "64")) width = 8;
  if (strstr(operand->type, "8") || !strcmp(operand->type, "pred")) width = 1;
  int64_t bytes;
  if (!base_product(sizes, (int)count, &bytes) ||
      !base_multiply(bytes, width, &bytes))
    return 0;
  return count ? bytes : 512;
}

/* "%s158_s0 = inlined_call_operand.hbm [shape: ...]" at `word`. */
static pfl_status add_operand(listing_builder *builder, const char *word,
                              const char *end) {
  static const char *const spaces[] = {[SCHEDULE_NOWHERE] = "<no memory space>",
                                       [SCHEDULE_HBM] = "hbm",
                                       [SCHEDULE_VMEM] = "vmem",
                                       [SCHEDULE_SMEM] = "smem",
                                       [SCHEDULE_SFLAG] = "sflag"};
  schedule_operand operand = {.space = SCHEDULE_SPACES};
  const char *text = builder->lexer.text, *start = word;
  while (start > text && start[-1] != '%' && word - start < 24) start--;
  uint32_t name = 0;
  int digits = 0;
  for (const char *c = start; c < word && *c != '_'; c++)
    if (*c >= '0' && *c <= '9' && digits++ < 8)
      name = 10 * name + (uint32_t)(*c - '0');
  word += strlen(" = inlined_call_operand.");
  for (int i = 0; i < SCHEDULE_SPACES; i++) {
    size_t length = strlen(spaces[i]);
    if ((size_t)(end - word) > length && !memcmp(word, spaces[i], length) &&
        word[length] == ' ') {
      operand.space = (schedule_space)i;
      word += length + 1;
    }
  }
  if (!digits || operand.space == SCHEDULE_SPACES ||
      name >= LISTING_NAMES_MAX || !read_shape(word, end, &operand))
    return listing_wrong(builder, "an operand of the kernel cannot be read");
  operand.bytes = padded_bytes(&operand);
  int64_t count = LISTING_COUNT(builder, OPERANDS, schedule_operand);
  if (count > 4000) return listing_wrong(builder, "too many operands");
  LISTING_ADD(builder, OPERANDS, operand);
  return listing_name_set(builder, name, (uint16_t)(16 + count));
}

/* Operands may be used before the listing defines them: a pass of its own. */
pfl_status listing_operands_find(listing_builder *builder) {
  static const char word[] = " = inlined_call_operand.";
  const char *at = builder->lexer.text, *end = at + builder->lexer.length;
  for (;;) {
    const char *hit = listing_find(at, (size_t)(end - at), word);
    if (!hit) return PFL_STATUS_OK;
    const char *line = memchr(hit, '\n', (size_t)(end - hit));
    PFL_TRY(add_operand(builder, hit, line ? line : end));
    at = hit + sizeof word - 1;
  }
}
