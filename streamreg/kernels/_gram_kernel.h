/* The moments of one block of rows, for one instruction set; included by _gram.c once for each.
 *
 * Defined outside: NAME(x), which adds the set's name; TARGET, the function attribute that turns it on; LANES, doubles
 * in a vector; WIDE, vectors in a panel; ROWS, a divisor of a panel's columns. A tile of the product is ROWS rows by
 * WIDE vectors and lives in registers: 24 of AVX-512's 32, 12 of AVX2's 16.
 *
 * A BLAS packs both operands of every product, for matrices of any size. Here a run of DEEP rows is packed once, while it
 * is shifted and weighted anyway, in panels that stay in the first-level cache; the tiles of the lower triangle then
 * read nothing else. Sums are taken in an order that depends on the shape of the block alone.
 *
 * Vectors are those of GCC and Clang, which contract a * b + c to a fused multiply-add where the set has one.
 */

typedef double NAME(vec) __attribute__((vector_size(8 * LANES), aligned(8), may_alias));
typedef int64_t NAME(bits) __attribute__((vector_size(8 * LANES), aligned(8), may_alias));
#define VEC NAME(vec)
#define LOAD(p) (*(const VEC *)(p))
#define STORE(p, v) (*(VEC *)(p) = (v))
#define SPLAT(s) ((s) - (VEC){0}) /* minus zero, and not plus zero, is the identity for every s */

/* Least, greatest and sum of each column. A NaN is passed over by the comparisons and shows in the sum. */
TARGET static void NAME(extremes)(const double *x, ptrdiff_t m, ptrdiff_t p, ptrdiff_t stride, double *restrict low,
                                  double *restrict high, double *restrict sum)
{
    for (ptrdiff_t j = 0; j < p; j++) low[j] = high[j] = x[j], sum[j] = 0.0;
    ptrdiff_t k = 0;
    for (; k + 4 <= m; k += 4) { /* four rows at a time, so that the running values are not stored for each */
        const double *a = x + k * stride, *b = a + stride, *c = b + stride, *d = c + stride;
        for (ptrdiff_t j = 0; j < p; j++) {
            double s = LESS(a[j], b[j]), t = LESS(c[j], d[j]), u = MORE(a[j], b[j]), v = MORE(c[j], d[j]);
            s = LESS(s, t), u = MORE(u, v);
            low[j] = LESS(s, low[j]), high[j] = MORE(u, high[j]);
            sum[j] += (a[j] + b[j]) + (c[j] + d[j]);
        }
    }
    for (; k < m; k++)
        for (ptrdiff_t j = 0; j < p; j++) {
            double a = x[k * stride + j];
            low[j] = LESS(a, low[j]), high[j] = MORE(a, high[j]), sum[j] += a;
        }
}

#define PACK(from) \
    UNROLL for (int v = 0; v < wide; v++) \
    { \
        VEC z = (VEC)((NAME(bits))LOAD((from) + v * LANES) & mask[v]) - shift[v]; \
        if (root) z = (z - finer[v]) * SPLAT(root[k]), total[v] += z * SPLAT(root[k]); \
        else total[v] += z; \
        STORE(out + v * LANES, z); \
    }

/* Pack `wide` vectors of columns, from column j on, of m rows: shifted by `centre`, and if there is a `root` by `nudge` and
 * then times the root. Adds the weighted sums to `sum`. Columns from p on, and whatever lies between rows, are masked out;
 * `end` is the end of the data. */
TARGET INLINE void NAME(pack_panel)(const double *x, const double *end, ptrdiff_t m, ptrdiff_t p, ptrdiff_t stride,
                                    const double *centre, const double *nudge, const double *root, double *out,
                                    double *sum, ptrdiff_t j, const int wide)
{
    VEC shift[WIDE], finer[WIDE], total[WIDE];
    NAME(bits) mask[WIDE];
    for (int v = 0; v < wide; v++) {
        ptrdiff_t at = j + v * LANES, left = p - at;
        mask[v] = *(const NAME(bits) *)(MASK + 8 - (left < 0 ? 0 : left < LANES ? left : LANES));
        shift[v] = (VEC)((NAME(bits))LOAD(centre + at) & mask[v]), finer[v] = (VEC)((NAME(bits))LOAD(nudge + at) & mask[v]);
        total[v] = LOAD(sum + at);
    }
    /* Vectors may reach into the next row, never past the last one: those few rows go through a copy. */
    const double *row = x + j;
    for (ptrdiff_t k = 0; k < m; k++, row += stride, out += wide * LANES) {
        if (__builtin_expect(row + wide * LANES > end, 0)) {
            double edge[WIDE * LANES] = {0};
            for (int l = 0; l < wide * LANES && j + l < p; l++) edge[l] = row[l];
            PACK(edge);
        } else {
            PACK(row);
        }
    }
    for (int v = 0; v < wide; v++) STORE(sum + j + v * LANES, total[v]);
}

