"""The recipes that are compared: one sum, target + grpo − sft, by the methods people use for it."""

import sys
from collections.abc import Mapping
from pathlib import Path

BIN = Path(sys.executable).parent
RVEC, MERGEKIT = BIN / "rvec", BIN / "mergekit-yaml"
REASONING_VECTOR = """\
merge_method: reasoning_vector
base_model: {target}
models:
  - {{model: {grpo}, parameters: {{role: grpo}}}}
  - {{model: {sft}, parameters: {{role: sft}}}}
parameters: {{scale: 1.0}}
out_dtype: bfloat16
"""
FROM_VECTOR = """\
merge_method: reasoning_vector
base_model: {target}
models:
  - {{model: {vector}, parameters: {{role: vector}}}}
parameters: {{scale: 1.0}}
out_dtype: bfloat16
"""
# The published form of such merges.
LINEAR = """\
merge_method: linear
models:
  - {{model: {target}, parameters: {{weight: 1.0}}}}
  - {{model: {sft}, parameters: {{weight: -1.0}}}}
  - {{model: {grpo}, parameters: {{weight: 1.0}}}}
parameters: {{normalize: false}}
dtype: bfloat16
"""
_ARITHMETIC = """\
merge_method: task_arithmetic
base_model: {target}
models:
  - {{model: {grpo}, parameters: {{weight: 1.0}}}}
  - {{model: {sft}, parameters: {{weight: -1.0}}}}
"""
TASK_ARITHMETIC = _ARITHMETIC + "dtype: bfloat16\n"
# The only built-in that is exact.
TASK_ARITHMETIC_F32 = _ARITHMETIC + "dtype: float32\nout_dtype: bfloat16\n"


def write(folder: Path, name: str, text: str, models: Mapping[str, Path]) -> Path:
    """Write a recipe with its models' folders in."""
    path = folder / f"{name}.yaml"
    path.write_text(text.format(**models), encoding="utf-8")
    return path
