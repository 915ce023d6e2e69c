/* Decode calls on the simulated slice, one chip or four: against the fp64
 * reference within the bounds of docs/numerics.md, on hostile chips whose DMAs
 * come as early or late as they may, with everything beyond a sequence's length
 * spoilt. */
#ifndef PFL_TESTS_SLICE_CASE_H
#define PFL_TESTS_SLICE_CASE_H

#include "decode_case.h"
#include "device/pages.h"
#include "kernel_case.h"

static const pfl_allocator slice_heap;

/* What the problem and the kernel's tiles are drawn from. */
typedef struct slice_case {
  decode_case call;
  int chips;
  kernels_tile tiles[4];
  int tile_count;
  bool no_lse;
} slice_case;

static inline int slice_tensors(const decode_case *c, device_tensor *out) {
  const attention_decode_problem *p = &c->problem;
  int64_t tokens = p->paged ? p->page_length : p->Smax;
  int64_t rows = p->paged ? p->page_count : p->B;
  const device_tensor all[] = {
      {"lengths", PFL_DTYPE_I32, 1, {p->B}, c->lengths},
      {"q", p->dtype, 4, {p->B, p->Hq, p->T, p->D}, c->q},
      {"k", p->cache_dtype, 4, {rows, p->Hkv, tokens, p->D}, c->k},
      {"v", p->cache_dtype, 4, {rows, p->Hkv, tokens, p->Dv}, c->v},
      {"k_scale", PFL_DTYPE_F32, 3, {rows, p->Hkv, tokens}, c->k_scale},
      {"v_scale", PFL_DTYPE_F32, 3, {rows, p->Hkv, tokens}, c->v_scale},
      {"block_table",
       PFL_DTYPE_I32,
       2,
       {p->B, p->pages_per_sequence},
       c->block_table},
      {"sinks", PFL_DTYPE_F32, 1, {p->Hq}, c->sinks},
      {"o", p->dtype, 4, {p->B, p->Hq, p->T, p->Dv}, c->o},
      {"lse", PFL_DTYPE_F32, 3, {p->B, p->Hq, p->T}, c->lse}};
  memcpy(out, all, sizeof all);
  return COUNT(all);
}

/* Puts tensors in the place of those of the same name. */
static inline void slice_place_pages(const kernels_program *program,
                                     device_tensor *tensors, int count,
                                     device_pages *pages) {
  pfl_error error = {PFL_STATUS_OK, ""};
  pfl_status status =
      device_pages_place(&program->kernels[0], program->chips, tensors, count,
                         &slice_heap, pages, &error);
  CHECK(!status, "%s; %s", error.message, call_text);
  CHECK_NEED(!status);
  for (int j = 0; j < count; j++)
    if (!strcmp(tensors[j].name, "block_table")) tensors[j] = pages->table;
  for (int i = 0; i < DEVICE_PAGED_MAX; i++)
    for (int j = 0; j < count; j++)
      if (pages->kept[i].data && !strcmp(tensors[j].name, pages->kept[i].name))
        tensors[j] = pages->kept[i];
}

static inline void slice_run(slice_case *s, uint64_t seed) {
  decode_case *c = &s->call;
  kernels_program program;
  device_tensor tensors[16];
  pfl_error error = {PFL_STATUS_OK, ""};
  sim_report report;
  pfl_status status =
      kernels_write(&(kernels_request){.op = KERNELS_DECODE,
                                       .decode = &c->problem,
                                       .target = "v5e:2x2",
                                       .chips = s->chips,
                                       .lse = !s->no_lse,
                                       .sinks = c->sinks != NULL,
                                       .tiles = s->tiles,
                                       .tile_count = s->tile_count},
                    &slice_heap, &program, &error);
  CHECK(!status, "%s; %s", error.message, call_text);
  if (status) return;
  memset(c->o, 0xff,
         (size_t)(c->rows * c->problem.Dv) * pfl_dtype_size(c->problem.dtype));
  memset(c->lse, 0xff, (size_t)c->rows * sizeof *c->lse);
  int count = slice_tensors(c, tensors);
  sim_options options = {
      .chips = s->chips, .hostile = true, .seed = seed, .threads = 1};
  device_pages pages = {0};
  if (device_pages_needed(&program.kernels[0]))
    slice_place_pages(&program, tensors, count, &pages);
  status = kernel_case_run(&program, tensors, count, &options, &report, &error);
  CHECK(!status, "%s; %d chips, %s; %s", error.message, s->chips, program.plan,
        call_text);
  /* docs/numerics.md: Q in two int8, of which 16256 are its row's largest */
  bool integers = c->k_scale && c->problem.dtype == PFL_DTYPE_BF16;
  c->q_rounding = integers ? (0.5 + 0.01) / 16256 : 0;
  c->end = 4;
  for (int64_t i = 0; s->no_lse && i < c->rows; i++)
    c->lse[i] = (float)c->exact_lse[i]; /* nobody asked for it */
  if (!status) decode_check(c, c->problem.dtype == PFL_DTYPE_BF16);
  device_pages_release(&pages, &slice_heap);
  kernels_program_release(&program);
}

#endif
