/* Exact products of whole numbers on the matrix tiles (AMX) of recent processors; included by _gram.c. See integers.py.
 *
 * Rows are packed in groups of 64, columns in tiles of 16, each digit apart, in both forms that the instruction asks for: a
 * `right` tile holds 4 rows of every column side by side, a `left` one 64 rows of one column. Their product adds 64 rows to
 * 16 x 16 sums of 32 bits, which hold the sums of a run.
 */

#define TILED __attribute__((target("avx512f,avx512dq,avx512bw,avx2,fma,amx-tile,amx-int8")))
#define TILED_INLINE TILED INLINE

enum { EDGE = 16, GROUP = 64, TILE = 1024 }; /* TILE: bytes */

struct digits { /* of a run of rows, as right tiles; those of one tile of columns and group of rows lie together */
    int8_t *tiles;
    uint64_t *live; /* of each tile of columns: digits that are not all zero */
    int most; /* digits that there is room for */
};

struct run {
    ptrdiff_t q, columns, groups, most; /* columns, and tiles of them; groups of rows, and those that there is room for */
    struct digits left, right;
    int8_t *turned; /* left tiles of one tile of columns */
    int triples; /* words: sums of products of digits s and t, three values of s + t in each */
};

static ptrdiff_t tiled(ptrdiff_t q) { return (q + EDGE - 1) / EDGE * EDGE; }

#ifdef TILES

/* Have what is at an address in memory: compilers do not see all that instructions on tiles read. */
#define SETTLE(at) __asm__ volatile("" : : "r"(at) : "memory")

static int8_t *digits_at(const struct run *t, const struct digits *d, ptrdiff_t column, ptrdiff_t group)
{
    return d->tiles + (column * t->most + group) * d->most * TILE;
}

/* Bytes of a word, plus this and then without it bit by bit, are signed digits whose sum it is. */
static const int64_t BALANCE = (int64_t)0x8080808080808080u;
#define BALANCED(v) _mm512_xor_si512(_mm512_add_epi64(v, _mm512_set1_epi64(BALANCE)), _mm512_set1_epi64(BALANCE))

/* 16 numbers in two vectors: 0 1 4 5 8 9 12 13, and those between. */
#define HALF(from, h) \
    ((h) ? _mm512_shuffle_f64x2(_mm512_loadu_pd(from), _mm512_loadu_pd((from) + 8), 0xdd) \
         : _mm512_shuffle_f64x2(_mm512_loadu_pd(from), _mm512_loadu_pd((from) + 8), 0x88))

/* Bring bytes of four rows of such halves side by side: afterwards FOUR_ROWS is one byte of each, column by column. */
TILED_INLINE void interleave(__m512i (*a)[4])
{
    __m512i b[4];
    UNROLL for (int h = 0; h < 2; h++)
    {
        b[0] = _mm512_unpacklo_epi8(a[h][0], a[h][1]), b[1] = _mm512_unpackhi_epi8(a[h][0], a[h][1]);
        b[2] = _mm512_unpacklo_epi8(a[h][2], a[h][3]), b[3] = _mm512_unpackhi_epi8(a[h][2], a[h][3]);
        a[h][0] = _mm512_unpacklo_epi16(b[0], b[2]), a[h][1] = _mm512_unpackhi_epi16(b[0], b[2]);
        a[h][2] = _mm512_unpacklo_epi16(b[1], b[3]), a[h][3] = _mm512_unpackhi_epi16(b[1], b[3]);
        b[0] = _mm512_unpacklo_epi32(a[h][0], a[h][2]), b[1] = _mm512_unpackhi_epi32(a[h][0], a[h][2]);
        b[2] = _mm512_unpacklo_epi32(a[h][1], a[h][3]), b[3] = _mm512_unpackhi_epi32(a[h][1], a[h][3]);
        for (int v = 0; v < 4; v++) a[h][v] = b[v];
    }
}
#define FOUR_ROWS(a, byte) \
    ((byte) % 2 ? _mm512_unpackhi_epi64(a[0][(byte) / 2], a[1][(byte) / 2]) \
                : _mm512_unpacklo_epi64(a[0][(byte) / 2], a[1][(byte) / 2]))

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

