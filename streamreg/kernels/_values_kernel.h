/* Numbers of any type as float64, and whether they are finite, for one instruction set; included by _gram_kernel.h. */

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
