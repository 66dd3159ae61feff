"""Standard errors, tests and intervals from estimates."""
