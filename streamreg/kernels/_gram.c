/* Moments of cache-sized blocks, and their merging, without the interpreter and without a BLAS.
 *
 * Plain C with the vectors of GCC and Clang; Python's limited API, so one build serves every version from 3.11 on.
 * The interpreter's lock is released while numbers are worked on.
 */

#ifndef Py_GIL_DISABLED
#define Py_LIMITED_API 0x030b0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")
#define LESS(a, b) ((a) < (b) ? (a) : (b))
#define MORE(a, b) ((a) > (b) ? (a) : (b))

/* What is worked on; then the kernels, for each instruction set; then what is done with them. */
#include "_buffers.h"
#include "_doubledouble.h"
#include "_block.h"
#include "_integer.h"

#include "_sets.h"
#include "_tile_kernel.h"
#include "_tile_narrow.h"
#include "_tile_wide.h"

#include "_choice.h"
#include "_merge.h"
#include "_integer_sums.h"
#include "_tile_sums.h"
#include "_rows.h"

static int follows(const Py_buffer *y, const Py_buffer *x) /* whether y lies in the rows of x, as their next column */
{
    return (char *)y->buf == (char *)x->buf + x->itemsize * x->shape[1] && y->strides[0] == x->strides[0] &&
           type_of(y) == type_of(x) && x->strides[0] > x->itemsize * x->shape[1];
}

static int whole_numbers(const Py_buffer *b) { return type_of(b) == INT64 || type_of(b) == UINT64; }

PyDoc_STRVAR(block_doc, "block(kernel, x, y, weight, total, work, low, high, mean, rest, cross)\n\n"
"Moments of the rows of x (m, p), beside y (m,) or None. Returns False, having written nothing that counts, where\n"
"the general path is needed: types, magnitudes and values that are not finite.");

static PyObject *py_block(PyObject *self, PyObject *args)
{
    long k;
    PyObject *x, *y, *weight, *work, *outs[5], *answer = NULL;
    struct block t = {0};
    struct buffers b = {.count = 0};
    if (!PyArg_ParseTuple(args, "lOOOdOOOOOO", &k, &x, &y, &weight, &t.total, &work, outs, outs + 1, outs + 2, outs + 3,
                          outs + 4))
        return NULL;
    const struct kernel *kernel = chosen(k);
    Py_buffer *bx = kernel ? take(&b, x, PyBUF_STRIDES) : NULL;
    Py_buffer *by = bx && y != Py_None ? take(&b, y, PyBUF_STRIDES) : NULL;
    if (!bx || (y != Py_None && !by)) goto done;
    if (bx->ndim != 2 || bx->shape[0] < 1 || (by && (by->ndim != 1 || by->shape[0] != bx->shape[0]))) {
        PyErr_SetString(PyExc_ValueError, "x of shape (m, p) with m > 0, and y of shape (m,) expected");
        goto done;
    }
    t.m = bx->shape[0], t.p = bx->shape[1];
    ptrdiff_t q = t.p + (by != NULL);
    double *space = doubles(&b, work, room(t.m, q), PyBUF_WRITABLE);
    double **places[] = {&t.low, &t.high, &t.mean, &t.rest, &t.cross};
    for (int i = 0; i < 5 && space; i++)
        if (!(*places[i] = doubles(&b, outs[i], i < 4 ? q : q * q, PyBUF_WRITABLE))) space = NULL;
    if (space && weight != Py_None && !(t.weight = doubles(&b, weight, t.m, 0))) space = NULL;
    if (!space) goto done;
    if (type_of(bx) == NONE || (by && type_of(by) == NONE)) {
        answer = Py_NewRef(Py_False);
        goto done;
    }
    int fine;
    Py_BEGIN_ALLOW_THREADS
    t.single = direct(bx, FLOAT);
    if (t.single || direct(bx, DOUBLE)) {
        t.x = bx->buf, t.stride = bx->strides[0] / bx->itemsize;
        if (by && follows(by, bx)) t.p++, by = NULL;
    } else {
        kernel->widen(bx, space);
        t.x = space, t.stride = t.p;
    }
    space += t.m * t.p;
    if (by) {
        kernel->widen(by, space);
        t.y = space, space += t.m;
    }
    t.whole = whole_numbers(bx) || (by && whole_numbers(by));
    fine = kernel->moments(&t, space);
    Py_END_ALLOW_THREADS
    answer = Py_NewRef(fine ? Py_True : Py_False);
done:
    release(&b);
    return answer;
}

