/* How a decode problem is laid out on the chips: what lies where, and how much
 * of it is in VMEM at a time. flash_decode.c draws the picture. */
#ifndef PFL_KERNELS_DECODE_PLAN_H
#define PFL_KERNELS_DECODE_PLAN_H

#include "kernels/tpu_program.h"

/* A token's row of K or V may be no multiple of the 128 lanes that memory goes
 * by: then `pack` tokens share them and stand side by side, or it has zeros
 * behind it, which D and Dv count. */
typedef struct decode_plan {
  int64_t B, Hkv, G, T, D, Dv, Smax;
  int64_t head_dim, v_head_dim; /* without zeros */
  pfl_dtype dtype, cache_dtype;
  double scale, softcap;
  int64_t left;     /* of the window, or ATTENTION_OPEN */
  bool scaled;      /* the cache is int8 */
  bool lse, sinks;  /* wanted, given */
  int64_t rows;     /* of a key-value head's queries: G T, row g T + t */
  int64_t pack;     /* tokens a row of the cache */
  int64_t rows_all; /* pack rows: a row's copy for each place in a cache row */
  int64_t width, v_width; /* pack D, pack Dv */
  bool integer;           /* Q K^T is of integers: Q in two int8 */
  int64_t q_low;          /* row of the low ones */
  bool q_made;            /* Q meets tiles in another form than it came in */
  bool q_ready;           /* all of it is made so at the beginning */
  int over;               /* chips that share the work */
  bool by_heads;      /* each has some key-value heads, which Hkv then counts */
  int chips;          /* that share tokens: 1, if heads are shared */
  int64_t page;       /* tokens of a page; 0: the cache is contiguous */
  int64_t pages;      /* of a sequence, on this chip: columns of its table */
  int64_t page_count; /* on this chip */
  int64_t unit;       /* tokens that go to a chip in turn, a power of two */
  int64_t local;      /* tokens of a sequence that a chip has room for */
  int64_t granule;    /* tokens that copies are a multiple of */
  int64_t tile;       /* tokens worked on at a time */
  int64_t ring;       /* tiles of K, and of V, in VMEM; a power of two */
  int64_t heads;      /* key-value heads worked on together: a job's */
  int64_t segment;    /* tokens whose scores are in VMEM at a time; 0: all */
  int64_t tiles;      /* that a sequence, or a segment, can have on a chip */
  int64_t entries;    /* sequences, or their segments */
  int64_t lag;        /* steps that a part may take to a neighbour */
  int64_t slots;      /* parts that are between chips, a power of two */
  bool eager;         /* the first tile is asked for before lengths are known */
  int64_t vmem_bytes; /* of all scratch, as padded */
} decode_plan;

/* How the cache lies, which goes by its sizes alone: all programs for a cache
 * agree on it. The rest of the plan is zero. */
PFL_NODISCARD pfl_status decode_plan_cache(const kernels_request *request,
                                           const kernels_chip *chip,
                                           decode_plan *out_plan,
                                           pfl_error *error);

/* INVALID_ARGUMENT names what is not supported, and what is near it. */
PFL_NODISCARD pfl_status decode_plan_make(const kernels_request *request,
                                          const kernels_chip *chip,
                                          decode_plan *out_plan,
                                          pfl_error *error);

/* Bytes of [count, rows, lanes] in VMEM, whose tiles are 8 words by 128. */
int64_t decode_vmem_bytes(int64_t count, int64_t rows, int64_t lanes,
                          int64_t size);

/* Lanes of scales that are in VMEM together: a job's, or a tile's of pages, of
 * which each takes 128 at least. */
int64_t decode_scale_lanes(const decode_plan *plan);

/* In words: why the chips share what they share. */
void decode_plan_sharing(const decode_plan *plan, base_text *words);

/* Tells the program of it. */
void decode_plan_describe(const decode_plan *plan,
                          const kernels_request *request,
                          kernels_program *program);

#endif
