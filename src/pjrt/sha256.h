/* SHA-256 (FIPS 180-4), to name what is in the compile cache and to see whether
 * it is whole. */
#ifndef PFL_PJRT_SHA256_H
#define PFL_PJRT_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32
#define SHA256_HEX_SIZE 65 /* with its NUL */

typedef struct sha256_state {
  uint32_t hash[8];
  uint64_t size;     /* bytes so far */
  uint8_t block[64]; /* the last size % 64 of them */
} sha256_state;

void sha256_begin(sha256_state *state);
void sha256_add(sha256_state *state, const void *bytes, size_t size);
void sha256_end(sha256_state *state, uint8_t out_digest[SHA256_SIZE]);

void sha256(const void *bytes, size_t size, uint8_t out_digest[SHA256_SIZE]);
void sha256_hex(const uint8_t digest[SHA256_SIZE], char out[SHA256_HEX_SIZE]);

#endif
