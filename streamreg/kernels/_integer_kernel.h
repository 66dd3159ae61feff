/* Exact sums of products of integer slices, for one instruction set; included by _gram_kernel.h once for each.
 *
 * A run of rows is cut into slices A0, A1, A2 of `bits` bits, and packed in panels. With few enough rows in a run no sum
 * of a product of slices, nor of sums of two of them, is rounded: each is an integer of at most 2**53. Of a product by
 * pair of slices, (Ai + Aj)' (Ai + Aj) - Ai' Ai - Aj' Aj = Ai' Aj + Aj' Ai is all that is needed, and only
 * triangles are worked on: six for three slices, where pairs taken one by one ask for nine.
 */

#define BITS NAME(bits)
#define MAGNITUDE(v) ((BITS)(v) & 0x7fffffffffffffff)

/* The integer in each number of v, which is below 2**51 in size. */
#define SMALL_WHOLE(v) ((BITS)((v) + 0x1.8p52) - 0x4338000000000000)

/* a * b - product, exact. */
#ifndef LESS_EXACTLY
TARGET INLINE VEC NAME(less_exactly)(VEC a, VEC b, VEC product)
{
    for (int l = 0; l < LANES; l++) product[l] = fma(a[l], b[l], -product[l]);
    return product;
}
#define LESS_EXACTLY(a, b, product) NAME(less_exactly)(a, b, product)
#endif

TARGET INLINE BITS NAME(words)(VEC v)
{
#ifdef WORDS
    return WORDS(v);
#else
    VEC high = (v + 0x1.8p72) - 0x1.8p72; /* a multiple of 2**20 */
    return (SMALL_WHOLE(high * 0x1p-20) << 20) + SMALL_WHOLE(v - high);
#endif
}

TARGET INLINE int NAME(any)(BITS v)
{
#ifdef ANY
    return ANY(v);
#else
    int64_t all = 0;
    for (int l = 0; l < LANES; l++) all |= v[l];
    return all != 0;
#endif
}

/* Slice `wide` vectors of columns, from column j on. Subtractions are exact, so nothing is lost below the last slice. */
TARGET INLINE void NAME(slice_panel)(const struct grid *g, struct sliced *s, ptrdiff_t j, const int wide, const int levels)
{
    double *out[6];
    BITS seen[LEVELS] = {(BITS){0}, (BITS){0}, (BITS){0}}, left = {0};
    VEC size[WIDE];
    for (int e = 0; e < 6; e++) out[e] = s->packed + e * DEEP * g->width + s->m * j;
    UNROLL for (int v = 0; v < wide; v++) size[v] = (VEC){0};
    for (ptrdiff_t k = 0; k < s->m; k++) {
        const double *row = s->rows + k * g->width + j;
        VEC rest[WIDE];
        BITS below = {0};
        UNROLL for (int v = 0; v < wide; v++)
        {
            ptrdiff_t at = v * LANES, c = j + at, to = k * wide * LANES + at;
            VEC x = LOAD(row + at), step, piece[LEVELS];
            size[v] = MOST((VEC)MAGNITUDE(x), size[v]);
            UNROLL for (int i = 0; i < levels; i++)
            {
                step = (x + LOAD(g->magic[i] + c)) - LOAD(g->magic[i] + c); /* rounds to a multiple of the unit */
                x -= step;
                piece[i] = step * LOAD(g->scale[i] + c);
                seen[i] |= (BITS)piece[i];
            }
            STORE(out[0] + to, piece[0]);
            if (levels > 1) STORE(out[1] + to, piece[1]), STORE(out[2] + to, piece[0] + piece[1]);
            if (levels > 2) {
                STORE(out[3] + to, piece[2]);
                STORE(out[4] + to, piece[0] + piece[2]), STORE(out[5] + to, piece[1] + piece[2]);
            }
            rest[v] = x;
            below |= MAGNITUDE(x);
        }
        left |= below;
        if (levels < LEVELS || !__builtin_expect(NAME(any)(below), 0)) continue;
        for (int v = 0; v < wide; v++)
            for (int l = 0; l < LANES; l++) stray(g, s, k, j + v * LANES + l, rest[v][l]);
    }
    for (int v = 0; v < wide; v++)
        for (int l = 0; l < LANES; l++) s->bad |= !(size[v][l] <= g->limit[j + v * LANES + l]);
    s->deeper |= NAME(any)(left);
    for (int i = 1; i < levels; i++)
        if (NAME(any)(seen[i])) s->used = MORE(s->used, i + 1);
}

/* Slice a run of rows. Where `levels` slices do not hold everything, `deeper` is set; and `stray` gets the rest of three. */
TARGET static void NAME(slice)(const struct grid *g, struct sliced *s, int levels)
{
    ptrdiff_t vectors = g->width / LANES;
    s->bad = s->deeper = s->count = 0, s->used = 1;
    for (ptrdiff_t v = 0; v < vectors; v += WIDE) {
        ptrdiff_t wide = LESS(vectors - v, WIDE);
#define PANEL(n) \
    if (levels == 1) NAME(slice_panel)(g, s, v * LANES, LESS(n, WIDE), 1); \
    else if (levels == 2) NAME(slice_panel)(g, s, v * LANES, LESS(n, WIDE), 2); \
    else NAME(slice_panel)(g, s, v * LANES, LESS(n, WIDE), 3);
        switch (wide) {
        case 4: PANEL(4) break;
        case 3: PANEL(3) break;
        case 2: PANEL(2) break;
        default: PANEL(1)
        }
#undef PANEL
    }
}

