"""Perturbations of evaluation items: exact, seeded, keeping or recomputing the answer."""
