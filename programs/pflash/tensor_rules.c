#include "tensor_rules.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/dtype.h"
#include "base/memory.h"
#include "base/text.h"
#include "words.h"

#define BIT(form) (1u << FORM_##form)
#define ALL (BIT(FORWARD) | BIT(BACKWARD) | BIT(DECODE) | BIT(PAGED))
#define WHOLE (BIT(FORWARD) | BIT(BACKWARD))
#define STEP (BIT(DECODE) | BIT(PAGED))
#define SHAPE2(a, b) \
  { SIZE_##a, SIZE_##b }
#define SHAPE3(a, b, c) \
  { SIZE_##a, SIZE_##b, SIZE_##c }
#define SHAPE4(a, b, c, d) \
  { SIZE_##a, SIZE_##b, SIZE_##c, SIZE_##d }

/* A size is bound in this order, so q comes first, then the keys. */
const tensor_rule tensor_rules[] = {
    {WHOLE, "q", USE_NEEDED, ELEMENT_FIRST, SHAPE4(B, Hq, Sq, D)},
    {WHOLE, "k", USE_NEEDED, ELEMENT_SAME, SHAPE4(B, Hkv, Sk, D)},
    {WHOLE, "v", USE_NEEDED, ELEMENT_SAME, SHAPE4(B, Hkv, Sk, Dv)},
    {BIT(BACKWARD), "do", USE_NEEDED, ELEMENT_SAME, SHAPE4(B, Hq, Sq, Dv),
     .help = "The gradient of o."},
    {BIT(BACKWARD), "o", USE_OPTIONAL, ELEMENT_SAME, SHAPE4(B, Hq, Sq, Dv),
     .with = "lse",
     .help = "As forward wrote it; without it, forward is computed first."},
    {BIT(BACKWARD), "lse", USE_OPTIONAL, ELEMENT_F32, SHAPE3(B, Hq, Sq),
     .with = "o", .help = "As forward wrote it."},
    {WHOLE, "q_segment_ids", USE_OPTIONAL, ELEMENT_I32, SHAPE2(B, Sq),
     .with = "kv_segment_ids",
     .help = "A query sees the keys of its own segment only."},
    {WHOLE, "kv_segment_ids", USE_OPTIONAL, ELEMENT_I32, SHAPE2(B, Sk),
     .with = "q_segment_ids"},

    {STEP, "q", USE_NEEDED, ELEMENT_FIRST, SHAPE4(B, Hq, T, D)},
    {BIT(DECODE), "k", USE_NEEDED, ELEMENT_CACHE, SHAPE4(B, Hkv, Smax, D)},
    {BIT(DECODE), "v", USE_NEEDED, ELEMENT_SAME_CACHE,
     SHAPE4(B, Hkv, Smax, Dv)},
    {BIT(DECODE), "k_scale", USE_I8, ELEMENT_F32, SHAPE3(B, Hkv, Smax),
     .help = "A key is its scale times its integers."},
    {BIT(DECODE), "v_scale", USE_I8, ELEMENT_F32, SHAPE3(B, Hkv, Smax)},
    {BIT(DECODE),
     "lengths",
     USE_OPTIONAL,
     ELEMENT_I32,
     {SIZE_B},
     .help = "Tokens in each cache, the T new ones included; without it, every "
             "cache is full."},
    {BIT(PAGED), "k_pages", USE_NEEDED, ELEMENT_CACHE, SHAPE4(N, Hkv, page, D)},
    {BIT(PAGED), "v_pages", USE_NEEDED, ELEMENT_SAME_CACHE,
     SHAPE4(N, Hkv, page, Dv)},
    {BIT(PAGED), "k_scale", USE_I8, ELEMENT_F32, SHAPE3(N, Hkv, page),
     .help = "A key is its scale times its integers."},
    {BIT(PAGED), "v_scale", USE_I8, ELEMENT_F32, SHAPE3(N, Hkv, page)},
    {BIT(PAGED), "block_table", USE_NEEDED, ELEMENT_I32, SHAPE2(B, pages),
     .help = "The page that holds tokens i * page and on of each sequence; "
             "entries past its length are not read."},
    {BIT(PAGED),
     "lengths",
     USE_NEEDED,
     ELEMENT_I32,
     {SIZE_B},
     .help = "Tokens in each cache, the T new ones included."},

    {ALL,
     "sinks",
     USE_OPTIONAL,
     ELEMENT_FLOAT,
     {SIZE_Hq},
     .help = "A score that each head adds to the softmax's denominator."},

    {BIT(FORWARD), "o", USE_OUTPUT, ELEMENT_SAME, SHAPE4(B, Hq, Sq, Dv)},
    {BIT(FORWARD), "lse", USE_OUTPUT, ELEMENT_F32, SHAPE3(B, Hq, Sq),
     .help = "The natural logarithm of the softmax's denominator."},
    {BIT(BACKWARD), "dq", USE_OUTPUT, ELEMENT_SAME, SHAPE4(B, Hq, Sq, D)},
    {BIT(BACKWARD), "dk", USE_OUTPUT, ELEMENT_SAME, SHAPE4(B, Hkv, Sk, D)},
    {BIT(BACKWARD), "dv", USE_OUTPUT, ELEMENT_SAME, SHAPE4(B, Hkv, Sk, Dv)},
    {BIT(BACKWARD),
     "dsinks",
     USE_OUTPUT,
     ELEMENT_F32,
     {SIZE_Hq},
     .with = "sinks"},
    {STEP, "o", USE_OUTPUT, ELEMENT_SAME, SHAPE4(B, Hq, T, Dv)},
    {STEP, "lse", USE_OUTPUT, ELEMENT_F32, SHAPE3(B, Hq, T),
     .help = "The natural logarithm of the softmax's denominator."},
};
const int tensor_rule_count = sizeof tensor_rules / sizeof *tensor_rules;

static const struct {
  const char *name, *text;
  int64_t least, most;
} size_rules[] = {[SIZE_NONE] = {"", "", 0, 0},
#define SIZE_ROW(name, least, most, what) \
  [SIZE_##name] = {#name, what, least, most},
                  SIZE_LIST(SIZE_ROW)
#undef SIZE_ROW
};

const char *tensor_size_name(tensor_size which) {
  return size_rules[which].name;
}

const char *tensor_size_text(tensor_size which) {
  return size_rules[which].text;
}

const char *tensor_element_text(tensor_element element) {
#define TEXT(name, what) what,
  static const char *const texts[] = {ELEMENT_LIST(TEXT)};
  return texts[element];
}

const char *tensor_form_text(tensor_form form) {
  static const char *const texts[] = {FORM_LIST(TEXT)};
#undef TEXT
  return texts[form];
}

static int rule_rank(const tensor_rule *rule) {
  int rank = 0;
  while (rank < TENSOR_RANK_MAX && rule->shape[rank]) rank++;
  return rank;
}

void tensor_rule_shape(const tensor_rule *rule, char *out_text, size_t size) {
  snprintf(out_text, size, "[");
  for (int i = 0; i < rule_rank(rule); i++)
    words_append(out_text, size, "%s%s", i ? ", " : "",
                 tensor_size_name(rule->shape[i]));
  words_append(out_text, size, "]");
}

void tensor_describe(const safetensors_tensor *tensor, char *out_text,
                     size_t size) {
  snprintf(out_text, size, "%s [", tensor->dtype_name);
  for (int i = 0; i < tensor->rank; i++)
    words_append(out_text, size, "%s%" PRId64, i ? ", " : "", tensor->shape[i]);
  words_append(out_text, size, "]");
}

/* Where a check stands: what is bound, and by which tensor. */
typedef struct tensor_check {
  const safetensors_file *file;
  tensor_set *set;
  const char *bound_by[SIZE_COUNT];
  pfl_error *error;
} tensor_check;

/* Raises: the tensor, what it is, and what `must_be` says. */
static pfl_status raise_tensor(const tensor_check *check,
                               const safetensors_tensor *tensor,
                               const char *must_be) {
  char described[256];
  tensor_describe(tensor, described, sizeof described);
  PFL_RAISE(check->error, INVALID_ARGUMENT, "tensor \"%s\" is %s: must be %s",
            tensor->name, described, must_be);
}

static bool is_float(pfl_dtype dtype) {
  return dtype == PFL_DTYPE_F32 || dtype == PFL_DTYPE_BF16 ||
         dtype == PFL_DTYPE_F16;
}

static bool element_fits(const tensor_set *set, tensor_element element,
                         pfl_dtype dtype) {
  switch (element) {
    case ELEMENT_FIRST:
    case ELEMENT_FLOAT: return is_float(dtype);
    case ELEMENT_SAME: return dtype == set->dtype;
    case ELEMENT_CACHE: return dtype == set->dtype || dtype == PFL_DTYPE_I8;
    case ELEMENT_SAME_CACHE: return dtype == set->cache_dtype;
    case ELEMENT_F32: return dtype == PFL_DTYPE_F32;
    case ELEMENT_I32: return dtype == PFL_DTYPE_I32;
  }
  return false;
}

static void describe_element(const tensor_set *set, tensor_element element,
                             char *out_text, size_t size) {
  const char *same = base_dtype_file_name(set->dtype);
  const char *same_cache = base_dtype_file_name(set->cache_dtype);
  switch (element) {
    case ELEMENT_SAME: snprintf(out_text, size, "%s, as q is", same); break;
    case ELEMENT_CACHE:
      snprintf(out_text, size, "%s, as q is, or I8", same);
      break;
    case ELEMENT_SAME_CACHE:
      snprintf(out_text, size, "%s, as the keys are", same_cache);
      break;
    default: snprintf(out_text, size, "%s", tensor_element_text(element));
  }
}

static pfl_status check_element(tensor_check *check, const tensor_rule *rule,
                                const safetensors_tensor *tensor) {
  tensor_set *set = check->set;
  if (!element_fits(set, rule->element, tensor->dtype)) {
    char must_be[64];
    describe_element(set, rule->element, must_be, sizeof must_be);
    return raise_tensor(check, tensor, must_be);
  }
  if (rule->element == ELEMENT_FIRST) set->dtype = tensor->dtype;
  if (rule->element == ELEMENT_CACHE) set->cache_dtype = tensor->dtype;
  return PFL_STATUS_OK;
}

/* One of the tensor's sizes, bound or compared. */
static pfl_status check_size(tensor_check *check, const tensor_rule *rule,
                             const safetensors_tensor *tensor, int axis) {
  tensor_size which = rule->shape[axis];
  int64_t size = tensor->shape[axis], *bound = &check->set->sizes[which];
  int64_t least = size_rules[which].least, most = size_rules[which].most;
  char shape[64], must_be[192];
  tensor_rule_shape(rule, shape, sizeof shape);
  if (!check->bound_by[which]) {
    check->bound_by[which] = rule->name;
    *bound = size;
  }
  if (size != *bound)
    snprintf(must_be, sizeof must_be, "%s with %s = %" PRId64 ", as in %s",
             shape, tensor_size_name(which), *bound, check->bound_by[which]);
  else if (size >= least && size <= most)
    return PFL_STATUS_OK;
  else if (most == INT64_MAX)
    snprintf(must_be, sizeof must_be, "%s with %s at least %" PRId64, shape,
             tensor_size_name(which), least);
  else
    snprintf(must_be, sizeof must_be, "%s with %s from %" PRId64 " to %" PRId64,
             shape, tensor_size_name(which), least, most);
  return raise_tensor(check, tensor, must_be);
}

static pfl_status check_shape(tensor_check *check, const tensor_rule *rule,
                              const safetensors_tensor *tensor) {
  if (tensor->rank != rule_rank(rule)) {
    char shape[64];
    tensor_rule_shape(rule, shape, sizeof shape);
    return raise_tensor(check, tensor, shape);
  }
  for (int axis = 0; axis < tensor->rank; axis++)
    PFL_TRY(check_size(check, rule, tensor, axis));
  return PFL_STATUS_OK;
}

/* GQA: as soon as both numbers of heads are known, so that the message comes
 * before those of the tensors that follow from them. */
static pfl_status check_heads(const tensor_check *check) {
  int64_t Hq = check->set->sizes[SIZE_Hq], Hkv = check->set->sizes[SIZE_Hkv];
  if (Hkv ? Hq % Hkv == 0 : Hq == 0) return PFL_STATUS_OK;
  PFL_RAISE(check->error, INVALID_ARGUMENT,
            "tensor \"%s\" has %" PRId64 " heads and \"%s\" has %" PRId64
            ": Hq, of q, must be a multiple of Hkv",
            check->bound_by[SIZE_Hq], Hq, check->bound_by[SIZE_Hkv], Hkv);
}

/* Whether the rule's tensor must be there, may be, or must not. */
static pfl_status check_presence(const tensor_check *check,
                                 const tensor_rule *rule, bool present) {
  const char *form = tensor_form_text(check->set->form);
  bool other = rule->with && safetensors_find(check->file, rule->with);
  bool scaled = check->set->cache_dtype == PFL_DTYPE_I8;
  if (!present && rule->use == USE_NEEDED)
    PFL_RAISE(check->error, INVALID_ARGUMENT,
              "tensor \"%s\" is missing: %s needs it", rule->name, form);
  if (!present && rule->use == USE_I8 && scaled)
    PFL_RAISE(check->error, INVALID_ARGUMENT,
              "tensor \"%s\" is missing: an I8 cache needs it", rule->name);
  if (present && rule->use == USE_I8 && !scaled)
    PFL_RAISE(check->error, INVALID_ARGUMENT,
              "tensor \"%s\" is given and the cache is %s: it must be I8, or "
              "\"%s\" left out",
              rule->name, base_dtype_file_name(check->set->cache_dtype),
              rule->name);
  if (!present && other)
    PFL_RAISE(check->error, INVALID_ARGUMENT,
              "tensor \"%s\" is missing and \"%s\" is given: both must be, or "
              "neither",
              rule->name, rule->with);
  return PFL_STATUS_OK;
}

static pfl_status check_rule(tensor_check *check, const tensor_rule *rule) {
  const safetensors_tensor *tensor = safetensors_find(check->file, rule->name);
  PFL_TRY(check_presence(check, rule, tensor));
  if (!tensor) return PFL_STATUS_OK;
  PFL_TRY(check_element(check, rule, tensor));
  PFL_TRY(check_shape(check, rule, tensor));
  if (check->bound_by[SIZE_Hq] && check->bound_by[SIZE_Hkv])
    PFL_TRY(check_heads(check));
  return PFL_STATUS_OK;
}

static bool is_input(const tensor_rule *rule, tensor_form form) {
  return rule->use != USE_OUTPUT && tensor_rule_is_for(rule, form);
}

static pfl_status raise_extra(const tensor_check *check, const char *name) {
  word_suggestion near = {.word = name};
  char all[160] = "", quote[BASE_QUOTE_SIZE];
  tensor_form form = check->set->form;
  for (int i = 0; i < tensor_rule_count; i++) {
    if (!is_input(&tensor_rules[i], form)) continue;
    suggest_offer(&near, tensor_rules[i].name);
    words_append(all, sizeof all, "%s%s", *all ? ", " : "",
                 tensor_rules[i].name);
  }
  base_quote(name, strlen(name), quote);
  if (near.best)
    PFL_RAISE(check->error, INVALID_ARGUMENT,
              "tensor %s is none that %s reads: did you mean \"%s\"?", quote,
              tensor_form_text(form), near.best);
  PFL_RAISE(check->error, INVALID_ARGUMENT,
            "tensor %s is none that %s reads: must be one of %s", quote,
            tensor_form_text(form), all);
}

static pfl_status check_extra(const tensor_check *check) {
  for (int64_t t = 0; t < check->file->count; t++) {
    const char *name = check->file->tensors[t].name;
    bool known = false;
    for (int i = 0; i < tensor_rule_count && !known; i++)
      known = is_input(&tensor_rules[i], check->set->form) &&
              !strcmp(name, tensor_rules[i].name);
    if (!known) return raise_extra(check, name);
  }
  return PFL_STATUS_OK;
}

static tensor_form find_form(const safetensors_file *file, op which) {
  if (which == OP_FORWARD) return FORM_FORWARD;
  if (which == OP_BACKWARD) return FORM_BACKWARD;
  bool paged = safetensors_find(file, "k_pages") ||
               safetensors_find(file, "v_pages") ||
               safetensors_find(file, "block_table");
  return paged ? FORM_PAGED : FORM_DECODE;
}

pfl_status cli_tensors_check(const safetensors_file *file, op which,
                             tensor_set *out_set, pfl_error *error) {
  tensor_check check = {.file = file, .set = out_set, .error = error};
  *out_set = (tensor_set){.form = find_form(file, which)};
  PFL_TRY(check_extra(&check));
  for (int i = 0; i < tensor_rule_count; i++)
    if (is_input(&tensor_rules[i], out_set->form))
      PFL_TRY(check_rule(&check, &tensor_rules[i]));
  return PFL_STATUS_OK;
}

static pfl_status make_output(const tensor_set *set, const tensor_rule *rule,
                              safetensors_tensor *out_tensor,
                              pfl_error *error) {
  pfl_allocator allocator = {0};
  safetensors_tensor tensor = {.name = rule->name, .rank = rule_rank(rule)};
  tensor.dtype = rule->element == ELEMENT_F32 ? PFL_DTYPE_F32 : set->dtype;
  snprintf(tensor.dtype_name, sizeof tensor.dtype_name, "%s",
           base_dtype_file_name(tensor.dtype));
  for (int i = 0; i < tensor.rank; i++)
    tensor.shape[i] = set->sizes[rule->shape[i]];
  if (base_product(tensor.shape, tensor.rank, &tensor.bytes) &&
      base_multiply(tensor.bytes, (int64_t)pfl_dtype_size(tensor.dtype),
                    &tensor.bytes))
    tensor.data = base_allocate(&allocator, (size_t)tensor.bytes);
  if (!tensor.data) {
    char described[256];
    tensor_describe(&tensor, described, sizeof described);
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for tensor \"%s\", %s",
              rule->name, described);
  }
  *out_tensor = tensor;
  return PFL_STATUS_OK;
}

pfl_status cli_tensors_make_outputs(const tensor_set *set,
                                    const safetensors_file *file,
                                    safetensors_tensor *out_outputs,
                                    int *out_count, pfl_error *error) {
  int count = 0;
  *out_count = 0;
  for (int i = 0; i < tensor_rule_count; i++) {
    const tensor_rule *rule = &tensor_rules[i];
    if (rule->use != USE_OUTPUT || !tensor_rule_is_for(rule, set->form))
      continue;
    if (rule->with && !safetensors_find(file, rule->with)) continue;
    pfl_status status = make_output(set, rule, &out_outputs[count], error);
    if (status) {
      cli_tensors_release(out_outputs, count);
      return status;
    }
    count++;
  }
  *out_count = count;
  return PFL_STATUS_OK;
}

void cli_tensors_release(safetensors_tensor *tensors, int count) {
  pfl_allocator allocator = {0};
  for (int i = 0; i < count; i++) base_release(&allocator, tensors[i].data);
}
