"""Commands beside fitting: generate data, inspect files and the machine."""
