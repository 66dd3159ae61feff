/* The sums themselves, and their door to Python; included by _gram.c after the kernels. */

struct sums { int64_t *words[LEVELS + 1]; }; /* for 1, 2 and 3 slices, and for strays; those not there yet are NULL */

/* Add a run that is sliced. Returns the words that it would take and that are not there. */
static int add_run(const struct kernel *kernel, const struct grid *g, struct sliced *s, const struct sums *to)
{
    int used = s->count ? LEVELS : s->used;
    ptrdiff_t width = g->width, size = width * width;
    if (!to->words[used - 1]) return used;
    if (s->count && !to->words[LEVELS]) return LEVELS + 1;
    for (int e = 0; e < used * (used + 1) / 2; e++)
        kernel->whole_product(s->packed + e * DEEP * width, s->m, width, to->words[used - 1] + e * size);
    static const int FORM[LEVELS] = {0, 1, 3};
    int64_t *sparse = to->words[LEVELS];
    for (const struct entry *one = s->entry; one < s->entry + s->count; one++) {
        int64_t *row = sparse + one->column * width;
        for (int i = 0; i < LEVELS; i++)
            kernel->whole_row(s->packed + FORM[i] * DEEP * width, s->m, width, one->row, one->value, row + i * size);
        for (ptrdiff_t k = s->head[one->row]; k; k = s->entry[k - 1].next)
            row[LEVELS * size + s->entry[k - 1].column] += (int64_t)(one->value * s->entry[k - 1].value);
    }
    return 0;
}

/* Bring m rows, from row k on, into rows of float64 with a 1 before and zeros behind. */
static void stage(const struct kernel *kernel, const Py_buffer *x, const Py_buffer *y, ptrdiff_t k, const struct grid *g,
                  struct sliced *s, double *space)
{
    ptrdiff_t p = x->shape[1], m = s->m, width = g->width;
    Py_ssize_t shape[2] = {m, p};
    Py_buffer part = *x;
    part.shape = shape, part.buf = (char *)x->buf + k * x->strides[0];
    const double *from = part.buf;
    ptrdiff_t stride = x->strides[0] / 8;
    if (!direct(x)) {
        kernel->widen(&part, space);
        from = space, stride = p;
    }
    for (ptrdiff_t i = 0; i < m; i++) {
        double *row = s->rows + i * width;
        row[0] = 1.0;
        memcpy(row + 1, from + i * stride, 8 * p);
        memset(row + 1 + p, 0, 8 * (width - 1 - p));
    }
    if (!y) return;
    part = *y;
    part.shape = shape, part.buf = (char *)y->buf + k * y->strides[0];
    kernel->widen(&part, space);
    for (ptrdiff_t i = 0; i < m; i++) s->rows[i * width + 1 + p] = space[i];
}

/* Add rows until all are done, or until `need` says what is lacking. Returns how many were added. */
static ptrdiff_t add_rows(const struct kernel *kernel, const Py_buffer *x, const Py_buffer *y, const struct grid *g,
                          struct sliced *s, const struct sums *to, double *space, int *need)
{
    ptrdiff_t rows = x->shape[0];
    int levels = to->words[2] ? 3 : to->words[1] ? 2 : 1;
    *need = 0;
    for (ptrdiff_t k = 0; k < rows; k += s->m) {
        s->m = LESS(rows - k, DEEP);
        stage(kernel, x, y, k, g, s, space);
        kernel->slice(g, s, levels);
        while (s->deeper && levels < LEVELS && !s->bad) kernel->slice(g, s, ++levels);
        *need = s->bad ? GENERAL : add_run(kernel, g, s, to);
        if (*need) return k;
        levels = s->used; /* for the next run, more likely than not */
    }
    return rows;
}

