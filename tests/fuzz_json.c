/* Any bytes either are refused with an offset within them or are a document
 * that, written again, reads and writes the same. */
#include <string.h>

#include "base/json.h"
#include "fuzz.h"
#include "rewrite.h"

bool fuzz_accepted;
static const pfl_allocator heap;

static base_text write_document(const json_document *document, bool pretty) {
  base_text text = {0};
  json_writer writer = {.text = &text, .pretty = pretty};
  rewrite_value(&writer, document->root);
  FUZZ_NEED(!base_text_check(&text, NULL));
  return text;
}

static void need_found(const json_value *value) {
  for (const json_value *item = json_first(value); item; item = item->next) {
    if (value->type == JSON_OBJECT)
      FUZZ_NEED(json_object_get(value, item->key) == item);
    need_found(item);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  json_document first, second;
  pfl_error error = {PFL_STATUS_OK, ""};
  fuzz_accepted = !json_parse((const char *)bytes, size, &heap, &first, &error);
  if (!fuzz_accepted) {
    unsigned long long offset;
    FUZZ_NEED(!first.root && error.status == PFL_STATUS_INVALID_ARGUMENT);
    FUZZ_NEED(sscanf(error.message, "byte %llu: expected", &offset) == 1);
    FUZZ_NEED(offset <= size);
    return 0;
  }
  if (rewrite_possible(first.root)) {
    need_found(first.root);
    base_text pretty = write_document(&first, true);
    FUZZ_NEED(!json_parse(pretty.bytes, pretty.length, &heap, &second, &error));
    base_text one = write_document(&first, false);
    base_text other = write_document(&second, false);
    FUZZ_NEED(!strcmp(one.bytes, other.bytes));
    base_text_release(&pretty);
    base_text_release(&one);
    base_text_release(&other);
    json_release(&second);
  }
  json_release(&first);
  return 0;
}
