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

struct columns { double *centre, *nudge, *sum, *scaled, *low, *high; }; /* work on a block; the mean is the sum of the first three */

struct update { /* what becomes of a tile */
    double *cross, *rest, *scaled; /* rest: mean deviations, scaled: times the total weight */
    ptrdiff_t q;
    int first, last;
};

enum type { NONE, DOUBLE, FLOAT, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64 };

static enum type type_of(const Py_buffer *b)
{
    const char *f = b->format;
    if (f && *f && strchr(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? "@=<" : "@=>", *f)) f++;
    if (!f || !f[0] || f[1]) return NONE;
    int size = b->itemsize == 8 ? 3 : b->itemsize == 4 ? 2 : b->itemsize == 2 ? 1 : 0;
    if (*f == 'd') return DOUBLE;
    if (*f == 'f') return FLOAT;
    if (strchr("bhilq", *f)) return (enum type)(INT8 + size);
    if (strchr("?BHILQ", *f)) return (enum type)(UINT8 + size);
    return NONE;
}

struct dd { double high, low; }; /* arithmetic on unevaluated sums, as in doubledouble.py */

static struct dd two_sum(double a, double b)
{
    double s = a + b, t = s - a;
    return (struct dd){s, (a - (s - t)) + (b - t)};
}

static struct dd dd_add(struct dd a, struct dd b)
{
    struct dd s = two_sum(a.high, b.high), t = two_sum(a.low, b.low);
    double high = s.high + (s.low + t.high), low = (s.low + t.high) - (high - s.high);
    double sum = high + (low + t.low);
    return (struct dd){sum, (low + t.low) - (sum - high)};
}

static struct dd dd_scale(struct dd a, double b)
{
    double p = a.high * b, e = fma(a.high, b, -p) + a.low * b, s = p + e;
    return (struct dd){s, e - (s - p)};
}

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

#include "_integer.h"

#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)

#define NAME(x) JOIN(portable_, x)
#define TARGET
#define LANES 2
#define WIDE 4
#define ROWS 2
/* Two NaN compare as false, which takes b. */
#define PICK(test, a, b) ((VEC)(((NAME(bits))(a) & (test)) | ((NAME(bits))(b) & ~(test))))
#define LEAST(a, b) PICK((NAME(bits))((a) < (b)), a, b)
#define MOST(a, b) PICK((NAME(bits))((a) > (b)), a, b)
#define FLOATS(p) ((VEC){(p)[0], (p)[1]})
#include "_gram_kernel.h"
#undef NAME
#undef TARGET
#undef LANES
#undef WIDE
#undef ROWS

#ifdef __aarch64__
#include <arm_neon.h>
#define NAME(x) JOIN(neon_, x)
#define TARGET /* part of every such processor */
#define LANES 2
#define WIDE 4
#define ROWS 4
#define LEAST(a, b) ((VEC)vminnmq_f64((float64x2_t)(a), (float64x2_t)(b)))
#define MOST(a, b) ((VEC)vmaxnmq_f64((float64x2_t)(a), (float64x2_t)(b)))
#define FLOATS(p) vcvt_f64_f32(vld1_f32(p))
#define WORDS(v) ((NAME(bits))vcvtnq_s64_f64((float64x2_t)(v)))
#define LESS_EXACTLY(a, b, product) (-(VEC)vfmsq_f64((float64x2_t)(product), (float64x2_t)(a), (float64x2_t)(b)))
#include "_gram_kernel.h"
#undef NAME
#endif

#ifdef __x86_64__
#include <immintrin.h>
#define NAME(x) JOIN(avx2_, x)
#define TARGET __attribute__((target("avx2,fma")))
#define LANES 4
#define WIDE 3
#define ROWS 4
#define LEAST(a, b) ((VEC)_mm256_min_pd((__m256d)(a), (__m256d)(b)))
#define MOST(a, b) ((VEC)_mm256_max_pd((__m256d)(a), (__m256d)(b)))
#define FLOATS(p) _mm256_cvtps_pd(_mm_loadu_ps(p))
#define ANY(v) (!_mm256_testz_si256((__m256i)(v), (__m256i)(v)))
#define LESS_EXACTLY(a, b, product) ((VEC)_mm256_fmsub_pd((__m256d)(a), (__m256d)(b), (__m256d)(product)))
#include "_gram_kernel.h"
#undef NAME
#undef TARGET
#undef LANES
#undef WIDE
#undef ROWS

