"""Do fits agree, and if not, along which directions and why?"""

from streamreg.comparison.verdict import Comparison, Comparisons, compare, compare_all

__all__ = ["Comparison", "Comparisons", "compare", "compare_all"]
