#include "cache/snapshot.h"

#include <inttypes.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

enum { VERSION = 1 };

/* ---- Writing ------------------------------------------------------------- */

/* What is written: the open sequences in the order of their slots, and their
 * pages in the order in which these come to them. */
typedef struct image {
  const cache_ledger *ledger;
  int64_t sequences, columns; /* the longest one's pages */
  host_pages pages;
  int32_t *placed; /* by page: its number in the file, -1: none */
  int32_t *names;  /* [sequences][2]: slot, serial */
  int32_t *lengths, *table;
} image;

static void measure(image *i) {
  const cache_ledger *ledger = i->ledger;
  for (int64_t slot = 0; slot < ledger->limits.sequence_count; slot++) {
    if (!ledger->serials[slot]) continue;
    i->sequences++;
    i->columns =
        base_max(i->columns, cache_pages_of(ledger, ledger->lengths[slot]));
  }
}

static pfl_status allocate(image *i, const host_pages *pages,
                           pfl_error *error) {
  const cache_ledger *ledger = i->ledger;
  int64_t room = ledger->limits.page_count;
  int64_t ints = i->sequences * (3 + i->columns) + room;
  i->placed =
      base_allocate(&ledger->allocator, (size_t)ints * sizeof *i->placed);
  if (!i->placed)
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a snapshot's tables");
  memset(i->placed, 0xff, (size_t)ints * sizeof *i->placed); /* -1 */
  i->names = i->placed + room;
  i->lengths = i->names + 2 * i->sequences;
  i->table = i->lengths + i->sequences;
  return host_pages_init(&pages->shape, room - cache_ledger_free_pages(ledger),
                         &ledger->allocator, &i->pages, error);
}

/* Tokens of `page` that some sequence has: another that shares it may have
 * more of them than the one at hand. */
static int64_t tokens_in(const cache_ledger *ledger, int64_t column,
                         int32_t page) {
  int64_t most = 0, begin = column * ledger->limits.page_length;
  for (int64_t slot = 0; slot < ledger->limits.sequence_count; slot++)
    if (ledger->lengths[slot] > begin &&
        cache_row_of(ledger, slot)[column] == page)
      most = base_max(most, ledger->lengths[slot] - begin);
  return base_min(most, ledger->limits.page_length);
}

static void add_sequence(image *i, int64_t slot, int64_t number,
                         const host_pages *pages, int64_t *page_count) {
  const cache_ledger *ledger = i->ledger;
  i->names[2 * number] = (int32_t)slot;
  i->names[2 * number + 1] = (int32_t)ledger->serials[slot];
  i->lengths[number] = ledger->lengths[slot];
  for (int64_t c = 0; c < cache_pages_of(ledger, ledger->lengths[slot]); c++) {
    int32_t page = cache_row_of(ledger, slot)[c];
    if (i->placed[page] < 0) {
      i->placed[page] = (int32_t)*page_count;
      host_pages_copy(pages, page, &i->pages, (*page_count)++,
                      tokens_in(ledger, c, page));
    }
    i->table[number * i->columns + c] = i->placed[page];
  }
}

static pfl_status write_image(const char *path, const image *i,
                              pfl_error *error) {
  const pfl_dtype I32 = PFL_DTYPE_I32, F32 = PFL_DTYPE_F32;
  const host_pages *pages = &i->pages;
  const cache_shape *shape = &pages->shape;
  int64_t N = pages->count, L = shape->limits.page_length;
  int32_t state[2] = {VERSION, (int32_t)i->ledger->last_serial};
  const safetensors_tensor tensors[] = {
      {"cache_state", "", I32, 1, {2}, state, 0},
      {"sequences", "", I32, 2, {i->sequences, 2}, i->names, 0},
      {"lengths", "", I32, 1, {i->sequences}, i->lengths, 0},
      {"block_table", "", I32, 2, {i->sequences, i->columns}, i->table, 0},
      {"k_pages",
       "",
       shape->cache_dtype,
       4,
       {N, shape->Hkv, L, shape->D},
       pages->k,
       0},
      {"v_pages",
       "",
       shape->cache_dtype,
       4,
       {N, shape->Hkv, L, shape->Dv},
       pages->v,
       0},
      {"k_scale", "", F32, 3, {N, shape->Hkv, L}, pages->k_scale, 0},
      {"v_scale", "", F32, 3, {N, shape->Hkv, L}, pages->v_scale, 0}};
  return safetensors_write(path, tensors,
                           COUNT(tensors) - (pages->k_scale ? 0 : 2),
                           &i->ledger->allocator, error);
}

pfl_status cache_snapshot_write(const char *path, const cache_ledger *ledger,
                                const host_pages *pages, pfl_error *error) {
  image i = {.ledger = ledger};
  int64_t number = 0, page_count = 0;
  measure(&i);
  pfl_status status = allocate(&i, pages, error);
  for (int64_t slot = 0; !status && slot < ledger->limits.sequence_count;
       slot++)
    if (ledger->serials[slot])
      add_sequence(&i, slot, number++, pages, &page_count);
  if (!status) status = write_image(path, &i, error);
  host_pages_release(&i.pages);
  base_release(&ledger->allocator, i.placed);
  return status;
}