/* One tile: ROWS columns of the panel b against `wide` vectors of the panel a, over m rows. */
TARGET INLINE void NAME(tile)(const double *a, ptrdiff_t step_a, const double *b, ptrdiff_t step_b, ptrdiff_t m,
                              const int wide, const struct update *u, ptrdiff_t i, ptrdiff_t j)
{
    VEC sum[ROWS][WIDE];
    UNROLL for (int r = 0; r < ROWS; r++) UNROLL for (int v = 0; v < wide; v++) sum[r][v] = (VEC){0};
    for (ptrdiff_t k = 0; k < m; k++, a += step_a, b += step_b) {
        VEC right[WIDE];
        UNROLL for (int v = 0; v < wide; v++) right[v] = LOAD(a + v * LANES);
        UNROLL for (int r = 0; r < ROWS; r++)
        {
            VEC left = SPLAT(b[r]);
            UNROLL for (int v = 0; v < wide; v++) sum[r][v] += left * right[v];
        }
    }
    /* Add it to what the rows before it gave; after the last rows, take off what is due to the mean. */
    ptrdiff_t q = u->q, rows = q - j < ROWS ? q - j : ROWS, columns = q - i < wide * LANES ? q - i : wide * LANES;
    double edge[ROWS * WIDE * LANES] = {0}, *out = u->cross + j * q + i;
    ptrdiff_t step = q;
    const int inside = rows == ROWS && columns == wide * LANES;
    if (!inside) {
        step = wide * LANES;
        if (!u->first)
            for (ptrdiff_t r = 0; r < rows; r++) memcpy(edge + r * step, out + r * q, 8 * columns);
    }
    double *to = inside ? out : edge;
    UNROLL for (int r = 0; r < ROWS; r++) UNROLL for (int v = 0; v < wide; v++)
    {
        double *g = to + r * step + v * LANES;
        VEC value = sum[r][v];
        if (!u->first) value += LOAD(g);
        if (u->last) value -= SPLAT(u->scaled[j + r]) * LOAD(u->rest + i + v * LANES);
        STORE(g, value);
    }
    if (!inside)
        for (ptrdiff_t r = 0; r < rows; r++) memcpy(out + r * q, edge + r * step, 8 * columns);
}

/* Every tile that meets the lower triangle. */
TARGET static void NAME(product)(const double *packed, ptrdiff_t m, const struct update *u)
{
    ptrdiff_t vectors = (u->q + LANES - 1) / LANES;
    for (ptrdiff_t right = 0; right < vectors; right += WIDE) {
        ptrdiff_t wide = vectors - right < WIDE ? vectors - right : WIDE, i = right * LANES;
        for (ptrdiff_t j = i; j < u->q; j += ROWS) {
            ptrdiff_t start = j / (WIDE * LANES) * WIDE, step = vectors - start < WIDE ? vectors - start : WIDE;
            /* On the diagonal a panel is met by its own columns: those after them belong to the other triangle. */
            ptrdiff_t reach = (j + ROWS - i) / LANES;
            const double *a = packed + m * i, *b = packed + m * start * LANES + j - start * LANES;
#define TILE(n) NAME(tile)(a, wide * LANES, b, step * LANES, m, LESS(n, WIDE), u, i, j)
            switch (LESS(reach, wide)) {
            case 4: TILE(4); break;
            case 3: TILE(3); break;
            case 2: TILE(2); break;
            default: TILE(1);
            }
#undef TILE
        }
    }
}

TARGET static void NAME(pack)(const struct block *t, const double *x, const double *y, ptrdiff_t m, const double *root,
                              const double *centre, const double *nudge, double *sum, double *packed)
{
    ptrdiff_t vectors = (t->p + (y != NULL) + LANES - 1) / LANES, p = t->p;
    const double *end = t->x + (t->m - 1) * t->stride + p;
    for (ptrdiff_t v = 0; v < vectors; v += WIDE) {
        ptrdiff_t wide = vectors - v < WIDE ? vectors - v : WIDE;
        double *out = packed + m * v * LANES;
#define PANEL(root, wide) NAME(pack_panel)(x, end, m, p, t->stride, centre, nudge, root, out, sum, v * LANES, wide)
#define PANELS(root) \
    if (wide == WIDE) PANEL(root, WIDE); \
    else if (wide == 3) PANEL(root, LESS(3, WIDE)); \
    else if (wide == 2) PANEL(root, LESS(2, WIDE)); \
    else PANEL(root, 1);
        if (root) {
            PANELS(root)
        } else {
            PANELS(NULL)
        }
#undef PANELS
#undef PANEL
    }
    if (y) { /* the last column */
        ptrdiff_t start = p / LANES / WIDE * WIDE, step = (vectors - start < WIDE ? vectors - start : WIDE) * LANES;
        double *out = packed + m * start * LANES + (p - start * LANES), total = sum[p];
        for (ptrdiff_t k = 0; k < m; k++, out += step) {
            double z = y[k] - centre[p] - nudge[p], r = root ? root[k] : 1.0;
            *out = z * r;
            total += z * r * r;
        }
        sum[p] = total;
    }
}

