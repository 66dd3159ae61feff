/* Digits of a block, and their sums by level, for one instruction set; included by _levels.c once for each.
 *
 * Defined outside, and undefined at the end: NAME(x), which adds the set's name, and TARGET, which turns it on.
 */

/* Add the digits of m numbers to those of one column: places `step` apart. A number below 2**32 of the unit is cut, toward
 * zero, in three digits of 32 bits; what is below the last of them is left out, whatever else is added. */
#define CUT(number, digit, add) \
    { \
        double left = (number), whole; \
        for (int d = 0; d < DIGITS; d++) { \
            whole = trunc(left); \
            int64_t cut = (int64_t)whole; \
            (digit)[d * width] = (add) ? (digit)[d * width] + cut : cut; \
            left = (left - whole) * 0x1p32; \
        } \
    }

/* The digits of n rows from row k on, in t->digits: (n, DIGITS, width). */
TARGET static void NAME(cut)(const struct rows *t, ptrdiff_t k, ptrdiff_t n)
{
    const ptrdiff_t q = t->q, width = t->width, all = DIGITS * width;
    for (ptrdiff_t i = 0; i < n; i++) {
        const double *restrict z = t->z + (k + i) * q, *restrict scale = t->scale;
        int64_t *restrict out = t->digits + i * all;
        if (!t->weight && !t->low) {
            for (ptrdiff_t j = 0; j < q; j++) CUT(z[j] * scale[j], out + j, 0)
            continue;
        }
        double w = t->weight ? t->weight[k + i] : 1.0;
        for (ptrdiff_t j = 0; j < q; j++) {
            /* A product is two numbers, whose sum it is exactly. */
            double product = w * z[j], rest = t->weight ? fma(w, z[j], -product) : 0.0;
            CUT(product * scale[j], out + j, 0)
            CUT(rest * scale[j], out + j, 1)
            if (t->low) CUT(w * t->low[(k + i) * q + j] * scale[j], out + j, 1)
        }
        if (t->weight) CUT(w * scale[q], out + q, 0)
    }
}

TARGET static void NAME(add)(const struct rows *t)
{
    const ptrdiff_t all = DIGITS * t->width;
    for (ptrdiff_t k = 0; k < t->m; k += RUN) {
        ptrdiff_t n = t->m - k < RUN ? t->m - k : RUN;
        NAME(cut)(t, k, n);
        for (int f = 0; f < t->factors; f++) {
            const int32_t *code = t->code[f] + k;
            for (ptrdiff_t i = 0; i < n; i++) {
                if (i + AHEAD < n) {
                    const char *next = (const char *)(t->sums[f] + code[i + AHEAD] * all);
                    for (ptrdiff_t b = 0; b < 8 * all; b += 64) __builtin_prefetch(next + b, 1);
                    __builtin_prefetch(t->counts[f] + code[i + AHEAD], 1);
                }
                int64_t *restrict to = t->sums[f] + code[i] * all;
                const int64_t *restrict from = t->digits + i * all;
                for (ptrdiff_t b = 0; b < all; b++) to[b] += from[b];
                t->counts[f][code[i]]++;
            }
        }
    }
}

/* The largest magnitude of each column, times the weight. */
TARGET static void NAME(largest)(const double *z, const double *weight, ptrdiff_t m, ptrdiff_t q, double *restrict out)
{
    for (ptrdiff_t j = 0; j < q; j++) out[j] = 0.0;
    for (ptrdiff_t k = 0; k < m; k++, z += q) {
        double w = weight ? weight[k] : 1.0;
        for (ptrdiff_t j = 0; j < q; j++) {
            double size = fabs(w * z[j]);
            out[j] = size > out[j] ? size : out[j];
        }
    }
}

#undef CUT
#undef NAME
#undef TARGET
