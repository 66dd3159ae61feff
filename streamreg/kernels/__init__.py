"""The few hot functions, and the arithmetic that they stand on."""
