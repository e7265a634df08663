"""What a verb loads before it works: seconds of every command, if it is torch."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from rvec_merge import cli

HEAVY = ("torch", "mergekit", "transformers", "lm_eval", "huggingface_hub", "numpy", "rich", "yaml")
PROGRAM = f"""
import sys
from rvec_merge.cli import rvec
rvec(["--help"], standalone_mode=False)
print("loaded:", [name for name in {HEAVY!r} if name in sys.modules])
"""


def test_help_lists_every_verb_and_loads_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "loaded: []" in done.stdout
    assert [verb for verb in cli.VERBS if f"\n  {verb} " not in done.stdout] == []


ARITHMETIC = ("torch", "mergekit", "transformers", "lm_eval", "scipy", "matplotlib", "peft")
WORK = f"""
import sys
from rvec_merge.cli import rvec
rvec(sys.argv[1:], standalone_mode=False)
print("loaded:", [name for name in {ARITHMETIC!r} if name in sys.modules])
"""


def loads_nothing(*arguments: str | Path) -> None:
    command = [sys.executable, "-c", WORK, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "loaded: []" in done.stdout, done.stdout


@pytest.mark.parametrize("deep", [[], ["--deep"]])
def test_checks_of_plain_checkpoints_load_no_torch(deep: list[str]) -> None:
    loads_nothing("check", "tiny", *deep)


def test_merge_verify_extract_and_inspect_load_no_torch(tmp_path: Path) -> None:
    loads_nothing("merge", "tiny", tmp_path / "out")
    loads_nothing("verify", tmp_path / "out")
    loads_nothing("extract", "tiny", tmp_path / "vector")
    loads_nothing("inspect", tmp_path / "vector", "tiny", "--stable-rank")
    loads_nothing("extract", "--vector", tmp_path / "vector", "--format", "dense", tmp_path / "d")


def test_adapters_load_no_torch(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    family = Path(__file__).parents[2] / "demo/family"
    for role in ("sft", "grpo"):
        base = AutoModelForCausalLM.from_pretrained(family / "target")
        model = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"]))
        for factor in (p for n, p in model.named_parameters() if "lora_B" in n):
            factor.data.fill_(0.01 if role == "sft" else 0.02)
        model.save_pretrained(tmp_path / role)
    recipe = tmp_path / "recipe.yaml"
    donors = (
        f"  - {{model: {tmp_path / r}, parameters: {{role: {r}}}}}\n" for r in ("grpo", "sft")
    )
    recipe.write_text(
        f"merge_method: reasoning_vector\nbase_model: {family / 'target'}\nmodels:\n"
        + "".join(donors)
        + "parameters: {scale: 1.0}\nout_dtype: bfloat16\n"
    )
    loads_nothing("check", recipe)
    loads_nothing("merge", recipe, tmp_path / "out")
    loads_nothing("verify", tmp_path / "out")


@pytest.mark.parametrize("width", [80, 40])
def test_every_verb_has_help_that_fits(width: int) -> None:
    for verb in cli.VERBS:
        result = CliRunner().invoke(cli.rvec, [verb, "--help"], terminal_width=width)
        assert [line for line in result.output.splitlines() if len(line) > width] == []
        assert result.exit_code == 0
        assert f"Usage: rvec {verb}" in result.output


def test_unknown_verb_is_wrong_usage():
    main = "from rvec_merge.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", main, "mrege"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "No such command 'mrege'" in done.stderr
