/* The tensors of each op: one table, which the check of an input file, the
 * making of the outputs, --help and the manual read. */
#ifndef PFLASH_TENSOR_RULES_H
#define PFLASH_TENSOR_RULES_H

#include "base/safetensors.h"
#include "options.h"
#include "pallas_flash/attention.h"

/* X(NAME, least, most, what it counts). A size is bound by the first tensor
 * that has it, and the others must agree. */
#define SIZE_LIST(X)                                             \
  X(B, 0, INT64_MAX, "batch")                                    \
  X(Hq, 0, INT64_MAX, "query heads, a multiple of Hkv")          \
  X(Hkv, 0, INT64_MAX, "key and value heads")                    \
  X(Sq, 0, INT64_MAX, "queries")                                 \
  X(Sk, 0, INT64_MAX, "keys")                                    \
  X(T, 1, INT64_MAX, "new positions, the last of each sequence") \
  X(Smax, 1, INT64_MAX, "tokens a sequence has room for")        \
  X(N, 0, INT64_MAX, "pages in all")                             \
  X(page, 1, INT64_MAX, "tokens a page holds")                   \
  X(pages, 0, INT64_MAX, "pages a sequence has room for")        \
  X(D, 1, PFL_HEAD_DIM_MAX, "numbers a query or key")            \
  X(Dv, 1, PFL_HEAD_DIM_MAX, "numbers a value")

typedef enum tensor_size {
  SIZE_NONE,
#define SIZE_ENUM(name, least, most, what) SIZE_##name,
  SIZE_LIST(SIZE_ENUM)
#undef SIZE_ENUM
      SIZE_COUNT
} tensor_size;

/* X(NAME, what a file must hold). Decode's two kinds of cache are two forms. */
#define FORM_LIST(X)      \
  X(FORWARD, "forward")   \
  X(BACKWARD, "backward") \
  X(DECODE, "decode")     \
  X(PAGED, "paged decode")

typedef enum tensor_form {
#define FORM_ENUM(name, what) FORM_##name,
  FORM_LIST(FORM_ENUM)
#undef FORM_ENUM
      FORM_COUNT
} tensor_form;

/* X(NAME, what the element type must be, for help). */
#define ELEMENT_LIST(X)          \
  X(FIRST, "F32, BF16 or F16")   \
  X(SAME, "Like q")              \
  X(CACHE, "Like q, or I8")      \
  X(SAME_CACHE, "Like the keys") \
  X(FLOAT, "F32, BF16 or F16")   \
  X(F32, "F32")                  \
  X(I32, "I32")

typedef enum tensor_element {
#define ELEMENT_ENUM(name, what) ELEMENT_##name,
  ELEMENT_LIST(ELEMENT_ENUM)
#undef ELEMENT_ENUM
} tensor_element;

typedef enum tensor_use {
  USE_NEEDED,
  USE_OPTIONAL,
  USE_I8, /* needed when the cache is I8, and not allowed otherwise */
  USE_OUTPUT
} tensor_use;

enum { TENSOR_RANK_MAX = 4, TENSOR_OUTPUTS_MAX = 4 };

/* A row of the table. */
typedef struct tensor_rule {
  unsigned forms; /* bits 1 << FORM_... */
  const char *name;
  tensor_use use;
  tensor_element element;
  tensor_size shape[TENSOR_RANK_MAX]; /* up to NONE */
  const char
      *with; /* it is there if, and only if, this other one is; or NULL */
  const char *help; /* or NULL */
} tensor_rule;

extern const tensor_rule tensor_rules[];
extern const int tensor_rule_count;

static inline bool tensor_rule_is_for(const tensor_rule *rule,
                                      tensor_form form) {
  return rule->forms >> form & 1;
}

/* "[B, Hq, Sq, D]" */
void tensor_rule_shape(const tensor_rule *rule, char *out_text, size_t size);
const char *tensor_element_text(tensor_element element);
const char *tensor_form_text(tensor_form form);
const char *tensor_size_name(tensor_size which);
const char *tensor_size_text(tensor_size which);

/* What a file that fits its form says. */
typedef struct tensor_set {
  tensor_form form;
  pfl_dtype dtype, cache_dtype; /* cache_dtype: decode only */
  int64_t sizes[SIZE_COUNT];    /* by tensor_size */
} tensor_set;

/* Holds `file` against the rules of `which`. INVALID_ARGUMENT names the tensor,
 * what it is and what it must be. */
PFL_NODISCARD pfl_status cli_tensors_check(const safetensors_file *file,
                                           op which, tensor_set *out_set,
                                           pfl_error *error);

/* The tensors that the form writes for `file`, in out_outputs (of
 * TENSOR_OUTPUTS_MAX); on failure none. cli_tensors_release gives them back. */
PFL_NODISCARD pfl_status cli_tensors_make_outputs(
    const tensor_set *set, const safetensors_file *file,
    safetensors_tensor *out_outputs, int *out_count, pfl_error *error);
void cli_tensors_release(safetensors_tensor *tensors, int count);

/* "bf16 [1, 8, 64, 128]" */
void tensor_describe(const safetensors_tensor *tensor, char *out_text,
                     size_t size);

#endif