/* ---- Reading ------------------------------------------------------------- */

typedef struct reading {
  const char *name;
  const safetensors_file *file;
  cache_ledger *ledger;
  host_pages source; /* points into the file; not released */
  int64_t sequences, columns;
  const int32_t *state, *names, *lengths, *table;
} reading;

/* The tensor of a name, which must have a dtype and a rank. */
static pfl_status get(const reading *r, const char *name, pfl_dtype dtype,
                      int rank, const safetensors_tensor **out,
                      pfl_error *error) {
  const safetensors_tensor *tensor = safetensors_find(r->file, name);
  if (!tensor)
    PFL_RAISE(error, DATA_LOSS,
              "%.200s: tensor %s is not there: a cache has it", r->name, name);
  if (tensor->rank != rank)
    PFL_RAISE(error, DATA_LOSS, "%.200s: tensor %s has rank %d: must be %d",
              r->name, name, tensor->rank, rank);
  if (tensor->dtype != dtype)
    return base_error_set(
        error,
        dtype == PFL_DTYPE_I32 ? PFL_STATUS_DATA_LOSS
                               : PFL_STATUS_FAILED_PRECONDITION,
        "%.200s: tensor %s is %s: this cache's is %s", r->name, name,
        tensor->dtype_name, pfl_dtype_name(dtype));
  *out = tensor;
  return PFL_STATUS_OK;
}

/* Holds a tensor's sizes from its second on against what they must be. */
static pfl_status check_shape(const reading *r,
                              const safetensors_tensor *tensor, int64_t first,
                              const int64_t *rest, pfl_status refusal,
                              pfl_error *error) {
  if (tensor->shape[0] != first)
    PFL_RAISE(error, DATA_LOSS,
              "%.200s: tensor %s has a first size of %" PRId64
              ": other tensors say %" PRId64,
              r->name, tensor->name, tensor->shape[0], first);
  for (int i = 1; i < tensor->rank; i++)
    if (tensor->shape[i] != rest[i - 1])
      return base_error_set(error, refusal,
                            "%.200s: tensor %s has size %" PRId64
                            " at place %d: this cache's is %" PRId64,
                            r->name, tensor->name, tensor->shape[i], i,
                            rest[i - 1]);
  return PFL_STATUS_OK;
}

static pfl_status find_tables(reading *r, pfl_error *error) {
  const pfl_dtype I32 = PFL_DTYPE_I32;
  const pfl_status LOSS = PFL_STATUS_DATA_LOSS;
  const safetensors_tensor *state, *names, *lengths, *table;
  PFL_TRY(get(r, "cache_state", I32, 1, &state, error));
  PFL_TRY(check_shape(r, state, 2, NULL, LOSS, error));
  r->state = state->data;
  if (r->state[0] != VERSION)
    PFL_RAISE(error, FAILED_PRECONDITION,
              "%.200s: a cache of version %" PRId32 ": this library reads %d",
              r->name, r->state[0], VERSION);
  PFL_TRY(get(r, "sequences", I32, 2, &names, error));
  PFL_TRY(get(r, "lengths", I32, 1, &lengths, error));
  PFL_TRY(get(r, "block_table", I32, 2, &table, error));
  r->sequences = names->shape[0];
  r->columns = table->shape[1];
  PFL_TRY(check_shape(r, names, r->sequences, (int64_t[]){2}, LOSS, error));
  PFL_TRY(check_shape(r, lengths, r->sequences, NULL, LOSS, error));
  PFL_TRY(check_shape(r, table, r->sequences, &r->columns, LOSS, error));
  r->names = names->data;
  r->lengths = lengths->data;
  r->table = table->data;
  return PFL_STATUS_OK;
}

static pfl_status find_pages(reading *r, pfl_error *error) {
  const cache_shape *shape = &r->source.shape;
  int64_t L = shape->limits.page_length;
  struct {
    const char *name;
    pfl_dtype dtype;
    int rank;
    int64_t sizes[3];
    const safetensors_tensor *found;
  } wanted[] = {
      {"k_pages", shape->cache_dtype, 4, {shape->Hkv, L, shape->D}, NULL},
      {"v_pages", shape->cache_dtype, 4, {shape->Hkv, L, shape->Dv}, NULL},
      {"k_scale", PFL_DTYPE_F32, 3, {shape->Hkv, L}, NULL},
      {"v_scale", PFL_DTYPE_F32, 3, {shape->Hkv, L}, NULL}};
  bool scaled = shape->cache_dtype == PFL_DTYPE_I8;
  for (int i = 0; i < (scaled ? 4 : 2); i++) {
    PFL_TRY(get(r, wanted[i].name, wanted[i].dtype, wanted[i].rank,
                &wanted[i].found, error));
    PFL_TRY(check_shape(r, wanted[i].found, wanted[0].found->shape[0],
                        wanted[i].sizes, PFL_STATUS_FAILED_PRECONDITION,
                        error));
  }
  r->source.count = wanted[0].found->shape[0];
  r->source.k = wanted[0].found->data;
  r->source.v = wanted[1].found->data;
  if (!scaled) return PFL_STATUS_OK;
  r->source.k_scale = wanted[2].found->data;
  r->source.v_scale = wanted[3].found->data;
  return PFL_STATUS_OK;
}

