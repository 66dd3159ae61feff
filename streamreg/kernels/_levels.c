/* Levels of factors: their codes, integer sums by level, and how often two levels meet.
 *
 * Sums are of integers, so their order does not show: any instruction set, any order of the rows gives the same bits.
 * Plain C and Python's limited API, as _gram.c; the interpreter's lock is released while numbers are worked on.
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

#include "_buffers.h"

enum { DIGITS = 3, RUN = 128, AHEAD = 8, FACTORS = 3 };

/* A block of rows, and the sums that they are added to. */
struct rows {
    ptrdiff_t m, q, width; /* rows; columns; columns of the sums, which are one more where there are weights */
    const double *z, *low, *weight, *scale;
    int64_t *digits; /* scratch */
    int factors;
    const int32_t *code[FACTORS];
    int64_t *sums[FACTORS], *counts[FACTORS];
};

#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)

#define NAME(x) JOIN(portable_, x)
#define TARGET
#include "_levels_kernel.h"

#ifdef __x86_64__
#define NAME(x) JOIN(avx2_, x)
#define TARGET __attribute__((target("avx2,fma")))
#include "_levels_kernel.h"

#define NAME(x) JOIN(avx512_, x)
#define TARGET __attribute__((target("avx512f,avx512dq,avx2,fma")))
#include "_levels_kernel.h"
#endif

static void (*add)(const struct rows *) = portable_add;
static void (*largest)(const double *, const double *, ptrdiff_t, ptrdiff_t, double *) = portable_largest;

static void look_around(void)
{
#ifdef __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma"))
        add = avx512_add, largest = avx512_largest;
    else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        add = avx2_add, largest = avx2_largest;
#endif
}

/* Contiguous numbers of one type, at least so many. */
static void *numbers(struct buffers *b, PyObject *object, enum type type, ptrdiff_t least, int flags)
{
    Py_buffer *one = b->count < 16 ? take(b, object, flags | PyBUF_C_CONTIGUOUS) : NULL;
    if (!one) return NULL;
    if (type_of(one) == type && one->len >= one->itemsize * least) return one->buf;
    PyErr_Format(PyExc_ValueError, "argument: contiguous array of at least %zd numbers of another type expected", least);
    return NULL;
}

static ptrdiff_t length(struct buffers *b) { return b->at[b->count - 1].len / b->at[b->count - 1].itemsize; }

PyDoc_STRVAR(largest_doc, "largest(z, weight, out)\n\nThe largest magnitude of each column of z (m, q), times the weights.");

static PyObject *py_largest(PyObject *self, PyObject *args)
{
    PyObject *z, *weight, *out, *answer = NULL;
    struct buffers b = {.count = 0};
    if (!PyArg_ParseTuple(args, "OOO", &z, &weight, &out)) return NULL;
    const double *rows = numbers(&b, z, DOUBLE, 0, 0), *w = NULL;
    if (!rows || b.at[0].ndim != 2) goto done;
    ptrdiff_t m = b.at[0].shape[0], q = b.at[0].shape[1];
    double *to = numbers(&b, out, DOUBLE, q, PyBUF_WRITABLE);
    if (!to || (weight != Py_None && !(w = numbers(&b, weight, DOUBLE, m, 0)))) goto done;
    Py_BEGIN_ALLOW_THREADS
    largest(rows, w, m, q, to);
    Py_END_ALLOW_THREADS
    answer = Py_NewRef(Py_None);
done:
    if (!answer && !PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "z of shape (m, q) expected");
    release(&b);
    return answer;
}

PyDoc_STRVAR(add_doc, "add(z, low, weight, scale, digits, factors)\n\n"
"Add the digits of the rows of z (m, q), in units of 1 / scale, to the sums of their levels. `factors` is a sequence of\n"
"codes int32 (m,), sums int64 (L, 3 * width), counts int64 (L,) for at most 3 factors; codes are below L. `digits` is\n"
"scratch.");

