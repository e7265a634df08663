"""Task variants, perturbations and what measures a merge with lm-eval."""
