/* The sums on tiles, and their door to Python; included by _gram.c after _integer_sums.h. */

static const int TILE_DIGITS[] = {3, 5, DIGITS}; /* tried in turn: enough for most counts and decimals, float32, float64 */
enum { TILE_KINDS = 3, TILE_TRIPLES = (2 * DIGITS - 1 + 2) / 3 };
static const int TILE_COUNT[] = {TILE_TRIPLES, 3, 3, 3}; /* words: of digits, and of strays by how many digits there are */
static const int WIDE_COUNT[] = {WIDE_TRIPLES, WIDE_LEVELS}; /* words: on tiles, and of slices */

#ifdef TILES

/* The next rows of a run, with zeros behind the last one. Returns how many there are. */
static ptrdiff_t stage_group(const struct request *a, ptrdiff_t k, double *rows, double *space)
{
    ptrdiff_t m = LESS(a->x->shape[0] - k, GROUP);
    stage(a, k, m, rows, a->width, space);
    memset(rows + m * a->width, 0, 8 * (GROUP - m) * a->width);
    return m;
}

/* Units, and then scales, of digits 256**-digit. */
static void set_units(const struct request *a, int digit, double *unit, double *scale)
{
    double power = ldexp(1.0, -8 * digit);
    for (ptrdiff_t j = 0; j < a->width; j++) {
        unit[j] = (j < a->q ? a->unit[j] : 1.0) * power;
        scale[j] = 1.0 / unit[j];
    }
}

/* Add rows until all are done, or until `need` says what is lacking. Returns how many were added. */
static ptrdiff_t add_narrow(struct request *a, int *need)
{
    double *space = a->space, *unit;
    struct cut c = {.width = a->width, .most = tile_strays(a->width)};
    struct run t = {.q = a->q, .columns = a->width / EDGE, .most = GROUPS, .triples = TILE_TRIPLES, .right = {.most = DIGITS}};
    t.right.tiles = (int8_t *)space, space += a->width * DIGITS_ROOM;
    t.turned = (int8_t *)space, space += EDGE * DIGITS_ROOM;
    t.right.live = (uint64_t *)space, space += a->width;
    c.rows = space, space += GROUP * a->width;
    c.unit = unit = space, c.scale = space + a->width, space += 2 * a->width;
    c.stray = (struct stray *)space, space += STRAY * c.most;
    t.left = t.right;
    ptrdiff_t k = 0;
    *need = a->words[0] ? 0 : 1;
    while (k < a->x->shape[0] && !*need) {
        int fine = 1, kind = a->number;
        c.digits = TILE_DIGITS[kind], c.limit = ldexp(127.0, 8 * (c.digits - 1));
        set_units(a, c.digits - 1, unit, unit + a->width);
        for (t.groups = 0; k < a->x->shape[0] && t.groups < GROUPS; t.groups++) {
            ptrdiff_t m = stage_group(a, k, c.rows, space);
            if (!(fine = pack_group(&c, &t))) break;
            if (c.strays && !a->words[1 + kind]) {
                *need = 2 + kind;
                break;
            }
            if (c.strays) add_strays(&c, a->words[1 + kind]);
            k += m;
        }
        if (t.groups) add_tiles(&t, a->words[0]);
        if (!fine && c.deeper && kind < TILE_KINDS - 1) a->number++;
        else if (!fine) *need = GENERAL;
    }
    return k;
}

/* The same for numbers of many digits, and with weights of at most 1. */
static ptrdiff_t add_wide(const struct request *a, int *need)
{
    double *space = a->space, *left, *right;
    ptrdiff_t columns = a->width / EDGE;
    struct run t = {.q = a->q, .columns = columns, .most = WIDE_GROUPS, .triples = WIDE_TRIPLES};
    t.right.most = RIGHT_WORDS * WORD_DIGITS, t.right.tiles = (int8_t *)space, space += a->width * RIGHT_WORDS * WORD_ROOM;
    t.left.most = LEFT_WORDS * WORD_DIGITS, t.left.tiles = (int8_t *)space, space += a->width * LEFT_WORDS * WORD_ROOM;
    t.turned = (int8_t *)space, space += EDGE * LEFT_WORDS * WORD_ROOM;
    t.right.live = (uint64_t *)space, t.left.live = t.right.live + a->width, space += 2 * a->width;
    if (!a->weight) t.left = t.right;
    left = space, space += 2 * LEFT_WORDS * a->width;
    right = space, space += 2 * RIGHT_WORDS * a->width;
    for (int m = 0; m < LEFT_WORDS; m++)
        set_units(a, WORD_DIGITS * (m + 1) - 1, left + m * a->width, left + (LEFT_WORDS + m) * a->width);
    for (int m = 0; m < RIGHT_WORDS; m++)
        set_units(a, WORD_DIGITS * (m + 1) - 1, right + m * a->width, right + (RIGHT_WORDS + m) * a->width);
    double *rows = space, *weight = a->weight ? rows + GROUP * a->width : NULL;
    space += GROUP * a->width + GROUP;
    ptrdiff_t k = 0;
    *need = a->words[0] ? 0 : 1;
    while (k < a->x->shape[0] && !*need) {
        for (t.groups = 0; k < a->x->shape[0] && t.groups < WIDE_GROUPS; t.groups++) {
            ptrdiff_t m = stage_group(a, k, rows, space);
            for (ptrdiff_t i = 0; weight && i < GROUP; i++) weight[i] = i < m ? a->weight[k + i] : 0.0;
            if (!pack_wide(rows, weight, left, right, &t)) {
                *need = GENERAL;
                break;
            }
            k += m;
        }
        if (t.groups) add_tiles(&t, a->words[0]);
    }
    return k;
}

