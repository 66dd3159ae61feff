"""Reading rows once: accumulate, keep, merge, predict."""