PyDoc_STRVAR(integers_doc, "integers(kernel, x, y, unit, bits, work, (one, two, three, sparse))\n\n"
"Add sums of products of the rows of [1, x, y] to int64 words: x (m, p), y (m,) or None. Returns how many rows were\n"
"added, and what the next ones need: 0 nothing, 1 to 4 words that are None so far, -1 the general path.");

static PyObject *py_integers(PyObject *self, PyObject *args)
{
    long k;
    int bits, need = GENERAL;
    PyObject *x, *y, *units, *work, *words[LEVELS + 1], *answer = NULL;
    struct buffers b = {.count = 0};
    if (!PyArg_ParseTuple(args, "lOOOiO(OOOO)", &k, &x, &y, &units, &bits, &work, words, words + 1, words + 2, words + 3))
        return NULL;
    const struct kernel *kernel = chosen(k);
    Py_buffer *bx = kernel ? take(&b, x, PyBUF_STRIDES) : NULL;
    Py_buffer *by = bx && y != Py_None ? take(&b, y, PyBUF_STRIDES) : NULL;
    if (!bx || (y != Py_None && !by)) goto done;
    if (bx->ndim != 2 || (by && (by->ndim != 1 || by->shape[0] != bx->shape[0])) || bits < 2 || bits > 23) {
        PyErr_SetString(PyExc_ValueError, "x of shape (m, p), y of shape (m,), and slices of 2 to 23 bits expected");
        goto done;
    }
    struct grid g = {.q = 1 + bx->shape[1] + (by != NULL), .bits = bits};
    g.width = padded(g.q);
    double *space = doubles(&b, work, integer_room(g.q), PyBUF_WRITABLE), *unit = space ? doubles(&b, units, g.q, 0) : NULL;
    if (!unit) goto done;
    struct sums to = {{NULL}};
    static const int COUNT[] = {1, 3, 6, SPARSE};
    for (int i = 0; i <= LEVELS; i++) {
        if (words[i] == Py_None) continue;
        Py_buffer *one = take(&b, words[i], PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE);
        if (!one) goto done;
        if (type_of(one) != INT64 || one->len != 8 * COUNT[i] * g.width * g.width) {
            PyErr_SetString(PyExc_ValueError, "words: int64 array of shape (count, width, width) expected");
            goto done;
        }
        to.words[i] = one->buf;
    }
    ptrdiff_t added = 0;
    if (type_of(bx) != NONE && (!by || type_of(by) != NONE)) {
        struct sliced s = {.most = strays(g.width)};
        Py_BEGIN_ALLOW_THREADS
        space += (64 - (uintptr_t)space % 64) % 64 / 8;
        s.packed = space, space += FORMS * DEEP * g.width;
        s.rows = space, space += DEEP * g.width;
        double *grid = space;
        for (int i = 0; i < LEVELS; i++) g.magic[i] = space, g.scale[i] = space + g.width, space += 2 * g.width;
        g.limit = space, space += g.width;
        for (ptrdiff_t j = 0; j < g.width; j++) {
            double u = j < g.q ? unit[j] : 1.0;
            grid[2 * LEVELS * g.width + j] = ldexp(u, bits - 1);
            for (int i = 0; i < LEVELS; i++, u = ldexp(u, -bits))
                grid[2 * i * g.width + j] = 0x1.8p52 * u, grid[(2 * i + 1) * g.width + j] = 1.0 / u;
        }
        s.entry = (struct entry *)space, space += ENTRY * strays(g.width);
        added = add_rows(kernel, bx, by, &g, &s, &to, space, &need);
        Py_END_ALLOW_THREADS
    }
    answer = Py_BuildValue("ni", (Py_ssize_t)added, need);
done:
    release(&b);
    return answer;
}

static PyObject *py_integer_room(PyObject *self, PyObject *args)
{
    Py_ssize_t q;
    if (!PyArg_ParseTuple(args, "n", &q)) return NULL;
    return Py_BuildValue("nn", (Py_ssize_t)integer_room(q), (Py_ssize_t)padded(q));
}
