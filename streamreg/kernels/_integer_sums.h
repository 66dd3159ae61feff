/* The sums themselves, and their door to Python; included by _gram.c after the kernels. */

enum { KINDS = 4 }; /* of words; here for 1, 2 and 3 slices, and for strays */

struct request { /* what Python asks for */
    const struct kernel *kernel;
    const Py_buffer *x, *y; /* y may be absent */
    double *unit, *space, *weight; /* weight may be absent */
    int64_t *words[KINDS]; /* those not there yet are NULL */
    ptrdiff_t q, width;
    int number;
};

/* Add a run that is sliced. Returns the words that it would take and that are not there. */
static int add_run(const struct request *a, const struct grid *g, struct sliced *s)
{
    const struct kernel *kernel = a->kernel;
    int used = s->count ? LEVELS : s->used;
    ptrdiff_t width = g->width, size = width * width;
    if (!a->words[used - 1]) return used;
    if (s->count && !a->words[LEVELS]) return LEVELS + 1;
    for (int e = 0; e < used * (used + 1) / 2; e++) {
        const double *form = s->packed + e * DEEP * width;
        kernel->whole_product(form, form, s->m, width, a->words[used - 1] + e * size);
    }
    static const int FORM[LEVELS] = {0, 1, 3};
    int64_t *sparse = a->words[LEVELS];
    for (const struct entry *one = s->entry; one < s->entry + s->count; one++) {
        int64_t *row = sparse + one->column * width;
        for (int i = 0; i < LEVELS; i++)
            kernel->whole_row(s->packed + FORM[i] * DEEP * width, s->m, width, one->row, one->value, row + i * size);
        for (ptrdiff_t k = s->head[one->row]; k; k = s->entry[k - 1].next)
            row[LEVELS * size + s->entry[k - 1].column] += (int64_t)(one->value * s->entry[k - 1].value);
    }
    return 0;
}

/* Bring m rows, from row k on, into rows of `width` float64 with a 1 before and zeros behind. */
static void stage(const struct request *a, ptrdiff_t k, ptrdiff_t m, double *rows, ptrdiff_t width, double *space)
{
    const struct kernel *kernel = a->kernel;
    const Py_buffer *x = a->x, *y = a->y;
    ptrdiff_t p = x->shape[1];
    Py_ssize_t shape[2] = {m, p};
    Py_buffer part = *x;
    part.shape = shape, part.buf = (char *)x->buf + k * x->strides[0];
    const double *from = part.buf;
    ptrdiff_t stride = x->strides[0] / 8;
    if (!direct(x, DOUBLE)) {
        kernel->widen(&part, space);
        from = space, stride = p;
    }
    for (ptrdiff_t i = 0; i < m; i++) {
        double *row = rows + i * width;
        row[0] = 1.0;
        memcpy(row + 1, from + i * stride, 8 * p);
        memset(row + 1 + p, 0, 8 * (width - 1 - p));
    }
    if (!y) return;
    part = *y;
    part.shape = shape, part.buf = (char *)y->buf + k * y->strides[0];
    kernel->widen(&part, space);
    for (ptrdiff_t i = 0; i < m; i++) rows[i * width + 1 + p] = space[i];
}

/* Add rows until all are done, or until `need` says what is lacking. Returns how many were added. */
static ptrdiff_t add_rows(const struct request *a, const struct grid *g, struct sliced *s, double *space, int *need)
{
    ptrdiff_t rows = a->x->shape[0];
    int levels = a->words[2] ? 3 : a->words[1] ? 2 : 1;
    *need = 0;
    for (ptrdiff_t k = 0; k < rows; k += s->m) {
        s->m = LESS(rows - k, DEEP);
        stage(a, k, s->m, s->rows, g->width, space);
        a->kernel->slice(g, s, levels);
        while (s->deeper && levels < LEVELS && !s->bad) a->kernel->slice(g, s, ++levels);
        *need = s->bad ? GENERAL : add_run(a, g, s);
        if (*need) return k;
        levels = s->used; /* for the next run, more likely than not */
    }
    return rows;
}

/* Read arguments: kernel, x, y, unit, a number, work, words, `count` of shape (width, width) in each kind, and a weight. */
static int asked(struct buffers *b, PyObject *args, struct request *a, ptrdiff_t (*width)(ptrdiff_t),
                 ptrdiff_t (*room)(ptrdiff_t), const int *count, int kinds)
{
    long k;
    PyObject *x, *y, *units, *work, *words, *weight = Py_None;
    *a = (struct request){NULL};
    if (!PyArg_ParseTuple(args, "lOOOiOO|O", &k, &x, &y, &units, &a->number, &work, &words, &weight) ||
        !(a->kernel = chosen(k)) || !(a->x = take(b, x, PyBUF_STRIDES)) ||
        (y != Py_None && !(a->y = take(b, y, PyBUF_STRIDES))))
        return 0;
    if (a->x->ndim != 2 || (a->y && (a->y->ndim != 1 || a->y->shape[0] != a->x->shape[0]))) {
        PyErr_SetString(PyExc_ValueError, "x of shape (m, p) and y of shape (m,) expected");
        return 0;
    }
    a->q = 1 + a->x->shape[1] + (a->y != NULL), a->width = width(a->q);
    if (!(a->space = doubles(b, work, room(a->q), PyBUF_WRITABLE)) || !(a->unit = doubles(b, units, a->q, 0))) return 0;
    a->space += (64 - (uintptr_t)a->space % 64) % 64 / 8;
    if (weight != Py_None && !(a->weight = doubles(b, weight, a->x->shape[0], 0))) return 0;
    for (int i = 0; i < kinds; i++) {
        PyObject *these = PyTuple_GetItem(words, i);
        if (these == Py_None) continue;
        Py_buffer *one = these ? take(b, these, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE) : NULL;
        if (!one) return 0;
        if (type_of(one) != INT64 || one->len != 8 * count[i] * a->width * a->width) {
            PyErr_SetString(PyExc_ValueError, "words: int64 array of shape (count, width, width) expected");
            return 0;
        }
        a->words[i] = one->buf;
    }
    return 1;
}

