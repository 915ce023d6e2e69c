#include "cache/ledger.h"

#include <inttypes.h>
#include <string.h>

/* ---- The whole ----------------------------------------------------------- */

static void push_page(cache_ledger *ledger, int32_t page) {
  int chip = page % ledger->limits.chips;
  ledger->free_pages[ledger->free_begin[chip] + ledger->free_count[chip]++] =
      page;
}

/* Slots without a sequence, the lowest the first to go. */
static void free_slots(cache_ledger *ledger) {
  ledger->free_slot_count = 0;
  for (int64_t slot = ledger->limits.sequence_count; slot--;)
    if (!ledger->serials[slot])
      ledger->free_slots[ledger->free_slot_count++] = (int32_t)slot;
}

/* Every stack is filled so that its lowest page is the first to go. */
static void free_everything(cache_ledger *ledger) {
  const cache_limits *limits = &ledger->limits;
  int64_t begin = 0;
  for (int chip = 0; chip < limits->chips; chip++) {
    ledger->free_begin[chip] = begin;
    ledger->free_count[chip] = 0;
    begin += (limits->page_count - chip + limits->chips - 1) / limits->chips;
  }
  for (int64_t page = limits->page_count; page--;)
    push_page(ledger, (int32_t)page);
  free_slots(ledger);
}

/* `count` zeros; *all becomes false without memory. */
static void *take(const cache_ledger *ledger, int64_t count, size_t size,
                  bool *all) {
  int64_t bytes;
  void *memory = base_multiply(count, (int64_t)size, &bytes)
                     ? base_allocate(&ledger->allocator, (size_t)bytes)
                     : NULL;
  if (memory) return memset(memory, 0, (size_t)bytes);
  *all = false;
  return NULL;
}

pfl_status cache_ledger_init(const cache_limits *limits,
                             const pfl_allocator *allocator,
                             cache_ledger *out_ledger, pfl_error *error) {
  cache_ledger ledger = {.allocator = *allocator, .limits = *limits};
  int64_t slots = limits->sequence_count, pages = limits->page_count, places;
  ledger.columns = cache_pages_of(&ledger, limits->sequence_length);
  bool all = base_multiply(slots, ledger.columns, &places);
  if (all) {
    ledger.serials = take(&ledger, slots, sizeof *ledger.serials, &all);
    ledger.lengths = take(&ledger, slots, sizeof *ledger.lengths, &all);
    ledger.free_slots = take(&ledger, slots, sizeof *ledger.free_slots, &all);
    ledger.changes = take(&ledger, slots, sizeof *ledger.changes, &all);
    ledger.in_step = take(&ledger, slots, sizeof *ledger.in_step, &all);
    ledger.table = take(&ledger, places, sizeof *ledger.table, &all);
    ledger.references = take(&ledger, pages, sizeof *ledger.references, &all);
    ledger.free_pages = take(&ledger, pages, sizeof *ledger.free_pages, &all);
  }
  *out_ledger = ledger;
  if (!all) {
    cache_ledger_release(out_ledger);
    PFL_RAISE(error, RESOURCE_EXHAUSTED,
              "no memory for the tables of %" PRId64 " sequences and %" PRId64
              " pages",
              slots, pages);
  }
  free_everything(out_ledger);
  return PFL_STATUS_OK;
}

void cache_ledger_release(cache_ledger *ledger) {
  void *arrays[] = {ledger->serials,    ledger->lengths,   ledger->free_slots,
                    ledger->changes,    ledger->in_step,   ledger->table,
                    ledger->references, ledger->free_pages};
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
    base_release(&ledger->allocator, arrays[i]);
  *ledger = (cache_ledger){.allocator = ledger->allocator};
}

int64_t cache_ledger_free_pages(const cache_ledger *ledger) {
  int64_t count = 0;
  for (int chip = 0; chip < ledger->limits.chips; chip++)
    count += ledger->free_count[chip];
  return count;
}

/* ---- Pages --------------------------------------------------------------- */

/* A free page for column `column`; -1 if its chip has none. */
static int32_t pop_page(cache_ledger *ledger, int64_t column) {
  int64_t chip = column % ledger->limits.chips;
  if (!ledger->free_count[chip]) return -1;
  int32_t page =
      ledger->free_pages[ledger->free_begin[chip] + --ledger->free_count[chip]];
  ledger->references[page] = 1;
  return page;
}

static void drop_page(cache_ledger *ledger, int32_t page) {
  if (!--ledger->references[page]) push_page(ledger, page);
}

/* Whether an earlier sequence of the step copies this page. */
static bool is_copied(const cache_ledger *ledger, int32_t page) {
  for (int64_t b = 0; b < ledger->change_count; b++)
    if (ledger->changes[b].copied_from == page) return true;
  return false;
}