/* Everything from the shift on: t->low, high and centre are there. */
TARGET static void NAME(moments)(const struct block *t, double *work)
{
    ptrdiff_t q = t->p + (t->y != NULL), padded = q + LANES_MOST;
    double *centre = work, *nudge = centre + padded, *sum = nudge + padded, *scaled = sum + padded, *root = scaled + padded;
    double *packed = root + t->m;
    packed += (64 - (uintptr_t)packed % 64) % 64 / 8;
    memset(centre, 0, 32 * padded);
    memcpy(centre, t->centre, 8 * q);
    if (t->weight)
        for (ptrdiff_t k = 0; k < t->m; k++) root[k] = sqrt(t->weight[k]);
    struct update u = {.q = q, .cross = t->cross, .rest = sum, .scaled = scaled};
    /* With weights, a first round finds the weighted mean: a heavy row would drown the others if it stayed off-centre. */
    for (int round = t->weight ? 0 : 1; round < 2; round++) {
        for (ptrdiff_t k = 0; k < t->m; k += DEEP) {
            ptrdiff_t m = t->m - k < DEEP ? t->m - k : DEEP;
            NAME(pack)(t, t->x + k * t->stride, t->y ? t->y + k : NULL, m, t->weight ? root + k : NULL, centre, nudge, sum,
                       packed);
            u.first = k == 0, u.last = k + m == t->m;
            if (u.last)
                for (ptrdiff_t j = 0; j < q; j++) scaled[j] = sum[j], sum[j] /= t->total;
            if (round) NAME(product)(packed, m, &u);
        }
        if (!round) memcpy(nudge, sum, 8 * q), memset(sum, 0, 8 * q);
    }
    memcpy(t->nudge, nudge, 8 * q);
    memcpy(t->rest, sum, 8 * q);
    for (ptrdiff_t j = 0; j < q; j++) memset(t->cross + j * q + j + 1, 0, 8 * (q - j - 1));
}

/* Any numbers that float64 holds, as rows of float64. */
TARGET static int NAME(widen)(const Py_buffer *from, double *restrict out)
{
    ptrdiff_t m = from->shape[0], p = from->ndim > 1 ? from->shape[1] : 1;
    ptrdiff_t down = from->strides[0], across = from->ndim > 1 ? from->strides[1] : from->itemsize;
#define FROM(T, index) *(const T *)((const char *)from->buf + (index))
#define WIDEN(T) \
    if (across == sizeof(T)) \
        for (ptrdiff_t k = 0; k < m; k++) \
            for (ptrdiff_t j = 0; j < p; j++) out[k * p + j] = (double)(&FROM(T, k * down))[j]; \
    else /* columns stored one after the other, as a rule: a few rows of each at a time */ \
        for (ptrdiff_t k0 = 0; k0 < m; k0 += 32) \
            for (ptrdiff_t j = 0; j < p; j++) \
                for (ptrdiff_t k = k0; k < m && k < k0 + 32; k++) out[k * p + j] = (double)FROM(T, k * down + j * across); \
    return 1;
    switch (type_of(from)) {
    case DOUBLE: WIDEN(double)
    case FLOAT: WIDEN(float)
    case INT8: WIDEN(int8_t)
    case INT16: WIDEN(int16_t)
    case INT32: WIDEN(int32_t)
    case INT64: WIDEN(int64_t)
    case UINT8: WIDEN(uint8_t)
    case UINT16: WIDEN(uint16_t)
    case UINT32: WIDEN(uint32_t)
    case UINT64: WIDEN(uint64_t)
    default: return 0;
    }
#undef WIDEN
#undef FROM
}

/* Whether there is neither NaN nor infinity: an exponent of ones. */
TARGET static int NAME(finite)(const char *base, ptrdiff_t m, ptrdiff_t p, ptrdiff_t stride, int single)
{
    uint64_t bad = 0;
    uint32_t bad32 = 0;
    for (ptrdiff_t k = 0; k < m && !bad && !bad32; k++) {
        const uint64_t *a = (const uint64_t *)(base + k * stride), ones = 0x7ff0000000000000u;
        const uint32_t *b = (const uint32_t *)(base + k * stride), ones32 = 0x7f800000u;
        if (single)
            for (ptrdiff_t j = 0; j < p; j++) bad32 |= (b[j] & ones32) == ones32;
        else
            for (ptrdiff_t j = 0; j < p; j++) bad |= (a[j] & ones) == ones;
    }
    return !bad && !bad32;
}

#undef VEC
#undef LOAD
#undef STORE
#undef SPLAT
#undef PACK
