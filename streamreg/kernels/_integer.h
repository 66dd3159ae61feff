/* Exact sums of products, as integers, of rows in the storage's type; included by _gram.c. See integers.py. */

enum { LEVELS = 3 }; /* slices of a number, those that few numbers need not counted */
enum { FORMS = 6 }; /* A0, A1, A0 + A1, A2, A0 + A2, A1 + A2: of d slices, d (d + 1) / 2 */
enum { SPARSE = 4 }; /* products of what is below A2, with A0, A1, A2 and itself */
enum { GENERAL = -1 };

struct grid { /* of each column, `width` of them with the padding */
    ptrdiff_t q, width;
    const double *limit, *magic[LEVELS], *scale[LEVELS]; /* greatest size, 1.5 * 2**52 units of each slice, 1 / unit */
    int bits;
};

struct entry { ptrdiff_t row, column, next; double value; }; /* in units of slice 3; next in the row, plus 1 */
enum { ENTRY = (sizeof(struct entry) + 7) / 8 }; /* in doubles */

struct sliced { /* a run of rows */
    ptrdiff_t m;
    double *rows, *packed;
    struct entry *entry;
    ptrdiff_t head[DEEP], count, most; /* entries: the last of each row, plus 1 */
    int used, deeper, bad; /* slices that are not zero; whether more is left; whether this needs the general path */
};

/* Note what is left of a number after three slices, if anything. */
static void stray(const struct grid *g, struct sliced *s, ptrdiff_t k, ptrdiff_t column, double rest)
{
    if (rest == 0) return;
    double value = ldexp(rest * g->scale[LEVELS - 1][column], g->bits);
    if (value == 0 || value != rint(value) || s->count == s->most) { /* zero: underflow */
        s->bad = 1;
        return;
    }
    if (!s->count) memset(s->head, 0, sizeof s->head);
    s->entry[s->count] = (struct entry){k, column, s->head[k], value};
    s->head[k] = ++s->count;
}

/* Room for rows with padding, their forms, a grid, rows and a column to convert, entries, and 64 bytes to align them. */
static ptrdiff_t padded(ptrdiff_t q) { return (q + LANES_MOST - 1) / LANES_MOST * LANES_MOST; }
static ptrdiff_t strays(ptrdiff_t width) { return DEEP * width / 8; }
static ptrdiff_t integer_room(ptrdiff_t q)
{
    ptrdiff_t width = padded(q);
    return width * (DEEP * (2 + FORMS) + 1 + 2 * LEVELS) + DEEP + ENTRY * strays(width) + 8;
}

/* For numbers of many slices, and products with weights. */
enum { LEFTS = 7, RIGHTS = 4, WIDE_LEVELS = LEFTS + RIGHTS - 1 };

struct cuts { const double *rows, *magic, *scale, *limit; double *packed; int count; };

/* Room for slices, magic numbers and scales, two limits, rows and those to convert, a column and weights; and to align them. */
static ptrdiff_t slices_room(ptrdiff_t q)
{
    return padded(q) * ((LEFTS + RIGHTS) * (DEEP + 2) + 2 + 2 * DEEP) + 2 * DEEP + 8;
}