#endif

PyDoc_STRVAR(tiles_doc, "tiles(kernel, x, y, unit, kind, work, (digits, strays3, strays5, strays8))\n\n"
"As `integers`, on tiles: `kind` is 0, 1 or 2 for numbers of 3, 5 or 8 digits. Returns the next rows' kind too.");

static PyObject *py_tiles(PyObject *self, PyObject *args)
{
    struct buffers b = {.count = 0};
    struct request a;
    PyObject *answer = NULL;
    if (!asked(&b, args, &a, tiled, tile_room, TILE_COUNT, KINDS)) goto done;
    if (!a.kernel->tiles || a.number < 0 || a.number >= TILE_KINDS) {
        PyErr_SetString(PyExc_ValueError, "a kernel with tiles and kind 0, 1 or 2 expected");
        goto done;
    }
    ptrdiff_t added = 0;
    int need = GENERAL;
#ifdef TILES
    if (readable(&a)) {
        Py_BEGIN_ALLOW_THREADS
        added = add_narrow(&a, &need);
        Py_END_ALLOW_THREADS
    }
#endif
    answer = Py_BuildValue("nii", (Py_ssize_t)added, need, a.number);
done:
    release(&b);
    return answer;
}

PyDoc_STRVAR(wide_doc, "wide(kernel, x, y, unit, bits, work, (tiles, slices), weight=None)\n\n"
"As `integers`, on tiles if there are any, for numbers of many digits or slices, and with weights of at most 1.");

static PyObject *py_wide(PyObject *self, PyObject *args)
{
    struct buffers b = {.count = 0};
    struct request a;
    PyObject *first = PyTuple_GetItem(args, 0), *answer = NULL;
    const struct kernel *kernel = first ? chosen(PyLong_AsLong(first)) : NULL;
    if (!kernel || !asked(&b, args, &a, kernel->tiles ? tiled : padded, kernel->tiles ? wide_room : slices_room, WIDE_COUNT, 2) ||
        !bits_fit(&a))
        goto done;
    ptrdiff_t added = 0;
    int need = GENERAL;
    if (readable(&a)) {
        Py_BEGIN_ALLOW_THREADS
#ifdef TILES
        added = kernel->tiles ? add_wide(&a, &need) : add_slices(&a, &need);
#else
        added = add_slices(&a, &need);
#endif
        Py_END_ALLOW_THREADS
    }
    answer = Py_BuildValue("ni", (Py_ssize_t)added, need);
done:
    release(&b);
    return answer;
}

static PyObject *room_and_width(PyObject *args, ptrdiff_t (*room)(ptrdiff_t), ptrdiff_t (*width)(ptrdiff_t))
{
    Py_ssize_t q;
    if (!PyArg_ParseTuple(args, "n", &q)) return NULL;
    return Py_BuildValue("nn", (Py_ssize_t)room(q), (Py_ssize_t)width(q));
}

static PyObject *py_integer_room(PyObject *self, PyObject *args) { return room_and_width(args, integer_room, padded); }
static PyObject *py_tile_room(PyObject *self, PyObject *args) { return room_and_width(args, tile_room, tiled); }

static PyObject *py_wide_room(PyObject *self, PyObject *args)
{
    long k;
    Py_ssize_t q;
    if (!PyArg_ParseTuple(args, "ln", &k, &q)) return NULL;
    const struct kernel *kernel = chosen(k);
    if (!kernel) return NULL;
    return Py_BuildValue("nn", (Py_ssize_t)(kernel->tiles ? wide_room(q) : slices_room(q)),
                         (Py_ssize_t)(kernel->tiles ? tiled(q) : padded(q)));
}
