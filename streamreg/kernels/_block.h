/* One block of rows and its moments: what every instruction set is given and leaves. Included by _gram.c. */

enum { DEEP = 128 }; /* rows packed at a time: a panel of 24 columns takes half of a first-level cache */
enum { SAMPLE = 64 }; /* rows whose mean places a column */
enum { LANES_MOST = 8 };

static const int64_t MASK[16] = {-1, -1, -1, -1, -1, -1, -1, -1}; /* a vector from MASK + 8 - n keeps n numbers */
static const double LARGEST = 0x1p990, SPAN = 0x1p300, WHOLE = 0x1p53;

struct block { /* rows of float64, or of float32 if `single`, and where their moments go */
    const void *x;
    const double *y, *weight; /* either may be absent */
    ptrdiff_t m, p, stride; /* stride: in numbers */
    double total;
    int single;
    int whole; /* integers that float64 may not hold */
    double *low, *high, *mean, *rest, *cross; /* the mean is mean + rest */
};

struct rows { /* of float64, or of float32 if `single`; stride: in numbers */
    const void *x;
    ptrdiff_t m, p, stride;
    int single;
};

struct columns { double *centre, *nudge, *sum, *scaled, *low, *high; }; /* work on a block; the mean is the sum of the first three */

struct update { /* what becomes of a tile */
    double *cross, *rest, *scaled; /* rest: mean deviations, scaled: times the total weight */
    ptrdiff_t q;
    int first, last;
};

/* Rows copied if need be, y, roots, `columns`, packed rows, and 64 bytes to align them. */
static ptrdiff_t room(ptrdiff_t m, ptrdiff_t q) { return m * (q + 2) + (DEEP + 6) * (q + LANES_MOST) + 8; }

/* Whether float64 could do it unscaled; if so, everything but the cross-products is handed over. */
static int finish(const struct block *t, const struct columns *c, ptrdiff_t q)
{
    for (ptrdiff_t j = 0; j < q; j++) {
        double span = MORE(c->high[j] - c->centre[j], c->centre[j] - c->low[j]);
        if (!isfinite(c->sum[j]) || MORE(c->high[j], -c->low[j]) > LARGEST) return 0;
        if (t->whole && MORE(c->high[j], -c->low[j]) >= WHOLE) return 0;
        if (span > SPAN || (span > 0 && span < 1 / SPAN)) return 0;
        struct dd mean = dd_add(two_sum(c->centre[j], c->nudge[j]), (struct dd){c->sum[j], 0.0});
        t->low[j] = c->low[j], t->high[j] = c->high[j], t->mean[j] = mean.high, t->rest[j] = mean.low;
    }
    return 1;
}
