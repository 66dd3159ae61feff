/* The merging of two blocks' moments, and its door to Python; included by _gram.c. */

struct side { double *cross, *high, *low, *least, *most; }; /* high and low: the halves of the means */

/* Chan's merge of b into a, on the lower triangle. See `chan.merge`. */
static void join(ptrdiff_t q, struct side a, const struct side b, double weight_a, double weight_b, double *step)
{
    double share = weight_b / (weight_a + weight_b), root = sqrt(weight_a * share);
    for (ptrdiff_t j = 0; j < q; j++) {
        struct dd mean = {a.high[j], a.low[j]};
        struct dd delta = dd_add((struct dd){b.high[j], b.low[j]}, (struct dd){-mean.high, -mean.low});
        step[j] = delta.high * root;
        mean = dd_add(mean, dd_scale(delta, share));
        a.high[j] = mean.high, a.low[j] = mean.low;
        a.least[j] = LESS(a.least[j], b.least[j]), a.most[j] = MORE(a.most[j], b.most[j]);
    }
    for (ptrdiff_t i = 0; i < q; i++) {
        double *restrict to = a.cross + i * q;
        const double *restrict from = b.cross + i * q;
        for (ptrdiff_t j = 0; j <= i; j++) to[j] += from[j] + step[i] * step[j];
    }
}

PyDoc_STRVAR(merge_doc, "merge(a, b, weight_a, weight_b)\n\n"
"Merge b into a, each a tuple (cross, mean, rest of mean, least, greatest, exponent). Returns False, having changed\n"
"nothing, where columns are scaled.");

static PyObject *py_merge(PyObject *self, PyObject *args)
{
    PyObject *parts[12], *answer = NULL;
    double weight[2];
    struct buffers b = {.count = 0};
    double *at[12], *step = NULL;
    if (!PyArg_ParseTuple(args, "(OOOOOO)(OOOOOO)dd", parts, parts + 1, parts + 2, parts + 3, parts + 4, parts + 5, parts + 6,
                          parts + 7, parts + 8, parts + 9, parts + 10, parts + 11, weight, weight + 1))
        return NULL;
    ptrdiff_t q = 0;
    int plain = 1;
    for (int i = 5; i < 12; i += 6) {
        Py_buffer *e = take(&b, parts[i], PyBUF_C_CONTIGUOUS);
        if (!e) goto done;
        q = e->len / 8;
        for (ptrdiff_t j = 0; j < q; j++) plain &= !((const int64_t *)e->buf)[j];
    }
    for (int i = 0; i < 12; i++)
        if (i % 6 != 5 && !(at[i] = doubles(&b, parts[i], i % 6 ? q : q * q, i < 5 ? PyBUF_WRITABLE : 0))) goto done;
    for (ptrdiff_t j = 0; j < q; j++) plain &= fabs(at[7][j] - at[1][j]) <= SPAN;
    if (plain && !(step = PyMem_Malloc(8 * (q + 1)))) {
        PyErr_NoMemory();
        goto done;
    }
    if (plain) {
        struct side left = {at[0], at[1], at[2], at[3], at[4]}, right = {at[6], at[7], at[8], at[9], at[10]};
        Py_BEGIN_ALLOW_THREADS
        join(q, left, right, weight[0], weight[1], step);
        Py_END_ALLOW_THREADS
    }
    answer = Py_NewRef(plain ? Py_True : Py_False);
done:
    PyMem_Free(step);
    release(&b);
    return answer;
}