static PyObject *py_add(PyObject *self, PyObject *args)
{
    PyObject *z, *low, *weight, *scale, *digits, *factors, *answer = NULL;
    struct buffers b = {.count = 0};
    struct rows t = {0};
    if (!PyArg_ParseTuple(args, "OOOOOO!", &z, &low, &weight, &scale, &digits, &PyTuple_Type, &factors)) return NULL;
    if (!(t.z = numbers(&b, z, DOUBLE, 0, 0)) || b.at[0].ndim != 2) goto done;
    t.m = b.at[0].shape[0], t.q = b.at[0].shape[1], t.width = t.q + (weight != Py_None);
    if (low != Py_None && !(t.low = numbers(&b, low, DOUBLE, t.m * t.q, 0))) goto done;
    if (weight != Py_None && !(t.weight = numbers(&b, weight, DOUBLE, t.m, 0))) goto done;
    if (!(t.scale = numbers(&b, scale, DOUBLE, t.width, 0))) goto done;
    if (!(t.digits = numbers(&b, digits, INT64, RUN * DIGITS * t.width, PyBUF_WRITABLE))) goto done;
    Py_ssize_t count = PyTuple_Size(factors);
    if (count < 0 || count % 3 || count > 3 * FACTORS) goto done;
    for (t.factors = 0; 3 * t.factors < count; t.factors++) {
        Py_ssize_t f = t.factors;
        if (!(t.code[f] = numbers(&b, PyTuple_GetItem(factors, 3 * f), INT32, t.m, 0))) goto done;
        if (!(t.sums[f] = numbers(&b, PyTuple_GetItem(factors, 3 * f + 1), INT64, 0, PyBUF_WRITABLE))) goto done;
        ptrdiff_t levels = t.width ? length(&b) / (DIGITS * t.width) : 0;
        if (!(t.counts[f] = numbers(&b, PyTuple_GetItem(factors, 3 * f + 2), INT64, levels, PyBUF_WRITABLE))) goto done;
    }
    Py_BEGIN_ALLOW_THREADS
    add(&t);
    Py_END_ALLOW_THREADS
    answer = Py_NewRef(Py_None);
done:
    if (!answer && !PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "z of shape (m, q), and three arrays a factor expected");
    release(&b);
    return answer;
}

static inline uint64_t mixed(uint64_t key)
{
    key *= 0x9E3779B97F4A7C15u;
    return key ^ key >> 32;
}

/* The table of codes: (key, code + 1), 0 for none. */
static ptrdiff_t encode(const char *key, ptrdiff_t step, ptrdiff_t m, int64_t *table, uint64_t mask, int64_t *levels,
                        ptrdiff_t room, int32_t *code, ptrdiff_t *used)
{
    for (ptrdiff_t k = 0; k < m; k++) {
        if (k + AHEAD < m)
            __builtin_prefetch(table + 2 * (mixed(*(const uint64_t *)(key + (k + AHEAD) * step)) & mask));
        uint64_t wanted = *(const uint64_t *)(key + k * step), at = mixed(wanted) & mask;
        while (table[2 * at + 1] && (uint64_t)table[2 * at] != wanted) at = (at + 1) & mask;
        if (!table[2 * at + 1]) {
            if (*used >= room) return k;
            levels[*used] = (int64_t)wanted, table[2 * at] = (int64_t)wanted, table[2 * at + 1] = ++*used;
        }
        code[k] = (int32_t)(table[2 * at + 1] - 1);
    }
    return m;
}

PyDoc_STRVAR(encode_doc, "encode(keys, table, levels, room, used, codes)\n\n"
"Write the code of each key, int64 (m,), and give new keys the next ones. `table` is int64 (2**k, 2), zero at first, and\n"
"`levels` holds the keys by code. Returns (used, rows done): fewer than m where `room` codes are taken.");