static int bits_fit(const struct request *a)
{
    if (a->number >= 2 && a->number <= 23) return 1;
    PyErr_SetString(PyExc_ValueError, "slices of 2 to 23 bits expected");
    return 0;
}

static int readable(const struct request *a) { return type_of(a->x) != NONE && (!a->y || type_of(a->y) != NONE); }

PyDoc_STRVAR(integers_doc, "integers(kernel, x, y, unit, bits, work, (one, two, three, sparse))\n\n"
"Add sums of products of the rows of [1, x, y] to int64 words: x (m, p), y (m,) or None. Returns how many rows were\n"
"added, and what the next ones need: 0 nothing, 1 to 4 words that are None so far, -1 the general path.");

static PyObject *py_integers(PyObject *self, PyObject *args)
{
    static const int COUNT[] = {1, 3, 6, SPARSE};
    struct buffers b = {.count = 0};
    struct request a;
    PyObject *answer = NULL;
    if (!asked(&b, args, &a, padded, integer_room, COUNT, KINDS) || !bits_fit(&a)) goto done;
    ptrdiff_t added = 0;
    int need = GENERAL;
    if (readable(&a)) {
        Py_BEGIN_ALLOW_THREADS
        struct grid g = {.q = a.q, .width = a.width, .bits = a.number};
        struct sliced s = {.most = strays(g.width)};
        double *space = a.space;
        s.packed = space, space += FORMS * DEEP * g.width;
        s.rows = space, space += DEEP * g.width;
        double *grid = space;
        for (int i = 0; i < LEVELS; i++) g.magic[i] = space, g.scale[i] = space + g.width, space += 2 * g.width;
        g.limit = space, space += g.width;
        for (ptrdiff_t j = 0; j < g.width; j++) {
            double u = j < g.q ? a.unit[j] : 1.0;
            grid[2 * LEVELS * g.width + j] = ldexp(u, g.bits - 1);
            for (int i = 0; i < LEVELS; i++, u = ldexp(u, -g.bits))
                grid[2 * i * g.width + j] = 0x1.8p52 * u, grid[(2 * i + 1) * g.width + j] = 1.0 / u;
        }
        s.entry = (struct entry *)space, space += ENTRY * strays(g.width);
        added = add_rows(&a, &g, &s, space, &need);
        Py_END_ALLOW_THREADS
    }
    answer = Py_BuildValue("ni", (Py_ssize_t)added, need);
done:
    release(&b);
    return answer;
}

/* The same for numbers of many slices, and with weights of at most 1. The unit of the first digit is that of the first slice
 * times 2**(bits - 8). */
static ptrdiff_t add_slices(const struct request *a, int *need)
{
    ptrdiff_t rows = a->x->shape[0], width = a->width, k = 0;
    double *space = a->space, *staged, *weight, *grid[2];
    struct cuts side[2] = {{.count = LEFTS}, {.count = RIGHTS}};
    staged = space, space += DEEP * width;
    weight = space, space += DEEP;
    for (int s = 0; s < 2; s++) {
        struct cuts *c = &side[s];
        c->rows = staged, c->packed = space, space += c->count * DEEP * width;
        c->magic = grid[s] = space, c->scale = space + c->count * width, c->limit = space + 2 * c->count * width;
        space += (2 * c->count + 1) * width;
        for (ptrdiff_t j = 0; j < width; j++) {
            double u = ldexp(j < a->q ? a->unit[j] : 1.0, 8 - a->number);
            grid[s][2 * c->count * width + j] = ldexp(u, a->number - 1);
            for (int i = 0; i < c->count; i++, u = ldexp(u, -a->number))
                grid[s][i * width + j] = 0x1.8p52 * u, grid[s][(c->count + i) * width + j] = 1.0 / u;
        }
    }
    *need = a->words[1] ? 0 : 2;
    while (k < rows && !*need) {
        ptrdiff_t m = LESS(rows - k, DEEP);
        stage(a, k, m, staged, width, space);
        if (a->weight) memcpy(weight, a->weight + k, 8 * m);
        int right = a->kernel->slice_wide(&side[1], NULL, m, width);
        int left = a->weight ? a->kernel->slice_wide(&side[0], weight, m, width) : right;
        if (left < 0 || right < 0) {
            *need = GENERAL;
            break;
        }
        for (int s = 0; s < LEFTS; s++)
            for (int t = 0; t < RIGHTS; t++)
                if (left >> s & right >> t & 1)
                    a->kernel->whole_product(side[a->weight ? 0 : 1].packed + s * DEEP * width, side[1].packed + t * DEEP * width,
                                             m, width, a->words[1] + (s + t) * width * width);
        k += m;
    }
    return k;
}
