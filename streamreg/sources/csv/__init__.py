"""Delimited text: CSV and TSV files, plain or compressed, read in byte ranges that end where records end."""
