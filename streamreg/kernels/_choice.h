/* The table of kernels, and which of them this processor runs; included by _gram.c. */

struct kernel {
    const char *name;
    int (*moments)(const struct block *, double *);
    int (*widen)(const Py_buffer *, double *);
    int (*finite)(const char *, ptrdiff_t, ptrdiff_t, ptrdiff_t, int);
    int (*rows)(const struct column *, ptrdiff_t, ptrdiff_t, void *, int);
    void (*slice)(const struct grid *, struct sliced *, int);
    int (*slice_wide)(const struct cuts *, const double *, ptrdiff_t, ptrdiff_t);
    void (*whole_product)(const double *, const double *, ptrdiff_t, ptrdiff_t, int64_t *);
    void (*whole_row)(const double *, ptrdiff_t, ptrdiff_t, ptrdiff_t, double, int64_t *);
    void (*lines)(const struct rows *, const double *, const double *, int, const double *, double *);
    void (*sums)(const struct rows *, const double *, const double *, const double *, double *);
    int tiles; /* whether products of integers are taken on tiles */
    int (*usable)(void); /* whether this processor and its operating system run it */
};

static int always(void) { return 1; }

#ifdef __x86_64__
static int tiles_usable;

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

static int has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
static int has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma");
}
static int has_tiles(void) { return has_avx512() && __builtin_cpu_supports("avx512bw") && tiles_usable; }
#endif

/* Ask the processor and the operating system; once, when the module starts. */
static void look_around(void)
{
#ifdef __x86_64__
    __builtin_cpu_init();
    tiles_usable = tiles_permitted();
#endif
}

#define FUNCTIONS(name, set, tiles, usable) \
    {name, JOIN(set, moments), JOIN(set, widen), JOIN(set, finite), JOIN(set, rows), JOIN(set, slice), \
     JOIN(set, slice_wide), JOIN(set, whole_product), JOIN(set, whole_row), JOIN(set, lines), JOIN(set, sums), tiles, \
     usable}
static const struct kernel KERNELS[] = {
    FUNCTIONS("portable", portable_, 0, always),
#ifdef __aarch64__
    FUNCTIONS("neon", neon_, 0, always),
#endif
#ifdef __x86_64__
    FUNCTIONS("avx2", avx2_, 0, has_avx2),
    FUNCTIONS("avx512", avx512_, 0, has_avx512),
    FUNCTIONS("amx", avx512_, 1, has_tiles),
#endif
};
enum { KERNEL_COUNT = sizeof KERNELS / sizeof *KERNELS };

static const struct kernel *chosen(long k)
{
    if (k >= 0 && k < KERNEL_COUNT && KERNELS[k].usable()) return &KERNELS[k];
    PyErr_SetString(PyExc_ValueError, "this processor has no such kernel");
    return NULL;
}
