"""Sums by level of factors, which do not depend on the order of the rows."""
