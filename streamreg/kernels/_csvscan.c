/* Where records end in delimited text: the quotes, the lines, and nothing of what the fields hold.
 *
 * Plain C with the vectors of x86 and ARM; Python's limited API, so one build serves every version from 3.11 on. The
 * interpreter's lock is released while bytes are looked at.
 */

#ifndef Py_GIL_DISABLED
#define Py_LIMITED_API 0x030b0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A range, if it begins outside quotes, or inside them. */
struct side {
    int64_t records; /* that end here; blank lines are none */
    int64_t at;      /* the byte after the one of them that was asked for, or -1 */
    int irregular;   /* a quote amid a field, a field that goes on after its closing quote, or a return without a newline */
};

#define NAME(x) portable_##x
#define TARGET
static uint64_t portable_match(const uint8_t *p, int c)
{
    uint64_t found = 0;
    for (int k = 0; k < 64; k += 8) { /* eight bytes at a time; each that equals c leaves its bit in the top byte */
        uint64_t word, low = 0x7f7f7f7f7f7f7f7fu;
        for (int i = 7, first = 1; i >= 0; i--, first = 0) word = (first ? 0 : word << 8) | p[k + i];
        word ^= 0x0101010101010101u * (uint8_t)c;
        word = ~(((word & low) + low) | word | low) >> 7;
        found |= (word * 0x0102040810204080u >> 56) << k;
    }
    return found;
}
#define MATCH(p, c) portable_match(p, c)
#include "_csvscan_kernel.h"

#ifdef __aarch64__
#include <arm_neon.h>
#define NAME(x) neon_##x
#define TARGET
static uint64_t neon_match(const uint8_t *p, int c)
{
    static const uint8_t bits[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t sought = vdupq_n_u8((uint8_t)c), bit = vld1q_u8(bits), part[4];
    for (int k = 0; k < 4; k++) part[k] = vandq_u8(vceqq_u8(vld1q_u8(p + 16 * k), sought), bit);
    uint8x16_t sum = vpaddq_u8(vpaddq_u8(part[0], part[1]), vpaddq_u8(part[2], part[3]));
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sum, sum)), 0);
}
#define MATCH(p, c) neon_match(p, c)
#include "_csvscan_kernel.h"
#endif

#ifdef __x86_64__
#include <immintrin.h>
#define NAME(x) avx2_##x
#define TARGET __attribute__((target("avx2,popcnt,bmi")))
TARGET static inline uint64_t avx2_match(const uint8_t *p, int c)
{
    __m256i sought = _mm256_set1_epi8((char)c);
    uint32_t low = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_loadu_si256((const void *)p), sought));
    uint32_t high = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_loadu_si256((const void *)(p + 32)), sought));
    return low | (uint64_t)high << 32;
}
#define MATCH(p, c) avx2_match(p, c)
#include "_csvscan_kernel.h"

#define NAME(x) avx512_##x
#define TARGET __attribute__((target("avx512f,avx512bw,popcnt,bmi")))
TARGET static inline uint64_t avx512_match(const uint8_t *p, int c)
{
    return _mm512_cmpeq_epi8_mask(_mm512_loadu_si512(p), _mm512_set1_epi8((char)c));
}
#define MATCH(p, c) avx512_match(p, c)
#include "_csvscan_kernel.h"

static int has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("bmi");
}
static int has_avx512(void) { return has_avx2() && __builtin_cpu_supports("avx512bw"); }
#endif

static int always(void) { return 1; }

typedef void scanner(const uint8_t *, ptrdiff_t, ptrdiff_t, int, int, int64_t, struct side[2], int *);

static const struct {
    const char *name;
    scanner *scan;
    int (*usable)(void);
} KERNELS[] = {
    {"portable", portable_scan, always},
#ifdef __aarch64__
    {"neon", neon_scan, always},
#endif
#ifdef __x86_64__
    {"avx2", avx2_scan, has_avx2},
    {"avx512", avx512_scan, has_avx512},
#endif
};
enum { COUNT = sizeof KERNELS / sizeof *KERNELS };

PyDoc_STRVAR(scan_doc, "scan(kernel, data, lead, delimiter, quote, limit)\n\n"
"Records of a range that begins after `lead` bytes of data: two of those before it, or fewer where a record begins\n"
"with the first of them. quote is -1 where there is none. Returns whether the number of quotes is odd, then (records, at, irregular)\n"
"for a range that begins outside quotes, and for one that begins inside.");

static PyObject *py_scan(PyObject *self, PyObject *args)
{
    Py_buffer data;
    Py_ssize_t lead;
    int k, delimiter, quote, odd = 0;
    long long limit;
    if (!PyArg_ParseTuple(args, "iy*niiL", &k, &data, &lead, &delimiter, &quote, &limit)) return NULL;
    if (k < 0 || k >= COUNT || !KERNELS[k].usable() || lead < 0 || lead > data.len || lead > 2 || limit < 1) {
        PyErr_SetString(PyExc_ValueError, "scan: no such kernel, lead or limit");
        PyBuffer_Release(&data);
        return NULL;
    }
    struct side side[2] = {{0, -1, 0}, {0, -1, 0}};
    Py_BEGIN_ALLOW_THREADS
    KERNELS[k].scan(data.buf, data.len, lead, delimiter, quote, limit, side, &odd);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&data);
    return Py_BuildValue("i(LLi)(LLi)", odd, (long long)side[0].records, (long long)side[0].at, side[0].irregular,
                         (long long)side[1].records, (long long)side[1].at, side[1].irregular);
}