static PyObject *py_encode(PyObject *self, PyObject *args)
{
    PyObject *keys, *table, *levels, *codes, *answer = NULL;
    Py_ssize_t room, used;
    struct buffers b = {.count = 0};
    if (!PyArg_ParseTuple(args, "OOOnnO", &keys, &table, &levels, &room, &used, &codes)) return NULL;
    Py_buffer *from = take(&b, keys, PyBUF_STRIDES);
    if (!from || from->ndim != 1 || type_of(from) != INT64) goto done;
    ptrdiff_t m = from->shape[0], step = from->strides[0];
    int64_t *places = numbers(&b, table, INT64, 2, PyBUF_WRITABLE);
    ptrdiff_t size = places ? length(&b) / 2 : 0;
    int64_t *known = places ? numbers(&b, levels, INT64, room, PyBUF_WRITABLE) : NULL;
    int32_t *code = known ? numbers(&b, codes, INT32, m, PyBUF_WRITABLE) : NULL;
    if (!code || size & (size - 1) || room >= size || room > INT32_MAX) goto done;
    ptrdiff_t done, count = used;
    Py_BEGIN_ALLOW_THREADS
    done = encode(from->buf, step, m, places, (uint64_t)size - 1, known, room, code, &count);
    Py_END_ALLOW_THREADS
    answer = Py_BuildValue("nn", (Py_ssize_t)count, (Py_ssize_t)done);
done:
    if (!answer && !PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "keys int64 (m,), and a table of 2**k places expected");
    release(&b);
    return answer;
}

/* Digits of a weight, as in _levels_kernel.h. */
static inline void cut(double left, int64_t *to)
{
    for (int d = 0; d < DIGITS; d++) {
        double whole = trunc(left);
        to[d] += (int64_t)whole;
        left = (left - whole) * 0x1p32;
    }
}

PyDoc_STRVAR(table_doc, "table(a, b, weight, scale, counts, digits)\n\n"
"Count the pairs of codes (a, b), int32 (m,), in a full table uint32 (A, B), and with weights their digits, int64\n"
"(A, B, 3). Codes are below A and B.");

static PyObject *py_table(PyObject *self, PyObject *args)
{
    PyObject *a, *c, *weight, *counts, *digits, *answer = NULL;
    double scale;
    struct buffers b = {.count = 0};
    if (!PyArg_ParseTuple(args, "OOOdOO", &a, &c, &weight, &scale, &counts, &digits)) return NULL;
    const double *w = NULL;
    int64_t *cuts = NULL;
    const int32_t *one = numbers(&b, a, INT32, 0, 0), *two = NULL;
    ptrdiff_t m = one ? length(&b) : 0;
    if (!one || !(two = numbers(&b, c, INT32, m, 0))) goto done;
    uint32_t *count = numbers(&b, counts, UINT32, 0, PyBUF_WRITABLE);
    if (!count || b.at[b.count - 1].ndim != 2) goto done;
    ptrdiff_t size = length(&b), across = b.at[b.count - 1].shape[1];
    if (weight != Py_None && !(w = numbers(&b, weight, DOUBLE, m, 0))) goto done;
    if (w && !(cuts = numbers(&b, digits, INT64, DIGITS * size, PyBUF_WRITABLE))) goto done;
    Py_BEGIN_ALLOW_THREADS
    for (ptrdiff_t k = 0; k < m; k++) {
        if (k + AHEAD < m) __builtin_prefetch(count + one[k + AHEAD] * across + two[k + AHEAD], 1);
        ptrdiff_t at = one[k] * across + two[k];
        count[at]++;
        if (w) cut(w[k] * scale, cuts + DIGITS * at);
    }
    Py_END_ALLOW_THREADS
    answer = Py_NewRef(Py_None);
done:
    if (!answer && !PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "codes int32 (m,), and a table uint32 (A, B) expected");
    release(&b);
    return answer;
}

/* Double-double, operation by operation as in doubledouble.py. */
struct pair { double high, low; };

static inline struct pair two_sum(double a, double b)
{
    double s = a + b, t = s - a;
    return (struct pair){s, (a - (s - t)) + (b - t)};
}

static inline struct pair quick(double a, double b)
{
    double s = a + b;
    return (struct pair){s, b - (s - a)};
}

static inline struct pair plus(struct pair a, struct pair b)
{
    struct pair s = two_sum(a.high, b.high), t = two_sum(a.low, b.low);
    s = quick(s.high, s.low + t.high);
    return quick(s.high, s.low + t.low);
}

