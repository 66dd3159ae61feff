"""Formulas: parsed without running anything, learned from a profile of the rows, and turned into columns."""
