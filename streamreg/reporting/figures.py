"""Numbers as text: no more of them than their standard errors and their digits support."""

from math import floor, inf, isfinite, isnan, log10

KEPT = 3  # digits of a standard error that are shown; an estimate ends where they do
_MOST = 10  # digits of an estimate, however small its error is
_LONG = 9  # digits before or after the point from which on an exponent is shorter


def number(value: float, digits: int = 6) -> str:
    """Return a number for a table; a dash for NaN."""
    return "-" if isnan(value) else f"{value:.{digits}g}"


def believed(value: float, trusted: float, digits: int) -> str:
    """Return a number for a table with no more than the digits that can be trusted."""
    return number(value, digits if isnan(trusted) else int(max(1.0, min(float(digits), trusted))))


def probability(value: float) -> str:
    """Return a p-value for a table: one below what a float64 can hold is not zero."""
    return "< 1e-300" if value < 1e-300 else number(value, 3)


def decimals(value: float, error: float, trusted: float = _MOST) -> float:
    """Return after how many decimals a number ends; negative: before the point.

    Parameters
    ----------
    value : float
    error : float
        Its standard error. NaN, zero or infinite: it limits nothing.
    trusted : float
        Its digits; NaN if these are not known.
    """
    limits = [_after(value, _MOST if isnan(trusted) else max(1.0, min(float(_MOST), floor(trusted))))]
    if isfinite(error) and error > 0:
        limits.append(_after(error, KEPT))
    return min(limits)


def fixed(value: float, after: float) -> str:
    """Return a number that ends `after` decimals; with an exponent if that is much shorter."""
    if isnan(value) or not isfinite(value) or not isfinite(after):
        return number(value)
    if value != 0 and (_order(value) >= _LONG or after > _LONG):
        return f"{value:.{max(0, int(after) + _order(value))}e}"
    text = f"{value:.{max(0, int(after))}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def ratio(value: float) -> str:
    """Return a t or z statistic for a table."""
    return number(value, 4) if isnan(value) or abs(value) >= 100 else f"{value:.2f}"


def _order(value: float) -> int:
    return floor(log10(abs(value)))


def _after(value: float, digits: float) -> float:
    """Return how many decimals a number of so many digits has."""
    return inf if value == 0 or not isfinite(value) else digits - 1 - _order(value)
