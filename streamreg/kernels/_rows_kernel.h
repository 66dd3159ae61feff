/* Products of the rows of a block with vectors, for one instruction set; included by _gram_kernel.h.
 *
 * Columns come in vectors of LANES. Where the last one would pass the end of the row it begins earlier, and its lanes that
 * were counted before have factors of zero, or are passed over.
 */

TARGET INLINE VEC NAME(sizes)(VEC v) { return (VEC)((NAME(bits))v & INT64_MAX); }

TARGET INLINE void NAME(lines_of)(const struct rows *r, const int single, const double *centre, const double *coef,
                                  const int count, const double *scale, double *out)
{
    ptrdiff_t p = r->p, m = r->m;
    double few[4][LANES] = {0}; /* of centre, lines and scale, where a row is narrower than a vector */
    const int narrow = p < LANES;
    if (narrow) {
        memcpy(few[0], centre, 8 * p), memcpy(few[1], coef, 8 * p), memcpy(few[3], scale, 8 * p);
        if (count > 1) memcpy(few[2], coef + p, 8 * p);
    }
    for (ptrdiff_t k = 0; k < m; k += 4) {
        ptrdiff_t first[4];
        VEC sum[4][3];
        for (int i = 0; i < 4; i++) first[i] = (k + i < m ? k + i : m - 1) * r->stride;
        UNROLL for (int i = 0; i < 4; i++) UNROLL for (int j = 0; j < 3; j++) sum[i][j] = (VEC){0};
        for (ptrdiff_t j = 0; j < p; j += LANES) {
            ptrdiff_t at = narrow || j + LANES <= p ? j : p - LANES;
            VEC c = LOAD(narrow ? few[0] : centre + at), u = LOAD(narrow ? few[1] : coef + at);
            VEC v = count > 1 ? LOAD(narrow ? few[2] : coef + p + at) : (VEC){0}, s = LOAD(narrow ? few[3] : scale + at);
            if (at != j) {
                VEC keep = (VEC)(~*(const NAME(bits) *)(MASK + 8 - (j - at)));
                u = (VEC)((NAME(bits))u & (NAME(bits))keep), v = (VEC)((NAME(bits))v & (NAME(bits))keep);
                s = (VEC)((NAME(bits))s & (NAME(bits))keep);
            }
            UNROLL for (int i = 0; i < 4; i++)
            {
                VEC z;
                if (__builtin_expect(narrow, 0)) {
                    double edge[LANES] = {0};
                    for (ptrdiff_t l = 0; l < p; l++) edge[l] = FETCH_ONE(r->x, first[i] + l);
                    z = LOAD(edge) - c;
                } else {
                    z = FETCH(r->x, first[i] + at) - c;
                }
                VEC t = z * s;
                sum[i][0] += z * u;
                if (count > 1) sum[i][1] += z * v;
                sum[i][2] += t * t;
            }
        }
        for (int i = 0; i < 4 && k + i < m; i++)
            for (int j = 0; j < 3; j++) {
                if (j == 1 && count < 2) continue;
                double part[LANES];
                STORE(part, sum[i][j]);
                for (int half = LANES / 2; half; half /= 2)
                    for (int l = 0; l < half; l++) part[l] += part[l + half];
                out[(j == 2 ? count : j) * m + k + i] = part[0];
            }
    }
}

TARGET static void NAME(lines)(const struct rows *r, const double *centre, const double *coef, int count, const double *scale,
                               double *out)
{
    if (r->single && count > 1) NAME(lines_of)(r, 1, centre, coef, 2, scale, out);
    else if (r->single) NAME(lines_of)(r, 1, centre, coef, 1, scale, out);
    else if (count > 1) NAME(lines_of)(r, 0, centre, coef, 2, scale, out);
    else NAME(lines_of)(r, 0, centre, coef, 1, scale, out);
}

/* `wide` vectors of columns from `at` on, summed over m rows; lanes before `fresh` belong to another vector. */
TARGET INLINE void NAME(sum_panel)(const struct rows *r, const int single, ptrdiff_t k, ptrdiff_t m, const double *centre,
                                   const double *u, const double *v, double *out, ptrdiff_t at, const int wide, ptrdiff_t fresh)
{
    VEC c[4], a[4], b[4];
    UNROLL for (int i = 0; i < wide; i++) c[i] = LOAD(centre + at + i * LANES), a[i] = b[i] = (VEC){0};
    for (ptrdiff_t row = k; row < k + m; row++) {
        VEC up = SPLAT(u[row]), vp = SPLAT(v[row]);
        UNROLL for (int i = 0; i < wide; i++)
        {
            VEC z = FETCH(r->x, row * r->stride + at + i * LANES) - c[i];
            a[i] += up * z, b[i] += vp * NAME(sizes)(z);
        }
    }
    for (int i = 0; i < wide; i++) {
        double left[LANES], right[LANES];
        STORE(left, a[i]), STORE(right, b[i]);
        for (ptrdiff_t l = fresh; l < LANES; l++)
            out[at + i * LANES + l] += left[l], out[r->p + at + i * LANES + l] += right[l];
    }
}

/* Fewer columns than a vector has lanes: m rows are copied to vectors, so that they have the roundings of wider ones. */
TARGET static void NAME(sum_narrow)(const struct rows *r, ptrdiff_t k, ptrdiff_t m, const double *centre, const double *u,
                                    const double *v, double *out)
{
    double staged[DEEP * LANES] = {0}, middle[LANES] = {0}, sums[2 * LANES] = {0};
    struct rows copy = {staged, m, LANES, LANES, 0};
    for (ptrdiff_t row = 0; row < m; row++)
        for (ptrdiff_t j = 0; j < r->p; j++) {
            ptrdiff_t at = (k + row) * r->stride + j;
            staged[row * LANES + j] = r->single ? (double)((const float *)r->x)[at] : ((const double *)r->x)[at];
        }
    memcpy(middle, centre, 8 * r->p);
    NAME(sum_panel)(&copy, 0, 0, m, middle, u + k, v + k, sums, 0, 1, 0);
    for (ptrdiff_t j = 0; j < r->p; j++) out[j] += sums[j], out[r->p + j] += sums[LANES + j];
}

TARGET INLINE void NAME(sums_of)(const struct rows *r, const int single, const double *centre, const double *u, const double *v,
                                 double *out)
{
    ptrdiff_t p = r->p;
    memset(out, 0, 16 * p);
    for (ptrdiff_t k = 0; k < r->m; k += DEEP) { /* so many rows stay in cache while panels go over them */
        ptrdiff_t m = LESS(r->m - k, DEEP), at = 0;
        if (p < LANES) {
            NAME(sum_narrow)(r, k, m, centre, u, v, out);
            continue;
        }
        for (; at + 4 * LANES <= p; at += 4 * LANES) NAME(sum_panel)(r, single, k, m, centre, u, v, out, at, 4, 0);
        for (; at + LANES <= p; at += LANES) NAME(sum_panel)(r, single, k, m, centre, u, v, out, at, 1, 0);
        if (at < p) NAME(sum_panel)(r, single, k, m, centre, u, v, out, p - LANES, 1, at - (p - LANES));
    }
}

TARGET static void NAME(sums)(const struct rows *r, const double *centre, const double *u, const double *v, double *out)
{
    if (r->single) NAME(sums_of)(r, 1, centre, u, v, out);
    else NAME(sums_of)(r, 0, centre, u, v, out);
}
