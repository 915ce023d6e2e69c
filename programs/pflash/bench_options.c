/* Options of `pflash bench` that are more than a word, a number or a path. */
#include "bench_options.h"

#include <string.h>

#include "bench/bench.h"

#define WORD(name, word, script, what) word,
static const char *const peer_words[] = {BENCH_PEER_LIST(WORD) NULL};
#undef WORD

/* "compare A.json B.json" */
bool read_comparison(const cli_option *row, const char *text,
                     cli_options *options) {
  (void)row;
  if (options->word_count == BENCH_WORDS ||
      (!options->word_count && strcmp(text, "compare")))
    return false;
  options->words[options->word_count++] = text;
  return *text != 0;
}

bool read_price(const cli_option *row, const char *text, cli_options *options) {
  (void)row;
  if (options->given_count == GIVEN_MAX) return false;
  options->given[options->given_count++] = text;
  return *text != 0;
}

bool read_peer(const cli_option *row, const char *text, cli_options *options) {
  bool known = strchr(text, '/');
  (void)row;
  for (int i = 0; peer_words[i]; i++) known |= !strcmp(text, peer_words[i]);
  if (!known || options->peer_count == PEERS_MAX) return false;
  options->peers[options->peer_count++] = text;
  return true;
}

/* A device that is timed is a peer of the CPU's rows. */
bool read_bench_device(const cli_option *row, const char *text,
                       cli_options *options) {
  (void)row;
  bool plugin = !strncmp(text, "pjrt:", 5) && text[5];
  bool simulated = !strcmp(text, device_name(ON_SIM));
  bool timed = plugin || !strcmp(text, device_name(ON_TPU));
  if (!simulated && !timed && strcmp(text, device_name(ON_CPU))) return false;
  options->device = simulated ? ON_SIM : ON_CPU;
  if (!timed) return true;
  if (options->peer_count == PEERS_MAX) return false;
  options->peers[options->peer_count++] = text;
  return true;
}
