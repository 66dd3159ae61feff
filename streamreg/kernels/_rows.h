/* Linear predictors of the rows of a block, and sums over its rows, as Python asks for them. Included by _gram.c. */

/* The rows of x, if they can be read where they are; else NULL, with an error if one is set. */
static Py_buffer *rows_of(struct buffers *b, PyObject *x, struct rows *r)
{
    Py_buffer *bx = take(b, x, PyBUF_STRIDES);
    if (!bx) return NULL;
    r->single = direct(bx, FLOAT);
    if (bx->ndim != 2 || !(r->single || direct(bx, DOUBLE))) return NULL;
    r->x = bx->buf, r->m = bx->shape[0], r->p = bx->shape[1], r->stride = bx->strides[0] / bx->itemsize;
    return bx;
}

PyDoc_STRVAR(lines_doc, "lines(kernel, x, centre, coef, count, scale, out)\n\n"
"Write (x - centre) @ coef.T, coef being (count, p), at most two, into out (count + 1, m), and squared norms of (x - centre) * scale\n"
"into its last row. Returns False, having written nothing, for types and layouts that are not read here.");

static PyObject *py_lines(PyObject *self, PyObject *args)
{
    long k;
    Py_ssize_t count;
    PyObject *x, *centre, *coef, *scale, *out, *answer = NULL;
    struct rows r = {0};
    struct buffers b = {.count = 0};
    if (!PyArg_ParseTuple(args, "lOOOnOO", &k, &x, &centre, &coef, &count, &scale, &out)) return NULL;
    const struct kernel *kernel = chosen(k);
    if (!kernel) return NULL;
    if (!rows_of(&b, x, &r)) {
        if (!PyErr_Occurred()) answer = Py_NewRef(Py_False);
        goto done;
    }
    if (count < 1 || count > 2) {
        PyErr_SetString(PyExc_ValueError, "one or two lines expected");
        goto done;
    }
    double *c = doubles(&b, centre, r.p, 0), *s = c ? doubles(&b, scale, r.p, 0) : NULL;
    double *f = s ? doubles(&b, coef, count * r.p, 0) : NULL;
    double *o = f ? doubles(&b, out, (count + 1) * r.m, PyBUF_WRITABLE) : NULL;
    if (!o) goto done;
    Py_BEGIN_ALLOW_THREADS
    kernel->lines(&r, c, f, (int)count, s, o);
    Py_END_ALLOW_THREADS
    answer = Py_NewRef(Py_True);
done:
    release(&b);
    return answer;
}

PyDoc_STRVAR(sums_doc, "sums(kernel, x, centre, signed, sized, out)\n\n"
"Write signed @ (x - centre) and sized @ abs(x - centre) into out (2, p). Returns False, having written nothing, for types\n"
"and layouts that are not read here.");

static PyObject *py_sums(PyObject *self, PyObject *args)
{
    long k;
    PyObject *x, *centre, *weights[2], *out, *answer = NULL;
    struct rows r = {0};
    struct buffers b = {.count = 0};
    if (!PyArg_ParseTuple(args, "lOOOOO", &k, &x, &centre, weights, weights + 1, &out)) return NULL;
    const struct kernel *kernel = chosen(k);
    if (!kernel) return NULL;
    if (!rows_of(&b, x, &r)) {
        if (!PyErr_Occurred()) answer = Py_NewRef(Py_False);
        goto done;
    }
    double *c = doubles(&b, centre, r.p, 0), *u = c ? doubles(&b, weights[0], r.m, 0) : NULL;
    double *v = u ? doubles(&b, weights[1], r.m, 0) : NULL, *o = v ? doubles(&b, out, 2 * r.p, PyBUF_WRITABLE) : NULL;
    if (!o) goto done;
    Py_BEGIN_ALLOW_THREADS
    kernel->sums(&r, c, u, v, o);
    Py_END_ALLOW_THREADS
    answer = Py_NewRef(Py_True);
done:
    release(&b);
    return answer;
}
