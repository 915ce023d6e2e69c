/* Rows in the forms that the products read, for every instruction set, dtype
 * and width, odd ones too. */
#include "base/dtype.h"
#include "cpu/operand.h"
#include "guarded.h"

typedef struct rows_case {
  cpu_source source;
  float *room;
  const char *isa;
} rows_case;

static rows_case draw_rows(const cpu_kernels *k, pfl_dtype dtype, bool pairs,
                           int64_t most_rows) {
  size_t size = pfl_dtype_size(dtype);
  int64_t rows = check_between(1, most_rows), width = check_between(1, 70);
  if (check_between(0, 3) == 0) width = 16 * check_between(1, 5);
  unsigned char *data = guarded_allocate(rows * width, size);
  for (int64_t i = 0; i < rows * width; i++) {
    float f = (float)check_normal();
    uint16_t half =
        dtype == PFL_DTYPE_BF16 ? base_f32_to_bf16(f) : base_f32_to_f16(f);
    int8_t whole = (int8_t)check_between(-128, 127);
    const void *bytes = size == 4 ? (void *)&f : (void *)&half;
    memcpy(data + (size_t)i * size, size == 1 ? &whole : bytes, size);
  }
  float *scale = NULL;
  if (dtype == PFL_DTYPE_I8) {
    scale = guarded_allocate(rows, sizeof *scale);
    for (int64_t r = 0; r < rows; r++) scale[r] = (float)check_normal();
  }
  return (rows_case){.source = {.kernels = k,
                                .pairs = pairs,
                                .dtype = dtype,
                                .data = data,
                                .row_scale = scale,
                                .rows = rows,
                                .width = width},
                     .room = guarded_allocate(cpu_operand_room(rows, width), 4),
                     .isa = pfl_isa_name(k->isa)};
}

/* Element d of row r in f32, and its bf16; zeros where there is none. */
static float value_at(const cpu_source *s, int64_t r, int64_t d) {
  if (r >= s->rows || d >= s->width) return 0;
  float value = base_element_get(s->data, s->dtype, r * s->width + d);
  return s->row_scale ? value * s->row_scale[r] : value;
}

static uint32_t pair_at(const cpu_source *s, int64_t r, int64_t d, int64_t r2,
                        int64_t d2) {
  return base_f32_to_bf16(value_at(s, r, d)) |
         (uint32_t)base_f32_to_bf16(value_at(s, r2, d2)) << 16;
}

static void check_word(const rows_case *c, const char *form,
                       cpu_operand operand, int64_t row, int64_t word,
                       uint32_t want) {
  uint32_t got = ((const cpu_word *)operand.data)[row * operand.row + word];
  CHECK(got == want, "%s %s %s: [%d][%d] of %d x %d is %08x, not %08x", c->isa,
        pfl_dtype_name(c->source.dtype), form, (int)row, (int)word,
        (int)c->source.rows, (int)c->source.width, got, want);
}

static void check_along(rows_case c) {
  const cpu_source *s = &c.source;
  cpu_operand along = cpu_operand_along(s, c.room);
  for (int64_t r = 0; r < s->rows; r++)
    for (int64_t w = 0; w < cpu_operand_words(s->pairs, s->width); w++)
      check_word(&c, "along", along, r, w,
                 s->pairs ? pair_at(s, r, 2 * w, r, 2 * w + 1)
                          : base_f32_bits(value_at(s, r, w)));
}

static void check_across(rows_case c) {
  const cpu_source *s = &c.source;
  cpu_operand across = cpu_operand_across(s, c.room);
  int64_t padded = (s->width + CPU_LANES_MAX - 1) / CPU_LANES_MAX;
  for (int64_t r = 0; r < cpu_operand_words(s->pairs, s->rows); r++)
    for (int64_t d = 0; d < padded * CPU_LANES_MAX; d++)
      check_word(&c, "across", across, r, d,
                 s->pairs ? pair_at(s, 2 * r, d, 2 * r + 1, d)
                          : base_f32_bits(value_at(s, r, d)));
}

static void check_transposed(rows_case c) {
  const cpu_source *s = &c.source;
  float *out = guarded_allocate(s->width * CPU_PANEL, sizeof *out);
  cpu_operand turned = cpu_operand_transposed(s, out, c.room);
  for (int64_t w = 0; w < cpu_operand_words(s->pairs, s->width); w++)
    for (int64_t r = 0; r < CPU_PANEL; r++)
      check_word(&c, "transposed", turned, w, r,
                 s->pairs ? pair_at(s, r, 2 * w, r, 2 * w + 1)
                          : base_f32_bits(value_at(s, r, w)));
}

static void test_forms(void) {
  int rounds = check_cases(80);
  for (int isa = PFL_ISA_PORTABLE; isa <= (int)cpu_isa_best(); isa++) {
    cpu_kernels k = cpu_kernels_for((pfl_isa)isa);
    for (int round = 0; round < rounds; round++)
      for (int dtype = PFL_DTYPE_F32; dtype <= PFL_DTYPE_I8; dtype++)
        for (int pairs = 0; pairs <= (dtype == PFL_DTYPE_BF16); pairs++) {
          check_along(draw_rows(&k, (pfl_dtype)dtype, pairs, 192));
          check_across(draw_rows(&k, (pfl_dtype)dtype, pairs, 192));
          check_transposed(draw_rows(&k, (pfl_dtype)dtype, pairs, CPU_PANEL));
          guarded_release();
        }
  }
}

int main(void) { return CHECK_RUN(test_forms); }
