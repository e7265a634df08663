"""Intervals, tests, power and the verdict's rule."""