/* Slice `wide` vectors of columns, from column j on, times their weights if there are any: such a product is the sum of two
 * float64. Returns the slices that are not all zero, or -1 if they do not hold everything. */
TARGET INLINE int NAME(wide_panel)(const struct cuts *c, const double *weight, ptrdiff_t m, ptrdiff_t width, ptrdiff_t j,
                                   const int wide)
{
#ifdef __clang__
#pragma clang fp contract(off) /* what is subtracted from is the rounded product; GCC leaves one with other uses alone */
#endif
    BITS seen[LEFTS], left = {0};
    VEC size[WIDE];
    int live = 0;
    for (int i = 0; i < c->count; i++) seen[i] = (BITS){0};
    for (int v = 0; v < wide; v++) size[v] = (VEC){0};
    for (ptrdiff_t k = 0; k < m; k++)
        for (int v = 0; v < wide; v++) {
            ptrdiff_t at = j + v * LANES;
            VEC x = LOAD(c->rows + k * width + at), high = x, low = {0};
            if (weight) {
                VEC w = SPLAT(weight[k]);
                high = x * w, low = LESS_EXACTLY(x, w, high);
                left |= (BITS)(high == 0) & (BITS)(x != 0);
            }
            size[v] = MOST((VEC)MAGNITUDE(high), size[v]);
            for (int i = 0; i < c->count; i++) {
                VEC magic = LOAD(c->magic + i * width + at), step = (high + magic) - magic, more = (low + magic) - magic;
                high -= step, low -= more;
                step = (step + more) * LOAD(c->scale + i * width + at);
                seen[i] |= MAGNITUDE(step);
                STORE(c->packed + i * DEEP * width + m * j + (k * wide + v) * LANES, step);
            }
            left |= MAGNITUDE(high) | MAGNITUDE(low);
        }
    for (int i = 0; i < c->count; i++) live |= NAME(any)(seen[i]) << i;
    int bad = NAME(any)(left);
    for (int v = 0; v < wide; v++)
        for (int l = 0; l < LANES; l++) bad |= !(size[v][l] <= c->limit[j + v * LANES + l]);
    return bad ? -1 : live;
}

TARGET static int NAME(slice_wide)(const struct cuts *c, const double *weight, ptrdiff_t m, ptrdiff_t width)
{
    ptrdiff_t vectors = width / LANES;
    int live = 0;
    for (ptrdiff_t v = 0; v < vectors && live >= 0; v += WIDE) {
        int found = NAME(wide_panel)(c, weight, m, width, v * LANES, (int)LESS(vectors - v, WIDE));
        live = found < 0 ? -1 : live | found;
    }
    return live;
}

TARGET INLINE void NAME(whole_tile)(const double *a, ptrdiff_t step_a, const double *b, ptrdiff_t step_b, ptrdiff_t m,
                                    const int wide, int64_t *out, ptrdiff_t width)
{
    VEC sum[ROWS][WIDE];
    NAME(multiply)(a, step_a, b, step_b, m, wide, sum);
    UNROLL for (int r = 0; r < ROWS; r++) UNROLL for (int v = 0; v < wide; v++)
        *(BITS *)(out + r * width + v * LANES) += NAME(words)(sum[r][v]);
}

/* Add the lower triangle of left' right, and some of the other one, to words of shape (width, width). */
TARGET static void NAME(whole_product)(const double *left, const double *right, ptrdiff_t m, ptrdiff_t width, int64_t *words)
{
    ptrdiff_t vectors = width / LANES;
    for (ptrdiff_t v = 0; v < vectors; v += WIDE) {
        ptrdiff_t wide = LESS(vectors - v, WIDE), i = v * LANES;
        for (ptrdiff_t j = i; j < width; j += ROWS) {
            ptrdiff_t start = j / (WIDE * LANES) * WIDE, step = LESS(vectors - start, WIDE);
            ptrdiff_t reach = (j + ROWS - i + LANES - 1) / LANES;
            const double *a = right + m * i, *b = left + m * start * LANES + j - start * LANES;
#define TILE(n) NAME(whole_tile)(a, wide * LANES, b, step * LANES, m, LESS(n, WIDE), words + j * width + i, width)
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

/* Add value times row k of a packed slice to a row of words. */
TARGET static void NAME(whole_row)(const double *packed, ptrdiff_t m, ptrdiff_t width, ptrdiff_t k, double value, int64_t *words)
{
    for (ptrdiff_t j = 0; j < width; j += WIDE * LANES) {
        ptrdiff_t wide = LESS(width - j, WIDE * LANES);
        const double *row = packed + m * j + k * wide;
        for (ptrdiff_t l = 0; l < wide; l += LANES) *(BITS *)(words + j + l) += SMALL_WHOLE(LOAD(row + l) * SPLAT(value));
    }
}

#undef BITS
#undef LESS_EXACTLY
#undef MAGNITUDE
#undef SMALL_WHOLE
#undef ANY
#undef WORDS
