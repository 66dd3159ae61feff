/* Exact products of whole numbers on the matrix tiles (AMX) of recent processors; included by _gram.c. See integers.py.
 *
 * A number is at most 8 signed digits of 8 bits. Rows are packed in groups of 64, columns in tiles of 16, each digit apart,
 * in both forms that the instruction asks for: a `right` tile holds 4 rows of every column side by side, a `left` one 64 rows
 * of one column. Their product adds 64 rows to 16 x 16 sums of 32 bits, which hold the sums of a run.
 */

#define TILED __attribute__((target("avx512f,avx512dq,avx512bw,avx2,fma,amx-tile,amx-int8")))
#define TILED_INLINE TILED INLINE

enum { DIGITS = 8, EDGE = 16, GROUP = 64, GROUPS = 8, TILE = 1024 }; /* GROUPS: of a run; TILE: bytes */
enum { RUN = GROUPS * GROUP * DIGITS / 8 }; /* a column of a run, in float64 */
enum { TRIPLES = (2 * DIGITS - 1 + 2) / 3 }; /* words: sums of products of digits s and t, three values of s + t in each */
enum { EXTRA = 16 }; /* bits of a number below its last digit that few numbers need */

struct tiles { /* a run of rows; digits of one group and tile lie together */
    ptrdiff_t count, groups; /* tiles of columns, groups of rows */
    int8_t *right, *left; /* left: of one tile of columns at a time */
    int *live; /* of each tile of columns: digits that are not all zero */
};

struct stray { ptrdiff_t column, next; int64_t value; }; /* next in the row, plus 1 */
enum { STRAY = 3 };

struct cut { /* how numbers become digits, and what became of a group of rows */
    ptrdiff_t width;
    const double *scale, *unit; /* of each column: of the last digit */
    double *rows, limit;
    struct stray *stray;
    ptrdiff_t head[GROUP], strays, most; /* head: the last stray of each row, plus 1 */
    int digits, outside, deeper; /* numbers beyond the first digit; numbers that need more digits */
};

static ptrdiff_t tiled(ptrdiff_t q) { return (q + EDGE - 1) / EDGE * EDGE; }
static ptrdiff_t tile_strays(ptrdiff_t width) { return GROUP * width / 16; }
/* Room for digits in both forms, a group of rows and a column to convert, scales, strays, live digits; and to align them. */
static ptrdiff_t tile_room(ptrdiff_t q)
{
    ptrdiff_t width = tiled(q);
    return (width + EDGE) * RUN + width * (2 * GROUP + 3) + STRAY * tile_strays(width) + GROUP + 8;
}

#ifdef TILES

/* Note what digits leave of four rows of one tile, in two halves. */
TILED static void leave(struct cut *c, ptrdiff_t row, ptrdiff_t column, const __m512d *rest)
{
    for (int v = 0; v < 8; v++)
        for (int left = _mm512_cmp_pd_mask(rest[v], _mm512_setzero_pd(), _CMP_NEQ_UQ); left; left &= left - 1) {
            int lane = __builtin_ctz(left);
            ptrdiff_t j = column + v / 4 * 8 + lane, k = row + v % 4;
            double value = rest[v][lane] * c->scale[j] * (1 << EXTRA);
            if (value == 0 || value != rint(value) || c->strays == c->most) { /* zero: underflow */
                c->deeper = 1;
                return;
            }
            c->stray[c->strays] = (struct stray){j, c->head[k], (int64_t)value};
            c->head[k] = ++c->strays;
        }
}

/* Bytes of a word, plus this and then without it bit by bit, are signed digits whose sum it is. */
static const int64_t BALANCE = (int64_t)0x8080808080808080u;

static const int ORDER[EDGE] = {0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15}; /* of columns in a tile */

/* Pack a group of rows of one tile of columns as right tiles. Returns the digits that are live.
 * Columns change places for two steps less. */
