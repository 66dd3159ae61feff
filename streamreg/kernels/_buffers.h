/* Arrays as Python hands them over: how they are taken and released, and what numbers they hold. Included by _gram.c. */

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

static int direct(const Py_buffer *b, enum type type) /* rows of this type that can be read where they are */
{
    ptrdiff_t size = b->itemsize;
    return type_of(b) == type && b->ndim == 2 && b->strides[1] == size && b->strides[0] % size == 0 &&
           b->strides[0] >= size * b->shape[1] && (uintptr_t)b->buf % size == 0;
}

struct column { const void *at; enum type type; };

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
