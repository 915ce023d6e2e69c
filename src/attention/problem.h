/* The attention problem: a descriptor checked, with every default resolved,
 * and the geometry and cost that follow from it. */
#ifndef PFL_ATTENTION_PROBLEM_H
#define PFL_ATTENTION_PROBLEM_H

#include <stdbool.h>

#include "base/memory.h"
#include "base/status.h"
#include "pallas_flash/attention.h"

/* An open side of the window. Adding it to a position cannot overflow. */
#define ATTENTION_OPEN (INT64_MAX / 4)

/* Who sees whom: a query at position p sees keys p - left .. p + right, of
 * those that exist. Causal is right = 0. */
typedef struct attention_window {
  int64_t left, right; /* >= 0, or ATTENTION_OPEN */
} attention_window;

typedef struct attention_problem {
  int64_t B, Hq, Hkv, Sq, Sk, D, Dv;
  int64_t group;  /* Hq / Hkv, at least 1 */
  int64_t offset; /* query i stands at position i + offset = i + Sk - Sq */
  pfl_dtype dtype;
  double scale, softcap; /* softcap 0: none */
  attention_window window;
} attention_problem;

typedef struct attention_decode_problem {
  int64_t B, Hq, Hkv, T, D, Dv;
  int64_t group;
  int64_t Smax; /* tokens a sequence can have */
  bool paged;
  int64_t page_count, page_length, pages_per_sequence;
  pfl_dtype dtype, cache_dtype;
  double scale, softcap;
  attention_window window; /* right is 0 */
} attention_decode_problem;

/* Checks that a descriptor or argument struct is there and is of this version:
 * `known` bytes, or more of which the further ones are 0 (a newer header whose
 * new fields are at their defaults). Each of these structs begins with its
 * struct_size. `type` names it in messages. */
PFL_NODISCARD pfl_status attention_check_struct(const void *given, size_t known,
                                                const char *type,
                                                pfl_error *error);

/* Checks the descriptor. Afterwards the byte count of every tensor fits
 * int64_t, even with its sizes of 0 taken as 1 (so that products of some of
 * them fit as well), positions and lengths stay below ATTENTION_OPEN, and Hq
 * and Hkv are both 0 or neither. On failure *out_problem is untouched. */
PFL_NODISCARD pfl_status attention_problem_init(const pfl_attention *attention,
                                                attention_problem *out_problem,
                                                pfl_error *error);
PFL_NODISCARD pfl_status attention_decode_problem_init(
    const pfl_decode *decode, attention_decode_problem *out_problem,
    pfl_error *error);

/* Checks the pointers of a call against its problem: those needed are there (a
 * tensor without elements needs none), aligned to their element's size, and
 * those that come in pairs are paired. */
PFL_NODISCARD pfl_status
attention_check_forward(const attention_problem *problem,
                        const pfl_forward_args *args, pfl_error *error);
PFL_NODISCARD pfl_status
attention_check_backward(const attention_problem *problem,
                         const pfl_backward_args *args, pfl_error *error);
/* Also reads lengths and the block_table entries in use. */
PFL_NODISCARD pfl_status
attention_check_decode(const attention_decode_problem *problem,
                       const pfl_decode_args *args, pfl_error *error);

/* The same for one tensor of a call that has no problem of its own. */
PFL_NODISCARD pfl_status attention_check_tensor(const char *name,
                                                const void *data,
                                                size_t element_bytes,
                                                bool needed, pfl_error *error);

/* Half-open range of indices; empty when begin >= end. */
typedef struct attention_range {
  int64_t begin, end;
} attention_range;

/* Keys of 0 .. keys - 1 that a query at `position` sees. */
static inline attention_range attention_visible_keys(attention_window window,
                                                     int64_t position,
                                                     int64_t keys) {
  return (attention_range){base_max(0, position - window.left),
                           base_min(keys, position + window.right + 1)};
}

/* Positions that see `key`, of begin .. end - 1. */
static inline attention_range attention_seeing_positions(
    attention_window window, int64_t key, int64_t begin, int64_t end) {
  return (attention_range){base_max(begin, key - window.right),
                           base_min(end, key + window.left + 1)};
}

/* FLOPs by the field's convention: forward 4 B Hq Sq Sk D (D and Dv averaged
 * where they differ), halved when causal; backward 2.5 times that. A window
 * does not change it; attention_visible_pairs does. */
double attention_forward_flops(const attention_problem *problem);
double attention_backward_flops(const attention_problem *problem);

/* Query-key pairs of one head that the window lets through (segment ids
 * apart). */
double attention_visible_pairs(const attention_problem *problem);

/* Forward FLOPs of which something comes: by the field's convention where there
 * is no window, or only the causal one, and of the visible pairs otherwise. */
double attention_seen_flops(const attention_problem *problem);

/* Bytes of cache, scales included, that decode must read. `lengths` as in
 * pfl_decode_args. The window, if any, is left out of account. */
double attention_decode_bytes(const attention_decode_problem *problem,
                              const int32_t *lengths);

#endif