/* Whether the cache has room for all that the file has. */
static pfl_status check_room(const reading *r, pfl_error *error) {
  const cache_limits *limits = &r->ledger->limits;
  if (r->source.count > limits->page_count)
    PFL_RAISE(error, FAILED_PRECONDITION,
              "%.200s: %" PRId64 " pages: this cache has %" PRId64, r->name,
              r->source.count, limits->page_count);
  for (int64_t n = 0; n < r->sequences; n++) {
    if (r->lengths[n] > limits->sequence_length)
      PFL_RAISE(error, FAILED_PRECONDITION,
                "%.200s: lengths[%" PRId64 "] is %" PRId32
                ": this cache allows %" PRId64,
                r->name, n, r->lengths[n], limits->sequence_length);
    if (r->names[2 * n] >= limits->sequence_count)
      PFL_RAISE(error, FAILED_PRECONDITION,
                "%.200s: sequences[%" PRId64 "] is at place %" PRId32
                ": this cache has %" PRId64,
                r->name, n, r->names[2 * n], limits->sequence_count);
  }
  return PFL_STATUS_OK;
}

/* Numbers that no cache has; what else may be wrong is found as the sequences
 * are made. */
static pfl_status check_numbers(const reading *r, pfl_error *error) {
  for (int64_t n = 0; n < r->sequences; n++) {
    if (r->names[2 * n] < 0 || !r->names[2 * n + 1])
      PFL_RAISE(error, DATA_LOSS,
                "%.200s: sequences[%" PRId64 "] is %" PRId32 ", %" PRId32
                ": must be a place, at least 0, and a number that is not 0",
                r->name, n, r->names[2 * n], r->names[2 * n + 1]);
    int64_t used = r->lengths[n] < 0 ? INT64_MAX
                                     : cache_pages_of(r->ledger, r->lengths[n]);
    if (used > r->columns)
      PFL_RAISE(error, DATA_LOSS,
                "%.200s: lengths[%" PRId64 "] is %" PRId32
                ": must be at least 0, and block_table have the pages",
                r->name, n, r->lengths[n]);
    for (int64_t c = 0; c < used; c++) {
      int32_t page = r->table[n * r->columns + c];
      if (page < 0 || page >= r->source.count)
        PFL_RAISE(error, DATA_LOSS,
                  "%.200s: block_table[%" PRId64 "][%" PRId64 "] is %" PRId32
                  ": must be at least 0 and less than %" PRId64,
                  r->name, n, c, page, r->source.count);
    }
  }
  return PFL_STATUS_OK;
}

static pfl_status make_sequences(const reading *r, int32_t *placed,
                                 pfl_error *error) {
  for (int64_t n = 0; n < r->sequences; n++) {
    const int32_t *name = r->names + 2 * n;
    if (!cache_ledger_restore(r->ledger, name[0], (uint32_t)name[1],
                              r->lengths[n], r->table + n * r->columns, placed))
      PFL_RAISE(error, DATA_LOSS,
                "%.200s: sequences[%" PRId64
                "] is at the place of another, has a page that two chips "
                "would need, or more pages than a chip has",
                r->name, n);
  }
  cache_ledger_restored(r->ledger, (uint32_t)r->state[1]);
  return PFL_STATUS_OK;
}

pfl_status cache_snapshot_apply(const char *name, const safetensors_file *file,
                                cache_ledger *ledger, host_pages *pages,
                                pfl_error *error) {
  reading r = {.name = name,
               .file = file,
               .ledger = ledger,
               .source.shape = pages->shape};
  PFL_TRY(find_tables(&r, error));
  PFL_TRY(find_pages(&r, error));
  PFL_TRY(check_numbers(&r, error));
  PFL_TRY(check_room(&r, error));
  size_t bytes = (size_t)r.source.count * sizeof(int32_t);
  int32_t *placed = base_allocate(&ledger->allocator, bytes);
  if (!placed)
    PFL_RAISE(error, RESOURCE_EXHAUSTED,
              "%.200s: no memory for %" PRId64 " pages", name, r.source.count);
  memset(placed, 0xff, bytes); /* -1 */
  pfl_status status = make_sequences(&r, placed, error);
  for (int64_t page = 0; !status && page < r.source.count; page++)
    if (placed[page] >= 0)
      host_pages_copy(&r.source, page, pages, placed[page],
                      ledger->limits.page_length);
  base_release(&ledger->allocator, placed);
  return status;
}