PyDoc_STRVAR(finite_doc, "finite(kernel, values)\n\n"
"Whether an array of floats holds neither NaN nor infinity; None for types and layouts that are not read here.");

static PyObject *py_finite(PyObject *self, PyObject *args)
{
    long k;
    PyObject *values, *answer = NULL;
    struct buffers b = {.count = 0};
    if (!PyArg_ParseTuple(args, "lO", &k, &values)) return NULL;
    const struct kernel *kernel = chosen(k);
    Py_buffer *a = kernel ? take(&b, values, PyBUF_STRIDES) : NULL;
    if (!a) return NULL;
    enum type type = type_of(a);
    ptrdiff_t m = a->ndim ? a->shape[0] : 1, p = a->ndim == 2 ? a->shape[1] : 1, down = a->ndim ? a->strides[0] : 0;
    if (a->ndim == 2 && a->strides[1] != a->itemsize) { /* columns stored one after the other are as good as rows */
        m = a->shape[1], p = a->shape[0], down = a->strides[1];
        if (a->strides[0] != a->itemsize) type = NONE;
    }
    if (down == p * a->itemsize) p *= m, m = 1; /* one row after the other: a long one */
    if (a->ndim < 1 || a->ndim > 2 || (uintptr_t)a->buf % a->itemsize || down % a->itemsize) type = NONE;
    if (type != DOUBLE && type != FLOAT) {
        answer = Py_NewRef(Py_None);
    } else {
        int fine;
        Py_BEGIN_ALLOW_THREADS
        fine = kernel->finite(a->buf, m, p, down, type == FLOAT);
        Py_END_ALLOW_THREADS
        answer = Py_NewRef(fine ? Py_True : Py_False);
    }
    release(&b);
    return answer;
}

PyDoc_STRVAR(rows_doc, "rows(kernel, columns, out)\n\n"
"Write a tuple of columns (m,) side by side into out (m, p), of float64, or of float32 where all columns are. Returns\n"
"whether all numbers are finite; None, having written nothing, for types and layouts that are not read here.");

static PyObject *py_rows(PyObject *self, PyObject *args)
{
    long k;
    PyObject *columns, *out, *answer = NULL;
    struct buffers b = {.count = 0};
    if (!PyArg_ParseTuple(args, "lO!O", &k, &PyTuple_Type, &columns, &out)) return NULL;
    const struct kernel *kernel = chosen(k);
    Py_buffer *to = kernel ? take(&b, out, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE) : NULL, *held = NULL;
    struct column *from = NULL;
    ptrdiff_t p = PyTuple_Size(columns), m = 0, taken = 0;
    if (!to) goto done;
    enum type type = type_of(to);
    if (to->ndim != 2 || to->shape[1] != p || (type != DOUBLE && type != FLOAT)) {
        PyErr_SetString(PyExc_ValueError, "out of shape (m, p), float64 or float32, for a tuple of p columns expected");
        goto done;
    }
    held = PyMem_Malloc((p + 1) * sizeof *held), from = PyMem_Malloc((p + 1) * sizeof *from), m = to->shape[0];
    if (!held || !from) {
        PyErr_NoMemory();
        goto done;
    }
    int known = 1;
    for (; taken < p; taken++) {
        Py_buffer *one = held + taken;
        if (PyObject_GetBuffer(PyTuple_GetItem(columns, taken), one, PyBUF_STRIDES | PyBUF_FORMAT)) goto done;
        struct column column = {one->buf, type_of(one)};
        from[taken] = column;
        int whole = column.type == INT64 || column.type == UINT64; /* float64 may not hold them */
        if (one->ndim != 1 || one->shape[0] != m) {
            taken++;
            PyErr_SetString(PyExc_ValueError, "columns as long as out has rows expected");
            goto done;
        }
        if (column.type == NONE || whole || (type == FLOAT && column.type != FLOAT) || (m > 1 && one->strides[0] != one->itemsize) ||
            (uintptr_t)one->buf % one->itemsize)
            known = 0;
    }
    if (known) {
        int fine;
        Py_BEGIN_ALLOW_THREADS
        fine = kernel->rows(from, p, m, to->buf, type == FLOAT);
        Py_END_ALLOW_THREADS
        answer = Py_NewRef(fine ? Py_True : Py_False);
    } else {
        answer = Py_NewRef(Py_None);
    }
done:
    while (taken) PyBuffer_Release(&held[--taken]);
    PyMem_Free(held), PyMem_Free(from);
    release(&b);
    return answer;
}

