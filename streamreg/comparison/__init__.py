"""Do fits agree, and if not, along which directions and why?"""

from streamreg.comparison.outcome import Comparison, Comparisons
from streamreg.comparison.verdict import compare, compare_all

__all__ = ["Comparison", "Comparisons", "compare", "compare_all"]
