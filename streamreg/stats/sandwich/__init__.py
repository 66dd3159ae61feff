"""Sums of scores behind robust covariances."""
