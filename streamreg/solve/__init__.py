"""From second moments to coefficients, with the digits to trust: p-sized algebra that never sees a row."""
