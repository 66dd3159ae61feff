/* Numbers of any type as float64, columns as rows, and whether numbers are finite, for one instruction set; included by _gram_kernel.h. */

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

/* Columns of numbers as rows of float64, or of float32 if `single` (all of them are): m rows of p numbers. Whether all of
 * them are finite. A few columns and rows at a time go through a tile, so that rows are written a cache line at a time:
 * else rows of 2^k numbers would drive each other out of the cache. */
TARGET static int NAME(rows)(const struct column *columns, ptrdiff_t p, ptrdiff_t m, void *to, int single)
{
    enum { DOWN = 64, ACROSS = 8 };
    uint64_t bad = 0, ones = 0x7ff0000000000000u;
    uint32_t bad32 = 0, ones32 = 0x7f800000u;
    for (ptrdiff_t k = 0; k < m; k += DOWN)
        for (ptrdiff_t j = 0; j < p; j += ACROSS) {
            ptrdiff_t n = m - k < DOWN ? m - k : DOWN, q = p - j < ACROSS ? p - j : ACROSS;
            double tile[DOWN * ACROSS];
            float narrow[DOWN * ACROSS];
            for (ptrdiff_t l = 0; l < q; l++) {
                const struct column *column = columns + j + l;
                if (j + l + ACROSS / 2 < p) /* no processor follows so many columns by itself */
                    for (ptrdiff_t i = 0; i < n; i += 8)
                        __builtin_prefetch((const double *)column[ACROSS / 2].at + k + i);
#define SPREAD(T, into) \
    { \
        for (ptrdiff_t i = 0; i < n; i++) into[i * ACROSS + l] = ((const T *)column->at)[k + i]; \
        break; \
    }
#define LOOK(bad, ones, T) \
    for (ptrdiff_t i = 0; i < n; i++) bad |= (((const T *)column->at)[k + i] & ones) == ones;
                switch (column->type) {
                case DOUBLE: LOOK(bad, ones, uint64_t) SPREAD(double, tile)
                case FLOAT:
                    LOOK(bad32, ones32, uint32_t)
                    if (single) SPREAD(float, narrow)
                    SPREAD(float, tile)
                case INT8: SPREAD(int8_t, tile)
                case INT16: SPREAD(int16_t, tile)
                case INT32: SPREAD(int32_t, tile)
                case UINT8: SPREAD(uint8_t, tile)
                case UINT16: SPREAD(uint16_t, tile)
                case UINT32: SPREAD(uint32_t, tile)
                default: return 0;
                }
#undef LOOK
#undef SPREAD
            }
            const char *from = single ? (const char *)narrow : (const char *)tile;
            ptrdiff_t size = single ? 4 : 8;
            char *out = (char *)to + (k * p + j) * size;
            if (q == ACROSS && !single)
                for (ptrdiff_t i = 0; i < n; i++) memcpy(out + i * p * 8, tile + i * ACROSS, 8 * ACROSS);
            else
                for (ptrdiff_t i = 0; i < n; i++) memcpy(out + i * p * size, from + i * ACROSS * size, q * size);
        }
    return !bad && !bad32;
}