PyDoc_STRVAR(room_doc, "room(rows, columns)\n\nHow many float64 `block` needs to work in.");

static PyObject *py_room(PyObject *self, PyObject *args)
{
    Py_ssize_t m, q;
    if (!PyArg_ParseTuple(args, "nn", &m, &q)) return NULL;
    return PyLong_FromSsize_t(room(m, q));
}

PyDoc_STRVAR(kernels_doc, "kernels()\n\nNames of the kernels that this processor runs, by number; None for one that it does not.");

static PyObject *py_kernels(PyObject *self, PyObject *none)
{
    PyObject *names = PyTuple_New(KERNEL_COUNT);
    for (int k = 0; names && k < KERNEL_COUNT; k++) {
        PyObject *name = KERNELS[k].usable() ? PyUnicode_FromString(KERNELS[k].name) : Py_NewRef(Py_None);
        if (!name || PyTuple_SetItem(names, k, name)) Py_CLEAR(names);
    }
    return names;
}

static PyMethodDef METHODS[] = {
    {"block", py_block, METH_VARARGS, block_doc},
    {"lines", py_lines, METH_VARARGS, lines_doc},
    {"sums", py_sums, METH_VARARGS, sums_doc},
    {"merge", py_merge, METH_VARARGS, merge_doc},
    {"finite", py_finite, METH_VARARGS, finite_doc},
    {"rows", py_rows, METH_VARARGS, rows_doc},
    {"room", py_room, METH_VARARGS, room_doc},
    {"integers", py_integers, METH_VARARGS, integers_doc},
    {"integer_room", py_integer_room, METH_VARARGS,
     "integer_room(columns)\n\nHow many float64 `integers` works in; the width of words."},
    {"tiles", py_tiles, METH_VARARGS, tiles_doc},
    {"wide", py_wide, METH_VARARGS, wide_doc},
    {"tile_room", py_tile_room, METH_VARARGS, "tile_room(columns)\n\nHow many float64 `tiles` works in; the width of words."},
    {"wide_room", py_wide_room, METH_VARARGS,
     "wide_room(kernel, columns)\n\nHow many float64 `wide` works in; the width of words."},
    {"kernels", py_kernels, METH_NOARGS, kernels_doc},
    {NULL, NULL, 0, NULL},
};

static int start(PyObject *module)
{
    look_around();
    return 0;
}

static PyModuleDef_Slot SLOTS[] = {{Py_mod_exec, start}, {0, NULL}};
static struct PyModuleDef MODULE = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "_gram",
    .m_doc = "Compiled kernels; see gram.py.",
    .m_methods = METHODS,
    .m_slots = SLOTS,
};

PyMODINIT_FUNC PyInit__gram(void)
{
    return PyModuleDef_Init(&MODULE);
}
