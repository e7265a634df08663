"""Two models' runs of lm-eval, to compare."""

from tests.lm_eval_runs import harness, runs  # noqa: F401
