/* The matrix product, once for each kind of element. Before including it define
 *   PRODUCT_NAME               the function's name, product_f32 for instance
 *   PRODUCT_FMA(sum, a, b)     sum + a b for vectors of elements
 * LANES, TILE_ROWS and TILE_VECTORS come from the vector header.
 *
 * A tile of C of 6 rows and 4 vectors stays in registers over the whole of k;
 * a step loads 4 vectors of B and broadcasts 6 elements of A, so that the loads
 * hide behind 24 multiply-adds. */
#define PRODUCT_JOIN2(a, b) a##b
#define PRODUCT_JOIN(a, b) PRODUCT_JOIN2(a, b)
#define PRODUCT_TILE PRODUCT_JOIN(PRODUCT_NAME, _tile)
#define PRODUCT_STRIP PRODUCT_JOIN(PRODUCT_NAME, _strip)

static inline __attribute__((always_inline)) void PRODUCT_TILE(
    const cpu_product *x, int64_t i, int64_t j, const int rows,
    const int vectors) {
  vf sum[TILE_ROWS][TILE_VECTORS];
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < vectors; v++) sum[r][v] = vf_zero();
  const cpu_element *a = (const cpu_element *)x->a + i * x->a_row;
  const cpu_element *b = (const cpu_element *)x->b + j;
  int64_t a_row = x->a_row;
  for (int64_t p = x->k; p > 0; p--, a += x->a_step, b += x->b_row) {
    vf bv[TILE_VECTORS];
    for (int v = 0; v < vectors; v++)
      bv[v] = vf_load((const float *)(b + v * LANES));
    for (int r = 0; r < rows; r++) {
      vf av = vf_set(a[r * a_row]);
      for (int v = 0; v < vectors; v++)
        sum[r][v] = PRODUCT_FMA(sum[r][v], av, bv[v]);
    }
  }
  vf alpha = vf_set(x->alpha);
  for (int r = 0; r < rows; r++) {
    float *c = x->c + (i + r) * x->c_row + j;
    for (int v = 0; v < vectors; v++) {
      vf product = vf_mul(sum[r][v], alpha);
      if (x->keep) {
        vf kept = vf_load(c + v * LANES);
        product = x->rescale ? vf_fma(kept, vf_load(x->rescale + j + v * LANES),
                                      product)
                             : vf_add(kept, product);
      }
      vf_store(c + v * LANES, product);
    }
  }
}

/* All rows of a strip of C. Rows that do not fill a tile are shared out, so
 * that no tile is left with one or two rows that cannot hide latency. */
static inline __attribute__((always_inline)) void PRODUCT_STRIP(
    const cpu_product *x, int64_t j, const int vectors) {
  int64_t tiles = (x->m + TILE_ROWS - 1) / TILE_ROWS;
  for (int64_t t = 0, i = 0; t < tiles; t++) {
    int64_t rows = (x->m - i + tiles - t - 1) / (tiles - t);
    switch (rows) {
      case 6: PRODUCT_TILE(x, i, j, 6, vectors); break;
      case 5: PRODUCT_TILE(x, i, j, 5, vectors); break;
      case 4: PRODUCT_TILE(x, i, j, 4, vectors); break;
      case 3: PRODUCT_TILE(x, i, j, 3, vectors); break;
      case 2: PRODUCT_TILE(x, i, j, 2, vectors); break;
      default: PRODUCT_TILE(x, i, j, 1, vectors); break;
    }
    i += rows;
  }
}

static void PRODUCT_NAME(const cpu_product *x) {
  int64_t j = 0;
  for (; j + TILE_VECTORS * LANES <= x->n; j += TILE_VECTORS * LANES)
    PRODUCT_STRIP(x, j, TILE_VECTORS);
  for (; j + 2 * LANES <= x->n; j += 2 * LANES) PRODUCT_STRIP(x, j, 2);
  for (; j < x->n; j += LANES) PRODUCT_STRIP(x, j, 1);
}

#undef PRODUCT_JOIN2
#undef PRODUCT_JOIN
#undef PRODUCT_TILE
#undef PRODUCT_STRIP
#undef PRODUCT_NAME
#undef PRODUCT_FMA
