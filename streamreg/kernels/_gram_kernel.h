/* The moments of one block of rows, for one instruction set; included by _sets.h once for each.
 *
 * Defined outside, and undefined at the end: NAME(x), which adds the set's name; TARGET, the function attribute that turns it
 * on; LANES, doubles in a vector; WIDE, vectors in a panel; ROWS, a divisor of a panel's columns; LEAST(a, b) and MOST(a, b),
 * b for a NaN; FLOATS(p), a vector of float32 as float64, which GCC 12 makes of two halves unless told how. A tile of the
 * product is ROWS rows by WIDE vectors and lives in registers: 24 of AVX-512's 32, 16 of NEON's 32, 12 of AVX2's 16.
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
/* Numbers of x from place i on, and one of them; `single`, where x holds float32, is known to the compiler. */
#define FETCH(x, i) \
    (single ? (VEC)FLOATS((const float *)(x) + (i)) : LOAD((const double *)(x) + (i)))
#define FETCH_ONE(x, i) (single ? (double)((const float *)(x))[i] : ((const double *)(x))[i])
#define SPLAT(s) ((s) - (VEC){0}) /* minus zero, and not plus zero, is the identity for every s */

/* A point amid each column: the mean of some of its rows, or its constant. It may miss the mean: `rest` makes up for that. */
TARGET INLINE void NAME(place)(const void *x, const int single, ptrdiff_t m, ptrdiff_t p, ptrdiff_t stride, double *low,
                               double *high, double *restrict centre)
{
    ptrdiff_t step = (m + SAMPLE - 1) / SAMPLE, n = (m + step - 1) / step;
    for (ptrdiff_t j = 0; j < p; j++) low[j] = high[j] = FETCH_ONE(x, j), centre[j] = 0.0;
    for (ptrdiff_t k = 0; k < m; k += step)
        for (ptrdiff_t j = 0; j < p; j++) {
            double a = FETCH_ONE(x, k * stride + j);
            low[j] = LESS(a, low[j]), high[j] = MORE(a, high[j]), centre[j] += a;
        }
    for (ptrdiff_t j = 0; j < p; j++) {
        centre[j] = low[j] == high[j] ? low[j] : centre[j] / (double)n;
        if (!(high[j] > low[j])) continue;
        /* On a grid of a thousandth of the spread: columns of few values, such as 0 and 1, then have exact products. Else
           the same roundings recur row after row, and add up instead of averaging out. */
        int exponent;
        frexp(high[j] - low[j], &exponent);
        double unit = ldexp(1.0, exponent - 10), steps = rint(centre[j] / unit);
        if (isfinite(steps * unit)) centre[j] = steps * unit;
    }
}

#define PACK(numbers) \
    UNROLL for (int v = 0; v < wide; v++) \
    { \
        VEC raw = numbers; \
        if (masked) raw = (VEC)((NAME(bits))raw & mask[v]); \
        low[v] = LEAST(raw, low[v]), high[v] = MOST(raw, high[v]); \
        VEC z = raw - shift[v]; \
        if (root) z = (z - finer[v]) * SPLAT(root[k]), total[v] += z * SPLAT(root[k]); \
        else total[v] += z; \
        STORE(out + v * LANES, z); \
    }

/* Pack `wide` vectors of columns, from column j on, of m rows of x, which ends at place `end`: shifted by the centre, and if
 * there is a `root` by the nudge and then times the root. Notes weighted sums and extremes. Columns from p on are masked out:
 * they hold what lies between rows. A NaN is passed over by the comparisons and shows in the sum. */
TARGET INLINE void NAME(pack_panel)(const void *x, const int single, ptrdiff_t end, ptrdiff_t m, ptrdiff_t p,
                                    ptrdiff_t stride, const struct columns *c, const double *root, double *out, ptrdiff_t j,
                                    const int wide, const int masked)
{
    VEC shift[WIDE], finer[WIDE], total[WIDE], low[WIDE], high[WIDE];
    NAME(bits) mask[WIDE];
    for (int v = 0; v < wide; v++) {
        ptrdiff_t at = j + v * LANES, left = p - at;
        mask[v] = *(const NAME(bits) *)(MASK + 8 - (left < 0 ? 0 : left < LANES ? left : LANES));
        shift[v] = (VEC)((NAME(bits))LOAD(c->centre + at) & mask[v]);
        finer[v] = (VEC)((NAME(bits))LOAD(c->nudge + at) & mask[v]);
        total[v] = LOAD(c->sum + at), low[v] = LOAD(c->low + at), high[v] = LOAD(c->high + at);
    }
    /* Vectors may reach into the next row, never past the last one: those few rows go through a copy. */
    ptrdiff_t row = j;
    for (ptrdiff_t k = 0; k < m; k++, row += stride, out += wide * LANES) {
        if (masked && __builtin_expect(row + wide * LANES > end, 0)) {
            double edge[WIDE * LANES] = {0};
            for (int l = 0; l < wide * LANES && j + l < p; l++) edge[l] = FETCH_ONE(x, row + l);
            PACK(LOAD(edge + v * LANES));
        } else {
            PACK(FETCH(x, row + v * LANES));
        }
    }
    for (int v = 0; v < wide; v++) {
        ptrdiff_t at = j + v * LANES;
        STORE(c->sum + at, total[v]), STORE(c->low + at, low[v]), STORE(c->high + at, high[v]);
    }
}

