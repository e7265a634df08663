"""lm-eval tasks: variants, prompts, perturbations, answers, scoring."""