/* Whether a digit is live; they are counted from -8 on, those before 0 never are. */
#define HAS(live, d) ((live) << 8 >> ((d) + 8) & 1)

/* Products of digits s and t of two tiles of columns where s + t is `level`, or one or two more, summed over a run. Each tile
 * that is read serves three products: the second-level cache could not feed one each. */
TILED static void three_levels(const struct run *t, ptrdiff_t i, ptrdiff_t j, int level, int32_t *sum)
{
    const uint64_t live_left = t->left.live[i], live_right = t->right.live[j];
    const int8_t *left = t->turned, *right = digits_at(t, &t->right, j, 0);
    ptrdiff_t step_left = t->left.most * TILE, step_right = t->right.most * TILE;
    int start = MORE(-2, level - t->right.most + 1), end = LESS(t->left.most, level + 3);
#define STEP(s, R0, R1, R2) /* R0: right digit level - s; R1 and R2 hold the two after it */ \
    { \
        int at = (s), other = level - at; \
        if (HAS(live_right, other)) _tile_loadd(R0, right + other * TILE, 64); \
        if (HAS(live_left, at)) { \
            _tile_loadd(3, left + at * TILE, 64); \
            if (HAS(live_right, other)) _tile_dpbssd(0, 3, R0); \
            if (HAS(live_right, other + 1)) _tile_dpbssd(1, 3, R1); \
            if (HAS(live_right, other + 2)) _tile_dpbssd(2, 3, R2); \
        } \
    }
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    for (ptrdiff_t k = 0; k < t->groups; k++, left += step_left, right += step_right)
        for (int s = start; s < end; s += 3) {
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
static int meet(const struct run *t, ptrdiff_t i, ptrdiff_t j, int level)
{
    for (int s = MORE(0, level - t->right.most + 1); s < LESS(t->left.most, level + 3); s++)
        if (HAS(t->left.live[i], s) && (t->right.live[j] << 8 >> (level - s + 8) & 7)) return 1;
    return 0;
}

/* Add products of a run to words of shape (triples, width, width), on and below the diagonal tiles. */
TILED static void add_tiles(const struct run *t, int64_t *words)
{
    struct { uint8_t palette, start, none[14]; uint16_t bytes[16]; uint8_t rows[16]; } shape = {.palette = 1};
    for (int r = 0; r < 7; r++) shape.bytes[r] = 64, shape.rows[r] = EDGE;
    int32_t sum[3 * 256] __attribute__((aligned(64)));
    ptrdiff_t width = t->columns * EDGE;
    SETTLE(&shape);
    _tile_loadconfig(&shape);
    for (ptrdiff_t i = 0; i < t->columns; i++) {
        for (ptrdiff_t at = 0; at < t->groups * t->left.most; at++)
            if (HAS(t->left.live[i], at % t->left.most)) turn(digits_at(t, &t->left, i, 0) + at * TILE, t->turned + at * TILE);
        if (i == t->columns - 1) { /* sums, and the left tile: only as many columns as there are */
            for (int r = 0; r < 4; r++) shape.rows[r] = (uint8_t)(t->q - i * EDGE);
            SETTLE(&shape);
            _tile_loadconfig(&shape);
        }
        SETTLE(t->turned);
        for (ptrdiff_t j = 0; j <= i; j++)
            for (int g = 0; g < t->triples; g++) {
                if (!meet(t, i, j, 3 * g)) continue;
                three_levels(t, i, j, 3 * g, sum);
                int64_t *to = words + (g * width + i * EDGE) * width + j * EDGE;
                for (int r = 0; r < shape.rows[0]; r++, to += width)
                    UNROLL for (int h = 0; h < EDGE; h += 8)
                    {
                        __m512i part[3];
                        UNROLL for (int v = 0; v < 3; v++)
                            part[v] = _mm512_cvtepi32_epi64(_mm256_load_si256((const __m256i *)(sum + 256 * v + 16 * r + h)));
                        part[2] = _mm512_add_epi64(part[2], _mm512_slli_epi64(part[1], 8));
                        part[2] = _mm512_add_epi64(part[2], _mm512_slli_epi64(part[0], 16));
                        _mm512_storeu_si512(to + h, _mm512_add_epi64(_mm512_loadu_si512(to + h), part[2]));
                    }
            }
    }
    _tile_release();
}

#endif