/* What the digits of one column come to; `step` apart. */
static inline struct pair value(const int64_t *digit, ptrdiff_t step, const double *unit)
{
    int64_t part[DIGITS], first;
    for (int d = 0; d < DIGITS; d++) part[d] = digit[d * step];
    for (int d = DIGITS - 1; d; d--) {
        int64_t over = part[d] >> 32;
        part[d] -= over * ((int64_t)1 << 32), part[d - 1] += over;
    }
    first = part[0] >> 32, part[0] -= first * ((int64_t)1 << 32);
    struct pair total = {(double)first * unit[0], 0.0};
    for (int d = 0; d < DIGITS; d++) {
        struct pair s = two_sum(total.high, (double)part[d] * unit[d + 1]);
        total = quick(s.high, s.low + total.low);
    }
    return total;
}

PyDoc_STRVAR(about_doc, "about(sums, codes, counts, units, mean, scale, weights, out)\n\n"
"Sums of some levels, int64 (L, 3 * width), about the means, times `scale` (q,): float64 out (m, q). `units` (width, 4) is\n"
"what digits are multiplied by, `mean` (2, q) both halves of the means. The width is q, or q + 1 where the last column is\n"
"of weights, which then go into `weights` (m,); else counts do.");

static PyObject *py_about(PyObject *self, PyObject *args)
{
    PyObject *o[8], *answer = NULL;
    struct buffers b = {.count = 0};
    if (!PyArg_ParseTuple(args, "OOOOOOOO", o, o + 1, o + 2, o + 3, o + 4, o + 5, o + 6, o + 7)) return NULL;
    const int64_t *sums = numbers(&b, o[0], INT64, 0, 0), *counts = NULL;
    const int32_t *code = sums ? numbers(&b, o[1], INT32, 0, 0) : NULL;
    ptrdiff_t m = code ? length(&b) : 0, width = 0, q = 0;
    if (!code || !(counts = numbers(&b, o[2], INT64, 0, 0))) goto done;
    const double *units = numbers(&b, o[3], DOUBLE, 0, 0), *mean = NULL, *scale = NULL;
    if (!units) goto done;
    width = length(&b) / (DIGITS + 1);
    if (!(scale = numbers(&b, o[5], DOUBLE, 0, 0))) goto done;
    q = length(&b);
    if ((width != q && width != q + 1) || !(mean = numbers(&b, o[4], DOUBLE, 2 * q, 0))) goto done;
    double *weights = numbers(&b, o[6], DOUBLE, m, PyBUF_WRITABLE), *out = NULL;
    if (!weights || !(out = numbers(&b, o[7], DOUBLE, m * q, PyBUF_WRITABLE))) goto done;
    Py_BEGIN_ALLOW_THREADS
    for (ptrdiff_t k = 0; k < m; k++) {
        const int64_t *digits = sums + code[k] * DIGITS * width;
        if (k + AHEAD < m)
            for (ptrdiff_t i = 0; i < DIGITS * width; i += 8)
                __builtin_prefetch(sums + code[k + AHEAD] * DIGITS * width + i);
        struct pair own = {(double)counts[code[k]], 0.0};
        if (width > q) own = value(digits + q, width, units + (DIGITS + 1) * q);
        weights[k] = own.high;
        for (ptrdiff_t j = 0; j < q; j++) {
            double product = mean[j] * own.high, rest = fma(mean[j], own.high, -product);
            struct pair whole = quick(product, rest + (mean[j] * own.low + mean[q + j] * own.high));
            struct pair left = plus(value(digits + j, width, units + (DIGITS + 1) * j), (struct pair){-whole.high, -whole.low});
            out[k * q + j] = left.high * scale[j];
        }
    }
    Py_END_ALLOW_THREADS
    answer = Py_NewRef(Py_None);
done:
    if (!answer && !PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "arrays of other shapes expected");
    release(&b);
    return answer;
}

static PyMethodDef METHODS[] = {
    {"largest", py_largest, METH_VARARGS, largest_doc},
    {"add", py_add, METH_VARARGS, add_doc},
    {"encode", py_encode, METH_VARARGS, encode_doc},
    {"table", py_table, METH_VARARGS, table_doc},
    {"about", py_about, METH_VARARGS, about_doc},
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
    .m_name = "_levels",
    .m_doc = "Compiled sums by level; see levels.py.",
    .m_methods = METHODS,
    .m_slots = SLOTS,
};

PyMODINIT_FUNC PyInit__levels(void)
{
    return PyModuleDef_Init(&MODULE);
}