TILED_INLINE int pack_right(struct cut *c, ptrdiff_t column, int8_t *out, const int digits)
{
    const __m512d scale[2] = {_mm512_loadu_pd(c->scale + column), _mm512_loadu_pd(c->scale + column + 8)};
    const __m512d unit[2] = {_mm512_loadu_pd(c->unit + column), _mm512_loadu_pd(c->unit + column + 8)};
    const __m512i balance = _mm512_set1_epi64(BALANCE);
    __m512d size = _mm512_setzero_pd();
    __m512i seen[DIGITS];
    int live = 0;
    for (int d = 0; d < DIGITS; d++) seen[d] = _mm512_setzero_si512();
    for (ptrdiff_t k = 0; k < GROUP; k += 4) {
        __m512i a[2][4], b[2][4];
        __m512d rest[2][4];
        __mmask8 any = 0;
        UNROLL for (int h = 0; h < 2; h++)
        {
            UNROLL for (int r = 0; r < 4; r++)
            {
                __m512d x = _mm512_loadu_pd(c->rows + (k + r) * c->width + column + 8 * h);
                __m512d scaled = _mm512_mul_pd(x, scale[h]);
                __m512i whole = _mm512_cvtpd_epi64(scaled);
                rest[h][r] = _mm512_fnmadd_pd(_mm512_cvtepi64_pd(whole), unit[h], x); /* exact */
                any |= _mm512_cmp_pd_mask(rest[h][r], _mm512_setzero_pd(), _CMP_NEQ_UQ);
                size = _mm512_range_pd(size, scaled, 11); /* the greater in size */
                a[h][r] = _mm512_xor_si512(_mm512_add_epi64(whole, balance), balance);
            }
            /* Bytes of four rows side by side, then dwords of two columns. */
            b[h][0] = _mm512_unpacklo_epi8(a[h][0], a[h][1]), b[h][1] = _mm512_unpackhi_epi8(a[h][0], a[h][1]);
            b[h][2] = _mm512_unpacklo_epi8(a[h][2], a[h][3]), b[h][3] = _mm512_unpackhi_epi8(a[h][2], a[h][3]);
            a[h][0] = _mm512_unpacklo_epi16(b[h][0], b[h][2]), a[h][1] = _mm512_unpackhi_epi16(b[h][0], b[h][2]);
            a[h][2] = _mm512_unpacklo_epi16(b[h][1], b[h][3]), a[h][3] = _mm512_unpackhi_epi16(b[h][1], b[h][3]);
            b[h][0] = _mm512_unpacklo_epi32(a[h][0], a[h][2]), b[h][1] = _mm512_unpackhi_epi32(a[h][0], a[h][2]);
            b[h][2] = _mm512_unpacklo_epi32(a[h][1], a[h][3]), b[h][3] = _mm512_unpackhi_epi32(a[h][1], a[h][3]);
        }
        if (__builtin_expect(any, 0)) leave(c, k, column, *rest);
        UNROLL for (int d = 0; d < digits; d++) /* from the last one */
        {
            __m512i four = d % 2 ? _mm512_unpackhi_epi64(b[0][d / 2], b[1][d / 2]) : _mm512_unpacklo_epi64(b[0][d / 2], b[1][d / 2]);
            seen[d] = _mm512_or_si512(seen[d], four);
            _mm512_store_si512(out + (digits - 1 - d) * TILE + 16 * k, four);
        }
        if (c->deeper) return 0;
    }
    c->outside |= !(_mm512_reduce_max_pd(size) <= c->limit);
    for (int d = 0; d < digits; d++)
        if (_mm512_test_epi64_mask(seen[d], seen[d])) live |= 1 << (digits - 1 - d);
    return live;
}

/* Make a left tile of a right one: transpose 16 x 16 dwords. */
TILED static void turn(const int8_t *from, int8_t *to)
{
#define PART(row) _mm_load_si128((const __m128i *)(from + 64 * (row) + 16 * quad))
    for (int quad = 0; quad < 4; quad++) {
        __m512i a[4], b[4];
        UNROLL for (int r = 0; r < 4; r++)
        {
            a[r] = _mm512_castsi128_si512(PART(r));
            a[r] = _mm512_inserti32x4(a[r], PART(4 + r), 1);
            a[r] = _mm512_inserti32x4(a[r], PART(8 + r), 2);
            a[r] = _mm512_inserti32x4(a[r], PART(12 + r), 3);
        }
        b[0] = _mm512_unpacklo_epi32(a[0], a[1]), b[1] = _mm512_unpackhi_epi32(a[0], a[1]);
        b[2] = _mm512_unpacklo_epi32(a[2], a[3]), b[3] = _mm512_unpackhi_epi32(a[2], a[3]);
        _mm512_store_si512(to + 256 * quad, _mm512_unpacklo_epi64(b[0], b[2]));
        _mm512_store_si512(to + 256 * quad + 64, _mm512_unpackhi_epi64(b[0], b[2]));
        _mm512_store_si512(to + 256 * quad + 128, _mm512_unpacklo_epi64(b[1], b[3]));
        _mm512_store_si512(to + 256 * quad + 192, _mm512_unpackhi_epi64(b[1], b[3]));
    }
#undef PART
}

