"""Out-of-core streaming regression."""