/* Where the reading of a text stands, between two of its bytes. */
enum state { RECORD, FIELD, PLAIN, QUOTED, AFTER, RETURN, BLANK, WRONG_QUOTE, WRONG_RETURN };

static enum state next(enum state now, int c, int delimiter, int quote)
{
    if (now == QUOTED) return c == quote ? AFTER : QUOTED;
    if (now == RETURN || now == BLANK) return c == '\n' ? RECORD : WRONG_RETURN;
    if (c == '\n') return RECORD;
    if (c == '\r') return now == RECORD ? BLANK : RETURN;
    if (c == delimiter) return FIELD;
    if (now == AFTER) return c == quote ? QUOTED : WRONG_QUOTE;
    return c == quote && (now == RECORD || now == FIELD) ? QUOTED : PLAIN;
}

PyDoc_STRVAR(walk_doc, "walk(data, state, delimiter, quote, limit)\n\n"
"Read on from a state, byte by byte, up to the end of record `limit`, or of the data. Returns (records, at, state): at\n"
"is the byte after the last one looked at, and state 7 or 8 says what is wrong with that one.");

static PyObject *py_walk(PyObject *self, PyObject *args)
{
    Py_buffer data;
    int state, delimiter, quote;
    long long limit, records = 0;
    if (!PyArg_ParseTuple(args, "y*iiiL", &data, &state, &delimiter, &quote, &limit)) return NULL;
    const uint8_t *p = data.buf;
    ptrdiff_t at = 0;
    Py_BEGIN_ALLOW_THREADS
    while (at < data.len && records < limit && state < WRONG_QUOTE) {
        enum state now = (enum state)state;
        int c = p[at++];
        state = next(now, c, delimiter, quote);
        records += c == '\n' && state == RECORD && now != RECORD && now != BLANK;
    }
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&data);
    return Py_BuildValue("LLi", records, (long long)at, state);
}

PyDoc_STRVAR(zeros_doc, "zeros(data, delimiter, quote)\n\n"
"Whether a field may begin with a zero and another digit, maybe after a sign or blanks.");

static PyObject *py_zeros(PyObject *self, PyObject *args)
{
    Py_buffer data;
    int delimiter, quote, found = 0;
    if (!PyArg_ParseTuple(args, "y*ii", &data, &delimiter, &quote)) return NULL;
    const uint8_t *p = data.buf, d = (uint8_t)delimiter, q = quote < 0 ? '\n' : (uint8_t)quote;
    ptrdiff_t n = data.len;
    Py_BEGIN_ALLOW_THREADS
#define DIGIT(c) ((uint8_t)((c) - '0') < 10)
#define IS(test) ((uint8_t)((test) ? 255 : 0)) /* as compilers have it in vectors */
#define NUMERAL(i) ((p[i] == '0') & DIGIT(p[(i) + 1]))
    if (n > 1) found = NUMERAL(0);
    if (n > 2) found |= NUMERAL(1) & !DIGIT(p[0]);
    for (ptrdiff_t start = 2; start < n - 1 && !found; start += 1 << 14) { /* so that it ends early */
        ptrdiff_t stop = start + (1 << 14) < n - 1 ? start + (1 << 14) : n - 1;
        uint8_t any = 0;
        for (ptrdiff_t i = start; i < stop; i++) {
            uint8_t b = p[i - 1], blank = IS(b == '-') | IS(b == ' ') | IS(b == '\t'), c = (uint8_t)(p[i - 2] - '0');
            uint8_t begins = IS(b == d) | IS(b == '\n') | IS(b == q) | (blank & IS(c > 9)), e = (uint8_t)(p[i + 1] - '0');
            any |= begins & IS(p[i] == '0') & IS(e < 10);
        }
        found = any != 0;
    }
#undef NUMERAL
#undef IS
#undef DIGIT
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&data);
    return PyBool_FromLong(found);
}

static PyObject *py_kernels(PyObject *self, PyObject *none)
{
    PyObject *names = PyTuple_New(COUNT);
    for (int k = 0; names && k < COUNT; k++) {
        PyObject *name = KERNELS[k].usable() ? PyUnicode_FromString(KERNELS[k].name) : Py_NewRef(Py_None);
        if (!name || PyTuple_SetItem(names, k, name)) Py_CLEAR(names);
    }
    return names;
}

static PyMethodDef METHODS[] = {
    {"scan", py_scan, METH_VARARGS, scan_doc},
    {"walk", py_walk, METH_VARARGS, walk_doc},
    {"zeros", py_zeros, METH_VARARGS, zeros_doc},
    {"kernels", py_kernels, METH_NOARGS,
     "kernels()\n\nNames of the kernels that this processor runs, by number; None for one that it does not."},
    {NULL, NULL, 0, NULL},
};

static int start(PyObject *module)
{
#ifdef __x86_64__
    __builtin_cpu_init();
#endif
    return 0;
}

static PyModuleDef_Slot SLOTS[] = {{Py_mod_exec, start}, {0, NULL}};
static struct PyModuleDef MODULE = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "_csvscan",
    .m_doc = "Compiled kernels; see csvscan.py.",
    .m_methods = METHODS,
    .m_slots = SLOTS,
};

PyMODINIT_FUNC PyInit__csvscan(void)
{
    return PyModuleDef_Init(&MODULE);
}
