"""Distributions of the target: mean, variance, deviance."""
