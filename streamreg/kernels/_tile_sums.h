/* The sums on tiles, and their door to Python; included by _gram.c after _integer_sums.h. */

static const int TILE_DIGITS[] = {3, 5, 8}; /* tried in turn: enough for most counts and decimals, for float32, for float64 */
enum { TILE_KINDS = 3 };
static const int TILE_COUNT[] = {TRIPLES, 3, 3, 3}; /* words: of digits, and of strays by how many digits there are */

#ifdef TILES

/* Add rows until all are done, or until `need` says what is lacking. Returns how many were added. */
TILED static ptrdiff_t add_by_tiles(const struct request *a, struct cut *c, struct tiles *t, double *grid, int *kind, int *need)
{
    static const struct { uint8_t palette, start, none[14]; uint16_t bytes[16]; uint8_t rows[16]; } SHAPE = {
        1, 0, {0}, {64, 64, 64, 64, 64, 64, 64}, {EDGE, EDGE, EDGE, EDGE, EDGE, EDGE, EDGE}};
    ptrdiff_t rows = a->x->shape[0], k = 0;
    *need = a->words[0] ? 0 : 1;
    while (k < rows && !*need) {
        int fine = 1;
        c->digits = TILE_DIGITS[*kind], c->limit = ldexp(127.0, 8 * (c->digits - 1));
        c->unit = grid, c->scale = grid + c->width;
        for (ptrdiff_t j = 0; j < c->width; j++) {
            grid[j] = ldexp(j < a->q ? a->unit[j] : 1.0, -8 * (c->digits - 1));
            grid[c->width + j] = 1.0 / grid[j];
        }
        for (t->groups = 0; fine && k < rows && t->groups < GROUPS;) {
            ptrdiff_t m = LESS(rows - k, GROUP);
            stage(a, k, m, c->rows, c->width, grid + 2 * c->width);
            memset(c->rows + m * c->width, 0, 8 * (GROUP - m) * c->width);
            fine = pack_group(c, t);
            if (!fine) break;
            if (c->strays && !a->words[1 + *kind]) {
                *need = 2 + *kind;
                break;
            }
            add_strays(c, a->words[1 + *kind]);
            k += m, t->groups++;
        }
        if (t->groups) {
            _tile_loadconfig(&SHAPE);
            add_tiles(t, a->words[0]);
            _tile_release();
        }
        if (!fine && c->deeper && *kind < TILE_KINDS - 1) ++*kind;
        else if (!fine) *need = GENERAL;
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
    if (!asked(&b, args, &a, tiled, tile_room, TILE_COUNT)) goto done;
    if (a.number < 0 || a.number >= TILE_KINDS || !a.kernel->tiles) {
        PyErr_SetString(PyExc_ValueError, "a kernel with tiles and kind 0, 1 or 2 expected");
        goto done;
    }
    ptrdiff_t added = 0;
    int need = GENERAL;
#ifdef TILES
    if (type_of(a.x) != NONE && (!a.y || type_of(a.y) != NONE)) {
        Py_BEGIN_ALLOW_THREADS
        double *space = a.space;
        struct cut c = {.width = a.width, .most = tile_strays(a.width)};
        struct tiles t = {.count = a.width / EDGE};
        t.right = (int8_t *)space, space += a.width * RUN;
        t.left = (int8_t *)space, space += EDGE * RUN;
        c.rows = space, space += GROUP * a.width;
        c.stray = (struct stray *)space, space += STRAY * c.most;
        t.live = (int *)space, space += a.width;
        added = add_by_tiles(&a, &c, &t, space, &a.number, &need);
        Py_END_ALLOW_THREADS
    }
#endif
    answer = Py_BuildValue("nii", (Py_ssize_t)added, need, a.number);
done:
    release(&b);
    return answer;
}

static PyObject *py_tile_room(PyObject *self, PyObject *args)
{
    Py_ssize_t q;
    if (!PyArg_ParseTuple(args, "n", &q)) return NULL;
    return Py_BuildValue("nn", (Py_ssize_t)tile_room(q), (Py_ssize_t)tiled(q));
}
