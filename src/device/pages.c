#include "device/pages.h"

#include <string.h>

#include "base/memory.h"

static const kernels_tensor *argument(const kernels_kernel *kernel,
                                      const char *name) {
  for (int i = 0; i < kernel->input_count; i++)
    if (!strcmp(kernel->inputs[i].name, name)) return &kernel->inputs[i];
  return NULL;
}

bool device_pages_needed(const kernels_kernel *kernel) {
  const kernels_tensor *table = argument(kernel, "block_table");
  return table && table->split.split;
}

/* ---- Numbers --------------------------------------------------------------
 */

/* Where pages come from and go to. */
typedef struct placement {
  int chips;
  int64_t B, columns, page_length; /* block_table is [B, columns] */
  int64_t pages, room;             /* there are; on a chip */
  const int32_t *table, *lengths;  /* lengths NULL: full */
  int32_t *made;                   /* the new table */
  int64_t *source;                 /* [room chips]: the old page, or -1 */
  int64_t *moved;                  /* [pages chips]: the new page, or -1 */
  int64_t next[64];                /* pages that each chip has so far */
} placement;

/* The number that page `old` has on `chip`: a new one if it has none. */
static pfl_status number_of(placement *p, int64_t old, int chip,
                            int64_t *out_number, pfl_error *error) {
  int64_t *number = &p->moved[old * p->chips + chip];
  if (*number < 0) {
    if (p->next[chip] == p->room)
      PFL_RAISE(error, OUT_OF_RANGE,
                "block_table puts more than %lld pages on chip %d: page i of a "
                "sequence goes to chip i modulo %d",
                (long long)p->room, chip, p->chips);
    *number = p->next[chip]++ * p->chips + chip;
    p->source[*number] = old;
  }
  *out_number = *number;
  return PFL_STATUS_OK;
}

static pfl_status number_pages(placement *p, pfl_error *error) {
  for (int64_t b = 0; b < p->B; b++) {
    int64_t used = p->columns;
    if (p->lengths)
      used = base_ceil_div(base_max(0, p->lengths[b]), p->page_length);
    for (int64_t i = 0; i < p->columns; i++) {
      int64_t number = 0, old = p->table[b * p->columns + i];
      if (i < used) {
        if (old < 0 || old >= p->pages)
          PFL_RAISE(error, OUT_OF_RANGE,
                    "block_table[%lld, %lld] is %lld: there are %lld pages",
                    (long long)b, (long long)i, (long long)old,
                    (long long)p->pages);
        PFL_TRY(number_of(p, old, (int)(i % p->chips), &number, error));
      }
      p->made[b * p->columns + i] = (int32_t)number;
    }
  }
  return PFL_STATUS_OK;
}

/* ---- Copies ---------------------------------------------------------------
 */

/* `whole` with its pages in their new places; what none goes to stays as it
 * comes. */
static pfl_status copy_pages(const placement *p, const device_tensor *whole,
                             const pfl_allocator *allocator, device_tensor *out,
                             pfl_error *error) {
  int64_t page = (int64_t)pfl_dtype_size(whole->dtype);
  for (int i = 1; i < whole->rank; i++) page *= whole->shape[i];
  *out = *whole;
  out->shape[0] = p->room * p->chips;
  out->data = base_allocate(allocator, (size_t)(page * out->shape[0]));
  if (!out->data)
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for the pages of %s",
              whole->name);
  for (int64_t i = 0; i < out->shape[0]; i++)
    if (p->source[i] >= 0)
      memcpy((char *)out->data + i * page,
             (const char *)whole->data + p->source[i] * page, (size_t)page);
  return PFL_STATUS_OK;
}

static const device_tensor *find(const device_tensor *tensors, int count,
                                 const char *name) {
  for (int i = 0; i < count; i++)
    if (!strcmp(tensors[i].name, name)) return &tensors[i];
  return NULL;
}

/* Room for the new table, and for the numbers, which `scratch` then holds. */
static pfl_status allocate(placement *p, const pfl_allocator *allocator,
                           device_pages *pages, int64_t **out_scratch,
                           pfl_error *error) {
  int64_t numbers = (p->room + p->pages) * p->chips;
  size_t table = (size_t)(p->B * p->columns) * sizeof *p->made;
  *out_scratch =
      base_allocate(allocator, (size_t)numbers * sizeof **out_scratch);
  p->made = pages->table.data = base_allocate(allocator, table);
  if (!*out_scratch || !p->made)
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a block_table");
  for (int64_t i = 0; i < numbers; i++) (*out_scratch)[i] = -1;
  p->source = *out_scratch;
  p->moved = p->source + p->room * p->chips;
  return PFL_STATUS_OK;
}

static pfl_status place(placement *p,
                        const device_tensor *const kept[DEVICE_PAGED_MAX],
                        const pfl_allocator *allocator, device_pages *pages,
                        pfl_error *error) {
  int64_t *scratch = NULL;
  pfl_status status = allocate(p, allocator, pages, &scratch, error);
  if (!status) status = number_pages(p, error);
  for (int i = 0; i < DEVICE_PAGED_MAX && !status; i++)
    if (kept[i])
      status = copy_pages(p, kept[i], allocator, &pages->kept[i], error);
  base_release(allocator, scratch);
  return status;
}

/* One that the kernel reads. */
static const device_tensor *scale(const kernels_kernel *kernel,
                                  const device_tensor *inputs, int count,
                                  const char *name) {
  return argument(kernel, name) ? find(inputs, count, name) : NULL;
}

pfl_status device_pages_place(const kernels_kernel *kernel, int chips,
                              const device_tensor *inputs, int count,
                              const pfl_allocator *allocator,
                              device_pages *out_pages, pfl_error *error) {
  const device_tensor *table = find(inputs, count, "block_table");
  const device_tensor *lengths = find(inputs, count, "lengths");
  const device_tensor *const kept[DEVICE_PAGED_MAX] = {
      find(inputs, count, "k"), find(inputs, count, "v"),
      scale(kernel, inputs, count, "k_scale"),
      scale(kernel, inputs, count, "v_scale")};
  const device_tensor *k = kept[0], *v = kept[1];
  memset(out_pages, 0, sizeof *out_pages);
  if (!table || !k || !v || table->rank != 2 || k->rank != 4 || v->rank != 4 ||
      k->shape[0] != v->shape[0] || k->shape[2] < 1 || chips > 64 ||
      (kept[2] && kept[2]->shape[0] != k->shape[0]) ||
      (kept[3] && kept[3]->shape[0] != k->shape[0]))
    PFL_RAISE(
        error, INVALID_ARGUMENT,
        "block_table [B, pages], k and v [N, Hkv, page, D] are needed, and "
        "scales of as many pages");
  placement p = {.chips = chips,
                 .B = table->shape[0],
                 .columns = table->shape[1],
                 .page_length = k->shape[2],
                 .pages = k->shape[0],
                 .room = argument(kernel, "k")->shape[0],
                 .table = table->data,
                 .lengths = lengths ? lengths->data : NULL};
  out_pages->table = *table;
  pfl_status status = place(&p, kept, allocator, out_pages, error);
  if (status) device_pages_release(out_pages, allocator);
  return status;
}

void device_pages_release(device_pages *pages, const pfl_allocator *allocator) {
  base_release(allocator, pages->table.data);
  for (int i = 0; i < DEVICE_PAGED_MAX; i++)
    base_release(allocator, pages->kept[i].data);
  memset(pages, 0, sizeof *pages);
}
