/* The instruction sets, each with what _gram_kernel.h asks of it. Included by _gram.c. */

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