/* Whether the next token would go into a page that others have too, or had when
 * the step began: were it written to, the step could not be taken back. */
static bool writes_shared(const cache_ledger *ledger, int64_t slot) {
  int64_t length = ledger->lengths[slot];
  if (length % ledger->limits.page_length == 0) return false;
  int64_t column = length / ledger->limits.page_length;
  int32_t page = cache_row_of(ledger, slot)[column];
  return ledger->references[page] > 1 || is_copied(ledger, page);
}

/* ---- Sequences ----------------------------------------------------------- */

pfl_sequence cache_ledger_name(const cache_ledger *ledger, int64_t slot) {
  pfl_sequence serial = ledger->serials[slot];
  return serial ? serial << 32 | (pfl_sequence)slot : 0;
}

pfl_status cache_ledger_find(const cache_ledger *ledger, pfl_sequence sequence,
                             int64_t *out_slot, pfl_error *error) {
  int64_t slot = (int64_t)(sequence & UINT32_MAX);
  if (!sequence || slot >= ledger->limits.sequence_count ||
      cache_ledger_name(ledger, slot) != sequence)
    PFL_RAISE(error, NOT_FOUND,
              "sequence 0x%" PRIx64
              " is none of this cache's: it was never made here, or is "
              "destroyed",
              sequence);
  *out_slot = slot;
  return PFL_STATUS_OK;
}

pfl_status cache_ledger_open(cache_ledger *ledger, int64_t *out_slot,
                             pfl_error *error) {
  if (!ledger->free_slot_count)
    PFL_RAISE(error, RESOURCE_EXHAUSTED,
              "there are %" PRId64
              " sequences, as many as sequence_count allows",
              ledger->limits.sequence_count);
  int64_t slot = ledger->free_slots[--ledger->free_slot_count];
  ledger->last_serial += ledger->last_serial == UINT32_MAX ? 2 : 1;
  ledger->serials[slot] = ledger->last_serial;
  ledger->lengths[slot] = 0;
  *out_slot = slot;
  return PFL_STATUS_OK;
}

static pfl_status check_length(const cache_ledger *ledger, int64_t slot,
                               int64_t length, pfl_error *error) {
  if (length < 0 || length > ledger->lengths[slot])
    PFL_RAISE(error, OUT_OF_RANGE,
              "length is %" PRId64 ": must be 0 to %" PRId32
              ", the tokens that the sequence has",
              length, ledger->lengths[slot]);
  return PFL_STATUS_OK;
}

pfl_status cache_ledger_fork(cache_ledger *ledger, int64_t slot, int64_t length,
                             int64_t *out_slot, pfl_error *error) {
  PFL_TRY(check_length(ledger, slot, length, error));
  PFL_TRY(cache_ledger_open(ledger, out_slot, error));
  const int32_t *from = cache_row_of(ledger, slot);
  int32_t *to = cache_row_of(ledger, *out_slot);
  for (int64_t i = 0; i < cache_pages_of(ledger, length); i++) {
    to[i] = from[i];
    ledger->references[to[i]]++;
  }
  ledger->lengths[*out_slot] = (int32_t)length;
  return PFL_STATUS_OK;
}

pfl_status cache_ledger_truncate(cache_ledger *ledger, int64_t slot,
                                 int64_t length, pfl_error *error) {
  PFL_TRY(check_length(ledger, slot, length, error));
  int64_t kept = cache_pages_of(ledger, length);
  for (int64_t i = cache_pages_of(ledger, ledger->lengths[slot]); i-- > kept;)
    drop_page(ledger, cache_row_of(ledger, slot)[i]);
  ledger->lengths[slot] = (int32_t)length;
  return PFL_STATUS_OK;
}

void cache_ledger_close(cache_ledger *ledger, int64_t slot) {
  for (int64_t i = cache_pages_of(ledger, ledger->lengths[slot]); i-- > 0;)
    drop_page(ledger, cache_row_of(ledger, slot)[i]);
  ledger->lengths[slot] = 0;
  ledger->serials[slot] = 0;
  ledger->free_slots[ledger->free_slot_count++] = (int32_t)slot;
}

/* ---- Steps --------------------------------------------------------------- */

/* Gives back, last first, the pages of columns `begin` .. end - 1, and puts the
 * shared page back in its place: the stacks are then as they were. */
static void return_pages(cache_ledger *ledger, const cache_change *change,
                         int64_t end) {
  int32_t *row = cache_row_of(ledger, change->slot);
  int64_t begin = cache_pages_of(ledger, ledger->lengths[change->slot]);
  while (end-- > begin) drop_page(ledger, row[end]);
  if (change->copied_from < 0) return;
  drop_page(ledger, row[begin - 1]);
  row[begin - 1] = change->copied_from;
  ledger->references[change->copied_from]++;
}

