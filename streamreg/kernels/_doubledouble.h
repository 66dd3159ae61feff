/* Arithmetic on unevaluated sums, as in doubledouble.py. Included by _gram.c. */

struct dd { double high, low; };

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
