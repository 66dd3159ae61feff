"""Filters: which rows are used, said by a condition that is parsed and never run."""
