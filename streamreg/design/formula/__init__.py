"""Formulas: what a text in Wilkinson's notation says, and the columns that its terms make of data."""