/* False, with nothing taken, if there are not enough. */
static bool take_pages(cache_ledger *ledger, cache_change *change,
                       int64_t tokens) {
  int32_t *row = cache_row_of(ledger, change->slot), page;
  int64_t length = ledger->lengths[change->slot];
  int64_t column = cache_pages_of(ledger, length);
  int64_t end = cache_pages_of(ledger, length + tokens);
  change->copied_from = -1;
  if (tokens && writes_shared(ledger, change->slot)) {
    if ((page = pop_page(ledger, column - 1)) < 0) return false;
    change->copied_from = row[column - 1];
    ledger->references[change->copied_from]--;
    row[column - 1] = page;
  }
  for (; column < end; column++) {
    if ((row[column] = pop_page(ledger, column)) >= 0) continue;
    return_pages(ledger, change, column);
    return false;
  }
  return true;
}

static pfl_status add_change(cache_ledger *ledger, pfl_sequence sequence,
                             int64_t tokens, pfl_error *error) {
  int64_t slot = 0, most = ledger->limits.sequence_length;
  PFL_TRY(cache_ledger_find(ledger, sequence, &slot, error));
  if (ledger->in_step[slot])
    PFL_RAISE(error, INVALID_ARGUMENT,
              "sequence 0x%" PRIx64 " is given twice: a call takes each once",
              sequence);
  if (tokens > most - ledger->lengths[slot])
    PFL_RAISE(error, OUT_OF_RANGE,
              "sequence 0x%" PRIx64 " has %" PRId32 " tokens: %" PRId64
              " more are beyond sequence_length, %" PRId64,
              sequence, ledger->lengths[slot], tokens, most);
  cache_change *change = &ledger->changes[ledger->change_count];
  change->slot = (int32_t)slot;
  if (!take_pages(ledger, change, tokens))
    PFL_RAISE(error, RESOURCE_EXHAUSTED,
              "no page is free for %" PRId64
              " tokens more of sequence 0x%" PRIx64 ": of %" PRId64
              " pages %" PRId64 " are",
              tokens, sequence, ledger->limits.page_count,
              cache_ledger_free_pages(ledger));
  ledger->in_step[slot] = true;
  ledger->change_count++;
  return PFL_STATUS_OK;
}

pfl_status cache_ledger_begin(cache_ledger *ledger,
                              const pfl_sequence *sequences, int64_t batch,
                              int64_t tokens, pfl_error *error) {
  pfl_status status = PFL_STATUS_OK;
  ledger->change_count = 0;
  ledger->step_tokens = tokens;
  for (int64_t b = 0; b < batch && !status; b++)
    status = add_change(ledger, sequences[b], tokens, error);
  if (status) cache_ledger_end(ledger, false);
  return status;
}

/* Frees a page that all who had it have copied, once. */
static void free_copied(cache_ledger *ledger, const cache_change *change) {
  if (change->copied_from < 0 || ledger->references[change->copied_from])
    return;
  ledger->references[change->copied_from] = -1; /* it is free from here on */
  push_page(ledger, change->copied_from);
}

void cache_ledger_end(cache_ledger *ledger, bool keep) {
  int64_t tokens = ledger->step_tokens;
  for (int64_t b = ledger->change_count; b--;) {
    const cache_change *change = &ledger->changes[b];
    int32_t *length = &ledger->lengths[change->slot];
    if (keep) {
      *length += (int32_t)tokens;
      free_copied(ledger, change);
    } else {
      return_pages(ledger, change, cache_pages_of(ledger, *length + tokens));
    }
    ledger->in_step[change->slot] = false;
  }
  ledger->change_count = 0;
}

/* ---- Files --------------------------------------------------------------- */

bool cache_ledger_restore(cache_ledger *ledger, int64_t slot, uint32_t serial,
                          int32_t length, const int32_t *row, int32_t *placed) {
  int32_t *own = cache_row_of(ledger, slot);
  if (ledger->serials[slot]) return false;
  ledger->serials[slot] = serial;
  for (int64_t i = 0; i < cache_pages_of(ledger, length); i++) {
    int32_t *page = &placed[row[i]];
    if (*page >= 0)
      ledger->references[*page]++;
    else if ((*page = pop_page(ledger, i)) < 0)
      return false;
    if (*page % ledger->limits.chips != i % ledger->limits.chips) return false;
    own[i] = *page;
  }
  ledger->lengths[slot] = length;
  return true;
}

void cache_ledger_restored(cache_ledger *ledger, uint32_t last_serial) {
  ledger->last_serial = last_serial;
  free_slots(ledger);
}
