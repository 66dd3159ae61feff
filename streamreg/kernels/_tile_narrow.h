/* Numbers of at most 8 digits, and strays: what few of them have below the last digit. Included by _gram.c. */

enum { DIGITS = 8, GROUPS = 8 }; /* GROUPS: of rows in a run */
enum { EXTRA = 16 }; /* bits of a number below its last digit */

struct stray { ptrdiff_t column, next; int64_t value; }; /* next in the row, plus 1 */
enum { STRAY = 3 }; /* in doubles */

struct cut { /* how numbers become digits, and what became of a group of rows */
    ptrdiff_t width;
    const double *scale, *unit; /* of each column: of the last digit */
    double *rows, limit;
    struct stray *stray;
    ptrdiff_t head[GROUP], strays, most; /* head: the last stray of each row, plus 1 */
    int digits, outside, deeper; /* numbers beyond the first digit; numbers that need more digits */
};

enum { DIGITS_ROOM = GROUPS * GROUP * DIGITS / 8 }; /* digits of a column of a run, in doubles */
static ptrdiff_t tile_strays(ptrdiff_t width) { return GROUP * width / 16; }
/* Room for digits, a group of rows and one to convert, units, scales, live digits and strays; and to align them. */
static ptrdiff_t tile_room(ptrdiff_t q)
{
    ptrdiff_t width = tiled(q);
    return (width + EDGE) * DIGITS_ROOM + width * (2 * GROUP + 3) + STRAY * tile_strays(width) + GROUP + 8;
}

#ifdef TILES

/* Note what digits leave of four rows of one tile, in two halves. */
TILED static void leave(struct cut *c, ptrdiff_t row, ptrdiff_t column, const __m512d *rest)
{
    for (int v = 0; v < 8; v++)
        for (int left = _mm512_cmp_pd_mask(rest[v], _mm512_setzero_pd(), _CMP_NEQ_UQ); left; left &= left - 1) {
            int lane = __builtin_ctz(left);
            ptrdiff_t j = column + lane / 2 * 4 + v / 4 * 2 + lane % 2, k = row + v % 4;
            double value = rest[v][lane] * c->scale[j] * (1 << EXTRA);
            if (value == 0 || value != rint(value) || c->strays == c->most) { /* zero: underflow */
                c->deeper = 1;
                return;
            }
            c->stray[c->strays] = (struct stray){j, c->head[k], (int64_t)value};
            c->head[k] = ++c->strays;
        }
}

/* Pack a group of rows of one tile of columns. Returns the digits that are live. */
TILED_INLINE uint64_t pack_digits(struct cut *c, ptrdiff_t column, int8_t *out, const int digits)
{
    const __m512d scale[2] = {HALF(c->scale + column, 0), HALF(c->scale + column, 1)};
    const __m512d unit[2] = {HALF(c->unit + column, 0), HALF(c->unit + column, 1)};
    __m512d size = _mm512_setzero_pd();
    __m512i seen[DIGITS];
    uint64_t live = 0;
    for (int d = 0; d < DIGITS; d++) seen[d] = _mm512_setzero_si512();
    for (ptrdiff_t k = 0; k < GROUP; k += 4) {
        __m512i a[2][4];
        __m512d rest[2][4];
        __mmask8 any = 0;
        UNROLL for (int h = 0; h < 2; h++) UNROLL for (int r = 0; r < 4; r++)
        {
            __m512d x = HALF(c->rows + (k + r) * c->width + column, h);
            __m512d scaled = _mm512_mul_pd(x, scale[h]);
            __m512i whole = _mm512_cvtpd_epi64(scaled);
            rest[h][r] = _mm512_fnmadd_pd(_mm512_cvtepi64_pd(whole), unit[h], x); /* exact */
            any |= _mm512_cmp_pd_mask(rest[h][r], _mm512_setzero_pd(), _CMP_NEQ_UQ);
            size = _mm512_range_pd(size, scaled, 11); /* the greater in size */
            a[h][r] = BALANCED(whole);
        }
        if (__builtin_expect(any, 0)) leave(c, k, column, *rest);
        interleave(a);
        UNROLL for (int d = 0; d < digits; d++) /* from the last one */
        {
            __m512i four = FOUR_ROWS(a, d);
            seen[d] = _mm512_or_si512(seen[d], four);
            _mm512_store_si512(out + (digits - 1 - d) * TILE + 16 * k, four);
        }
        if (c->deeper) return 0;
    }
    c->outside |= !(_mm512_reduce_max_pd(size) <= c->limit);
    for (int d = 0; d < digits; d++)
        if (_mm512_test_epi64_mask(seen[d], seen[d])) live |= (uint64_t)1 << (digits - 1 - d);
    return live;
}

/* Pack c->rows as the next group of a run. Says whether all went well. */
TILED static int pack_group(struct cut *c, struct run *t)
{
    c->strays = c->outside = c->deeper = 0;
    memset(c->head, 0, sizeof c->head);
    for (ptrdiff_t i = 0; i < t->columns; i++) {
        int8_t *out = digits_at(t, &t->right, i, t->groups);
        ptrdiff_t j = i * EDGE;
        uint64_t live = c->digits == 3 ? pack_digits(c, j, out, 3) : c->digits == 5 ? pack_digits(c, j, out, 5)
                                                                                   : pack_digits(c, j, out, DIGITS);
        if (c->outside || c->deeper) return 0;
        t->right.live[i] = t->groups ? t->right.live[i] | live : live;
    }
    return 1;
}

/* Add products of the strays of a group to words of shape (3, width, width): with the upper and lower halves of what digits
 * hold, and with each other. */
TILED static void add_strays(const struct cut *c, int64_t *words)
{
    ptrdiff_t width = c->width, size = width * width;
    for (ptrdiff_t k = 0; k < GROUP; k++)
        for (ptrdiff_t e = c->head[k]; e; e = c->stray[e - 1].next) {
            const struct stray *one = c->stray + e - 1;
            const __m512i value = _mm512_set1_epi64(one->value);
            int64_t *to = words + one->column * width;
            for (ptrdiff_t j = 0; j < width; j += 8) {
                __m512d x = _mm512_mul_pd(_mm512_loadu_pd(c->rows + k * width + j), _mm512_loadu_pd(c->scale + j));
                __m512i whole = _mm512_cvtpd_epi64(x);
                __m512i upper = _mm512_srai_epi64(_mm512_add_epi64(whole, _mm512_set1_epi64(0x80000000)), 32);
                __m512i *high = (__m512i *)(to + j), *low = (__m512i *)(to + size + j);
                _mm512_storeu_si512(high, _mm512_add_epi64(_mm512_loadu_si512(high), _mm512_mul_epi32(upper, value)));
                _mm512_storeu_si512(low, _mm512_add_epi64(_mm512_loadu_si512(low), _mm512_mul_epi32(whole, value)));
            }
            for (ptrdiff_t f = c->head[k]; f; f = c->stray[f - 1].next)
                to[2 * size + c->stray[f - 1].column] += one->value * c->stray[f - 1].value;
        }
}

#endif