/* Pack m rows, from row k on. */
TARGET static void NAME(pack)(const struct block *t, ptrdiff_t k, ptrdiff_t m, const struct columns *c, const double *root,
                              double *packed)
{
    ptrdiff_t vectors = (t->p + (t->y != NULL) + LANES - 1) / LANES, p = t->p;
    const char *x = (const char *)t->x + k * t->stride * (t->single ? 4 : 8);
    ptrdiff_t end = (t->m - 1 - k) * t->stride + p;
    double low = c->low[p], high = c->high[p]; /* of y, before a panel runs over them */
    if (root) root += k;
    for (ptrdiff_t v = 0; v < vectors; v += WIDE) {
        ptrdiff_t wide = vectors - v < WIDE ? vectors - v : WIDE;
        double *out = packed + m * v * LANES;
#define PANEL(root, single, wide, masked) \
    NAME(pack_panel)(x, single, end, m, p, t->stride, c, root, out, v * LANES, wide, masked)
#define PANELS(root, single) \
    if ((v + WIDE) * LANES <= p) PANEL(root, single, WIDE, 0); \
    else if (wide == 4) PANEL(root, single, LESS(4, WIDE), 1); \
    else if (wide == 3) PANEL(root, single, LESS(3, WIDE), 1); \
    else if (wide == 2) PANEL(root, single, LESS(2, WIDE), 1); \
    else PANEL(root, single, 1, 1);
        if (root && t->single) {
            PANELS(root, 1)
        } else if (root) {
            PANELS(root, 0)
        } else if (t->single) {
            PANELS(NULL, 1)
        } else {
            PANELS(NULL, 0)
        }
#undef PANELS
#undef PANEL
    }
    if (!t->y) return;
    /* The last column, over what the panel has there. */
    ptrdiff_t start = p / LANES / WIDE * WIDE, step = (vectors - start < WIDE ? vectors - start : WIDE) * LANES;
    double *out = packed + m * start * LANES + (p - start * LANES), total = c->sum[p];
    for (ptrdiff_t i = 0; i < m; i++, out += step) {
        double y = t->y[k + i], r = root ? root[i] : 1.0, z = y - c->centre[p];
        low = LESS(y, low), high = MORE(y, high);
        *out = z = (z - c->nudge[p]) * r;
        total += z * r;
    }
    c->sum[p] = total, c->low[p] = low, c->high[p] = high;
}

/* ROWS columns of the panel b times `wide` vectors of the panel a, summed over m rows. */
TARGET INLINE void NAME(multiply)(const double *a, ptrdiff_t step_a, const double *b, ptrdiff_t step_b, ptrdiff_t m,
                                  const int wide, VEC (*sum)[WIDE])
{
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
}

/* One tile: ROWS columns of the panel b against `wide` vectors of the panel a, over m rows. */
TARGET INLINE void NAME(tile)(const double *a, ptrdiff_t step_a, const double *b, ptrdiff_t step_b, ptrdiff_t m,
                              const int wide, const struct update *u, ptrdiff_t i, ptrdiff_t j)
{
    VEC sum[ROWS][WIDE];
    NAME(multiply)(a, step_a, b, step_b, m, wide, sum);
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

#include "_rows_kernel.h"

/* The moments of t; zero where it takes the general path to find them. */
TARGET static int NAME(moments)(const struct block *t, double *work)
{
    ptrdiff_t q = t->p + (t->y != NULL), padded = q + LANES_MOST;
    struct columns c = {work, work + padded, work + 2 * padded, work + 3 * padded, work + 4 * padded, work + 5 * padded};
    double *root = work + 6 * padded, *packed = root + t->m;
    packed += (64 - (uintptr_t)packed % 64) % 64 / 8;
    memset(work, 0, 8 * 6 * padded);
    if (t->single) NAME(place)(t->x, 1, t->m, t->p, t->stride, c.low, c.high, c.centre);
    else NAME(place)(t->x, 0, t->m, t->p, t->stride, c.low, c.high, c.centre);
    if (t->y) NAME(place)(t->y, 0, t->m, 1, 1, c.low + t->p, c.high + t->p, c.centre + t->p);
    if (t->weight)
        for (ptrdiff_t k = 0; k < t->m; k++) root[k] = sqrt(t->weight[k]);
    struct update u = {.q = q, .cross = t->cross, .rest = c.sum, .scaled = c.scaled};
    if (t->weight) { /* the weighted mean first: a heavy row would drown the others if it stayed off-centre */
        struct rows r = {t->x, t->m, t->p, t->stride, t->single};
        double *sums = packed; /* nothing is there yet */
        NAME(sums)(&r, c.centre, t->weight, t->weight, sums);
        for (ptrdiff_t j = 0; j < t->p; j++) c.nudge[j] = sums[j] / t->total;
        if (t->y) {
            struct rows y = {t->y, t->m, 1, 1, 0};
            NAME(sums)(&y, c.centre + t->p, t->weight, t->weight, sums);
            c.nudge[t->p] = sums[0] / t->total;
        }
    }
    for (ptrdiff_t k = 0; k < t->m; k += DEEP) {
        ptrdiff_t m = t->m - k < DEEP ? t->m - k : DEEP;
        NAME(pack)(t, k, m, &c, t->weight ? root : NULL, packed);
        u.first = k == 0, u.last = k + m == t->m;
        if (u.last)
            for (ptrdiff_t j = 0; j < q; j++) c.scaled[j] = c.sum[j], c.sum[j] /= t->total;
        NAME(product)(packed, m, &u);
    }
    for (ptrdiff_t j = 0; j < q; j++) memset(t->cross + j * q + j + 1, 0, 8 * (q - j - 1));
    return finish(t, &c, q);
}

#include "_values_kernel.h"
#include "_integer_kernel.h"

#undef VEC
#undef LOAD
#undef FETCH
#undef FETCH_ONE
#undef STORE
#undef SPLAT
#undef PACK
#undef LEAST
#undef MOST
#undef FLOATS
#undef NAME
#undef TARGET
#undef LANES
#undef WIDE
#undef ROWS
