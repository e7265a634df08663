"""Tiny generated checkpoints, and merges of them by stock mergekit."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Two test workers share two cores: here, and in what they start, threads only get in the way.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

REPOSITORY = Path(__file__).resolve().parent.parent
SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}
RECIPE = """\
merge_method: reasoning_vector
base_model: {target}
models:
  - model: {grpo}
    parameters: {{role: grpo}}
  - model: {sft}
    parameters: {{role: sft}}
parameters:
  scale: {scale}
out_dtype: {out_dtype}
"""


def make_model(kind: str, seed: int, **config: object) -> torch.nn.Module:
    """A random tiny transformers model of one architecture, in bfloat16."""
    import transformers

    settings = {**SIZES, "tie_word_embeddings": True, **config}
    if kind in {"Qwen3", "Gemma"}:
        settings.setdefault("head_dim", 8)
    torch.manual_seed(seed)
    model_config = getattr(transformers, f"{kind}Config")(**settings)
    return getattr(transformers, f"{kind}ForCausalLM")(model_config).bfloat16()


def make_triple(root: Path, kind: str = "Qwen2", **config: object) -> dict[str, Path]:
    """Save a target, an SFT donor and a GRPO donor a small sparse step away from it."""
    target, sft = make_model(kind, 0, **config), make_model(kind, 1, **config)
    grpo = make_model(kind, 1, **config)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in grpo.parameters():
            moved = torch.rand(weight.shape, generator=generator) < 0.2
            step = 0.01 * torch.randn(weight.shape, generator=generator) * moved
            weight += step.to(weight.dtype)
    for name, model in (("target", target), ("sft", sft), ("grpo", grpo)):
        model.save_pretrained(root / name)
    return {name: root / name for name in ("target", "sft", "grpo")}


@pytest.fixture(scope="session")
def triple(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny Qwen2 target with its donors; read-only, shared by the session."""
    return make_triple(tmp_path_factory.mktemp("triple"))


@pytest.fixture(scope="session")
def family() -> dict[str, Path]:
    """The embedded, trained family."""
    root = REPOSITORY / "demo" / "family"
    return {name: root / name for name in ("target", "sft", "grpo")}


@pytest.fixture
def stock_merge(tmp_path: Path) -> Callable[..., Path]:
    """Run a recipe's text as `mergekit-yaml` does, in this process; returns the output folder."""

    def run(text: str, **options: object) -> Path:
        import yaml
        from mergekit.config import MergeConfiguration
        from mergekit.merge import run_merge
        from mergekit.options import MergeOptions

        config = MergeConfiguration.model_validate(yaml.safe_load(text))
        out = tmp_path / f"merged-{len(list(tmp_path.iterdir()))}"
        settings = MergeOptions(quiet=True, copy_tokenizer=False, **options)
        run_merge(config, str(out), options=settings, config_source=text)
        return out

    return run


@pytest.fixture
def stock(tmp_path: Path) -> Callable[..., Path]:
    """Run a recipe's text with stock mergekit, tokenizer and all; returns the output folder."""

    def merged(text: str, **options: object) -> Path:
        from mergekit.merge import run_merge
        from mergekit.options import MergeOptions

        from rvec_merge.recipe.read import parse_recipe

        out = tmp_path / "stock" / "out"
        config = parse_recipe(text).mergekit
        run_merge(config, str(out), MergeOptions(quiet=True, **options), config_source=text)
        return out

    return merged


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was fuzzed; properties, unlike output, come from the test workers too."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "fuzzed":
                terminalreporter.write_line(f"fuzzed {value}")


def load_tensors(folder: Path) -> dict[str, torch.Tensor]:
    """Every tensor of a checkpoint folder, by the safetensors library."""
    from safetensors.torch import load_file

    return {k: v for f in sorted(folder.glob("*.safetensors")) for k, v in load_file(f).items()}