#define NAME(x) JOIN(avx512_, x)
#ifdef __clang__
#define TARGET __attribute__((target("avx512f,avx512dq,avx2,fma"), min_vector_width(512)))
#else
#define TARGET __attribute__((target("avx512f,avx512dq,avx2,fma,prefer-vector-width=512")))
#endif
#define LANES 8
#define WIDE 3
#define ROWS 8
#define LEAST(a, b) ((VEC)_mm512_min_pd((__m512d)(a), (__m512d)(b)))
#define MOST(a, b) ((VEC)_mm512_max_pd((__m512d)(a), (__m512d)(b)))
#define FLOATS(p) _mm512_cvtps_pd(_mm256_loadu_ps(p))
#define ANY(v) (_mm512_test_epi64_mask((__m512i)(v), (__m512i)(v)) != 0)
#define LESS_EXACTLY(a, b, product) ((VEC)_mm512_fmsub_pd((__m512d)(a), (__m512d)(b), (__m512d)(product)))
#define WORDS(v) ((NAME(bits))_mm512_cvtpd_epi64((__m512d)(v)))
#include "_gram_kernel.h"
#undef NAME
#endif

/* Tiles are for the operating system to permit, which is asked in Linux's way; their intrinsics came with GCC 11. */
#if defined(__x86_64__) && defined(__linux__)
#if __has_include(<amxint8intrin.h>) || __has_include(<amxintrin.h>)
#define TILES
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif
#include "_tile_kernel.h"
#include "_tile_narrow.h"
#include "_tile_wide.h"

#define FUNCTIONS(name, set, tiles) \
    {name, JOIN(set, moments), JOIN(set, widen), JOIN(set, finite), JOIN(set, slice), JOIN(set, slice_wide), \
     JOIN(set, whole_product), JOIN(set, whole_row), tiles}
static const struct kernel {
    const char *name;
    int (*moments)(const struct block *, double *);
    int (*widen)(const Py_buffer *, double *);
    int (*finite)(const char *, ptrdiff_t, ptrdiff_t, ptrdiff_t, int);
    void (*slice)(const struct grid *, struct sliced *, int);
    int (*slice_wide)(const struct cuts *, const double *, ptrdiff_t, ptrdiff_t);
    void (*whole_product)(const double *, const double *, ptrdiff_t, ptrdiff_t, int64_t *);
    void (*whole_row)(const double *, ptrdiff_t, ptrdiff_t, ptrdiff_t, double, int64_t *);
    int tiles; /* whether products of integers are taken on tiles */
} KERNELS[] = {
    FUNCTIONS("portable", portable_, 0),
#ifdef __aarch64__
    FUNCTIONS("neon", neon_, 0),
#endif
#ifdef __x86_64__
    FUNCTIONS("avx2", avx2_, 0),
    FUNCTIONS("avx512", avx512_, 0),
    FUNCTIONS("amx", avx512_, 1),
#endif
};

#ifdef __x86_64__
static int tiles_usable; /* found out when the module starts */

/* Whether this process may use tiles: the permission is asked for once, and holds for every thread. */
static int tiles_permitted(void)
{
#ifdef TILES
    enum { REQUEST = 0x1023, TILE_DATA = 18, LEAF = 7, BITS = 1 << 24 | 1 << 25 }; /* tiles, and their products of int8 */
    unsigned a, b, c, d;
    return __get_cpuid_count(LEAF, 0, &a, &b, &c, &d) && (d & BITS) == BITS && !syscall(SYS_arch_prctl, REQUEST, TILE_DATA);
#else
    return 0;
#endif
}
#endif

