/* Numbers of many digits, and weights: products of a weight and a number are cut as sums of two float64, which hold them
 * exactly. Included by _gram.c. */

enum { WORD_DIGITS = 7, LEFT_WORDS = 3, RIGHT_WORDS = 2 }; /* of a number; a word's eighth byte is what it carries */
enum { WIDE_GROUPS = 4 }; /* of rows in a run */
enum { WIDE_TRIPLES = (WORD_DIGITS * (LEFT_WORDS + RIGHT_WORDS) - 1 + 2) / 3 };

enum { WORD_ROOM = WIDE_GROUPS * GROUP * WORD_DIGITS / 8 }; /* a word of a column of a run, in doubles */
/* Room for digits, those turned, a group of rows and one to convert, units, scales, live digits, weights; and to align them. */
static ptrdiff_t wide_room(ptrdiff_t q)
{
    ptrdiff_t width = tiled(q), words = LEFT_WORDS + RIGHT_WORDS;
    return width * (words * WORD_ROOM + 2 * GROUP + 2 * words + 2) + EDGE * LEFT_WORDS * WORD_ROOM + 2 * GROUP + 8;
}

#ifdef TILES

/* Pack a group of rows of one tile of columns, times their weights if there are any. `bad` is set if digits do not hold a
 * number. Returns the digits that are live. */
TILED_INLINE uint64_t pack_words(const double *rows, ptrdiff_t width, const double *weight, const double *unit, ptrdiff_t column,
                                 int8_t *out, const int words, int *bad)
{
    const __m512d zero = _mm512_setzero_pd();
    __m512d size = zero, units[LEFT_WORDS][2], scales[LEFT_WORDS][2];
    for (int m = 0; m < words; m++) UNROLL for (int h = 0; h < 2; h++)
    {
        const double *at = unit + m * width + column;
        units[m][h] = HALF(at, h), scales[m][h] = HALF(at + words * width, h);
    }
    __m512i seen[LEFT_WORDS * WORD_DIGITS];
    __mmask8 lost = 0;
    uint64_t live = 0;
    for (int d = 0; d < words * WORD_DIGITS; d++) seen[d] = _mm512_setzero_si512();
    for (ptrdiff_t k = 0; k < GROUP; k += 4) {
        __m512i a[LEFT_WORDS][2][4];
        UNROLL for (int h = 0; h < 2; h++) UNROLL for (int r = 0; r < 4; r++)
        {
            __m512d x = HALF(rows + (k + r) * width + column, h), high = x, low = zero;
            if (weight) {
                __m512d w = _mm512_set1_pd(weight[k + r]);
                high = _mm512_mul_pd(x, w), low = _mm512_fmsub_pd(x, w, high);
                lost |= _mm512_cmp_pd_mask(high, zero, _CMP_EQ_OQ) & _mm512_cmp_pd_mask(x, zero, _CMP_NEQ_UQ);
            }
            size = _mm512_range_pd(size, _mm512_mul_pd(high, scales[0][h]), 11); /* the greater in size */
            UNROLL for (int m = 0; m < words; m++)
            {
                __m512i whole = _mm512_cvtpd_epi64(_mm512_mul_pd(high, scales[m][h]));
                high = _mm512_fnmadd_pd(_mm512_cvtepi64_pd(whole), units[m][h], high); /* exact */
                a[m][h][r] = whole;
                if (weight) {
                    whole = _mm512_cvtpd_epi64(_mm512_mul_pd(low, scales[m][h]));
                    low = _mm512_fnmadd_pd(_mm512_cvtepi64_pd(whole), units[m][h], low);
                    a[m][h][r] = _mm512_add_epi64(a[m][h][r], whole);
                }
            }
            lost |= _mm512_cmp_pd_mask(high, zero, _CMP_NEQ_UQ);
            if (weight) lost |= _mm512_cmp_pd_mask(low, zero, _CMP_NEQ_UQ);
            UNROLL for (int m = words - 1; m >= 0; m--)
            {
                a[m][h][r] = BALANCED(a[m][h][r]);
                if (m) a[m - 1][h][r] = _mm512_add_epi64(a[m - 1][h][r], _mm512_srai_epi64(a[m][h][r], 8 * WORD_DIGITS));
            }
        }
        UNROLL for (int m = 0; m < words; m++)
        {
            interleave(a[m]);
            UNROLL for (int d = 0; d < WORD_DIGITS; d++)
            {
                __m512i four = FOUR_ROWS(a[m], d);
                int digit = m * WORD_DIGITS + WORD_DIGITS - 1 - d;
                seen[digit] = _mm512_or_si512(seen[digit], four);
                _mm512_store_si512(out + digit * TILE + 16 * k, four);
            }
        }
    }
    *bad |= lost || !(_mm512_reduce_max_pd(size) <= 0x7ep48);
    for (int d = 0; d < words * WORD_DIGITS; d++)
        if (_mm512_test_epi64_mask(seen[d], seen[d])) live |= (uint64_t)1 << d;
    return live;
}

/* Pack rows as the next group of a run. Says whether all went well. */
TILED static int pack_wide(const double *rows, const double *weight, const double *left, const double *right, struct run *t)
{
    ptrdiff_t width = t->columns * EDGE;
    int bad = 0;
    for (ptrdiff_t i = 0; i < t->columns && !bad; i++) {
        int8_t *out = digits_at(t, &t->right, i, t->groups);
        uint64_t live = pack_words(rows, width, NULL, right, i * EDGE, out, RIGHT_WORDS, &bad);
        t->right.live[i] = t->groups ? t->right.live[i] | live : live;
        if (!weight) continue;
        out = digits_at(t, &t->left, i, t->groups);
        live = pack_words(rows, width, weight, left, i * EDGE, out, LEFT_WORDS, &bad);
        t->left.live[i] = t->groups ? t->left.live[i] | live : live;
    }
    return !bad;
}

#endif