/* Pack c->rows as the next group of a run. Says whether all went well. */
TILED static int pack_group(struct cut *c, struct tiles *t)
{
    c->strays = c->outside = c->deeper = 0;
    memset(c->head, 0, sizeof c->head);
    for (ptrdiff_t i = 0; i < t->count; i++) {
        ptrdiff_t at = (i * GROUPS + t->groups) * DIGITS * TILE;
        int8_t *right = t->right + at;
        ptrdiff_t j = i * EDGE;
        int live = c->digits == 3 ? pack_right(c, j, right, 3) : c->digits == 5 ? pack_right(c, j, right, 5) : pack_right(c, j, right, 8);
        if (c->outside || c->deeper) return 0;
        if (!t->groups) t->live[i] = 0;
        t->live[i] |= live;
    }
    return 1;
}

/* Whether a digit is live; they are counted from -8 on, those before 0 never are. */
#define HAS(live, d) ((live) << 8 >> ((d) + 8) & 1)

/* Products of digits s and t of two tiles of columns where s + t is `level`, or one or two more, summed over a run. Each tile
 * that is read serves three products: the second-level cache could not feed one each. */
TILED static void three_levels(const int8_t *left, int live_left, const int8_t *right, int live_right, ptrdiff_t groups,
                               int level, int32_t *sum)
{
#define STEP(s, R0, R1, R2) /* R0: right digit level - s; R1 and R2 hold the two after it */ \
    { \
        int at = (s), t = level - at; \
        if (HAS(live_right, t)) _tile_loadd(R0, right + t * TILE, 64); \
        if (HAS(live_left, at)) { \
            _tile_loadd(3, left + at * TILE, 64); \
            if (HAS(live_right, t)) _tile_dpbssd(0, 3, R0); \
            if (HAS(live_right, t + 1)) _tile_dpbssd(1, 3, R1); \
            if (HAS(live_right, t + 2)) _tile_dpbssd(2, 3, R2); \
        } \
    }
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    for (ptrdiff_t k = 0; k < groups; k++, left += DIGITS * TILE, right += DIGITS * TILE)
        for (int s = MORE(-2, level - DIGITS + 1); s < LESS(DIGITS, level + 3); s += 3) {
            STEP(s, 4, 5, 6)
            STEP(s + 1, 6, 4, 5)
            STEP(s + 2, 5, 6, 4)
        }
    _tile_stored(0, sum, 64);
    _tile_stored(1, sum + 256, 64);
    _tile_stored(2, sum + 512, 64);
#undef STEP
}

/* Whether digits s and t are live where s + t is `level`, or one or two more. */
static int meet(int live_left, int live_right, int level)
{
    int found = 0;
    for (int s = 0; s < DIGITS; s++)
        if (HAS(live_left, s)) found |= live_right << 8 >> (level - s + 8) & 7;
    return found;
}

/* Add products of a run to words of shape (TRIPLES, width, width), on and below the diagonal tiles. */
TILED static void add_tiles(const struct tiles *t, int64_t *words)
{
    int32_t sum[3 * 256] __attribute__((aligned(64)));
    ptrdiff_t width = t->count * EDGE, step = GROUPS * DIGITS * TILE;
    for (ptrdiff_t i = 0; i < t->count; i++) {
        for (ptrdiff_t at = 0; at < t->groups * DIGITS; at++)
            if (HAS(t->live[i], at % DIGITS)) turn(t->right + i * step + at * TILE, t->left + at * TILE);
        __asm__ volatile("" ::: "memory"); /* that reads of tiles stay behind */
        for (ptrdiff_t j = 0; j <= i; j++)
            for (int g = 0; g < TRIPLES; g++) {
                if (!meet(t->live[i], t->live[j], 3 * g)) continue;
                three_levels(t->left, t->live[i], t->right + j * step, t->live[j], t->groups, 3 * g, sum);
                for (int r = 0; r < EDGE; r++) {
                    __m512i half[2];
                    UNROLL for (int h = 0; h < 2; h++)
                    {
                        __m512i part[3];
                        UNROLL for (int v = 0; v < 3; v++)
                            part[v] = _mm512_cvtepi32_epi64(_mm256_load_si256((const __m256i *)(sum + 256 * v + 16 * r + 8 * h)));
                        half[h] = _mm512_add_epi64(part[2], _mm512_slli_epi64(part[1], 8));
                        half[h] = _mm512_add_epi64(half[h], _mm512_slli_epi64(part[0], 16));
                    }
                    int64_t *to = words + (g * width + i * EDGE + ORDER[r]) * width + j * EDGE;
                    __m512i first = _mm512_shuffle_i64x2(half[0], half[1], 0x88), last = _mm512_shuffle_i64x2(half[0], half[1], 0xdd);
                    _mm512_storeu_si512(to, _mm512_add_epi64(_mm512_loadu_si512(to), first));
                    _mm512_storeu_si512(to + 8, _mm512_add_epi64(_mm512_loadu_si512(to + 8), last));
                }
            }
    }
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