static int usable(int k)
{
#ifdef __x86_64__
    if (k == 1) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (k == 2)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma");
    if (k == 3) return usable(2) && __builtin_cpu_supports("avx512bw") && tiles_usable;
#elif defined(__aarch64__)
    if (k == 1) return 1;
#endif
    return k == 0;
}

/* ---------------------------------------------------------------- work */

/* Rows copied if need be, y, roots, `columns`, packed rows, and 64 bytes to align them. */
static ptrdiff_t room(ptrdiff_t m, ptrdiff_t q) { return m * (q + 2) + (DEEP + 6) * (q + LANES_MOST) + 8; }

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

/* ---------------------------------------------------------------- Python */

/* Buffers of arguments that are released together. */
struct buffers { Py_buffer at[16]; int count; };

static void release(struct buffers *b)
{
    while (b->count) PyBuffer_Release(&b->at[--b->count]);
}

static Py_buffer *take(struct buffers *b, PyObject *object, int flags)
{
    Py_buffer *one = &b->at[b->count];
    if (PyObject_GetBuffer(object, one, flags | PyBUF_FORMAT)) return NULL;
    b->count++;
    return one;
}

/* Contiguous float64 of at least so many numbers. */
static double *doubles(struct buffers *b, PyObject *object, ptrdiff_t least, int flags)
{
    Py_buffer *one = take(b, object, flags | PyBUF_C_CONTIGUOUS);
    if (!one) return NULL;
    if (type_of(one) == DOUBLE && one->len >= 8 * least) return one->buf;
    PyErr_Format(PyExc_ValueError, "argument: float64 array of at least %zd numbers expected", least);
    return NULL;
}

static const struct kernel *chosen(long k)
{
    int count = sizeof KERNELS / sizeof *KERNELS;
    if (k >= 0 && k < count && usable((int)k)) return &KERNELS[k];
    PyErr_SetString(PyExc_ValueError, "this processor has no such kernel");
    return NULL;
}

static int direct(const Py_buffer *b, enum type type) /* rows of this type that can be read where they are */
{
    ptrdiff_t size = b->itemsize;
    return type_of(b) == type && b->ndim == 2 && b->strides[1] == size && b->strides[0] % size == 0 &&
           b->strides[0] >= size * b->shape[1] && (uintptr_t)b->buf % size == 0;
}

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

PyDoc_STRVAR(room_doc, "room(rows, columns)\n\nHow many float64 `block` needs to work in.");

static PyObject *py_room(PyObject *self, PyObject *args)
{
    Py_ssize_t m, q;
    if (!PyArg_ParseTuple(args, "nn", &m, &q)) return NULL;
    return PyLong_FromSsize_t(room(m, q));
}

#include "_integer_sums.h"
#include "_tile_sums.h"

PyDoc_STRVAR(kernels_doc, "kernels()\n\nNames of the kernels that this processor runs, by number; None for one that it does not.");

static PyObject *py_kernels(PyObject *self, PyObject *none)
{
    int count = sizeof KERNELS / sizeof *KERNELS;
    PyObject *names = PyTuple_New(count);
    for (int k = 0; names && k < count; k++) {
        PyObject *name = usable(k) ? PyUnicode_FromString(KERNELS[k].name) : Py_NewRef(Py_None);
        if (!name || PyTuple_SetItem(names, k, name)) Py_CLEAR(names);
    }
    return names;
}

static PyMethodDef METHODS[] = {
    {"block", py_block, METH_VARARGS, block_doc},
    {"merge", py_merge, METH_VARARGS, merge_doc},
    {"finite", py_finite, METH_VARARGS, finite_doc},
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
#ifdef __x86_64__
    __builtin_cpu_init();
    tiles_usable = tiles_permitted();
#endif
    return 0;
}

static PyModuleDef_Slot SLOTS[] = {{Py_mod_exec, start}, {0, NULL}};
static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_gram", "Compiled kernels; see gram.py.", 0, METHODS, SLOTS};

PyMODINIT_FUNC PyInit__gram(void)
{
    return PyModuleDef_Init(&MODULE);
}
