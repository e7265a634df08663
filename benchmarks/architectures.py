"""Every architecture of the installed transformers that writes text, tiny: merged and compared.

    python benchmarks/architectures.py [NAME ...]

Of each class for causal language modelling and for images with text: a random target with two
donors, saved by transformers itself, are merged with `rvec merge`. Seen is whether the merge was
streamed and verifies; whether it is exact against float64; whether transformers loads it without a
missing or unexpected tensor; whether stock mergekit gives the same bits, where it can merge it at
all; and whether the resident model of an experiment becomes the merge.
"""

import argparse
import contextlib
import io
import json
import logging
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file
from tiny_configs import shrunk
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from rvec_merge.merge.run import merge
from rvec_merge.merge.settings import Settings
from rvec_merge.merge.verify import verify
from rvec_merge.recipe.read import parse_recipe

LARGEST = 120_000_000  # parameters; a config that no rule made small
CONSTANTS = ("inv_freq", "position_ids", "masked_bias", "attention.bias")  # the target's
RECIPE = """\
merge_method: reasoning_vector
base_model: {target}
models:
  - {{model: {grpo}, parameters: {{role: grpo}}}}
  - {{model: {sft}, parameters: {{role: sft}}}}
parameters: {{scale: 0.5}}
out_dtype: float32
"""


class NotTiny(Exception):
    """Why transformers cannot make, or save and load, a small model of a class."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    names = parser.parse_args().names
    transformers.logging.set_verbosity(logging.CRITICAL)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    classes = {
        name: kind
        for mapping in (
            modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
            modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
        )
        for kind, given in mapping.items()
        for name in ([given] if isinstance(given, str) else given)
    }
    found: dict[str, dict[str, str]] = {}
    for name, kind in classes.items():
        if not names or kind in names or name in names:
            found[name] = tried(kind, name)
            print(f"{name}: {json.dumps(found[name])}", file=sys.stderr, flush=True)
    print(table(found))


def tried(kind: str, name: str) -> dict[str, str]:
    """What became of one class: `ok` or the reason, by what was seen."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            folders = triple(Path(folder), kind, name)
        except NotTiny as reason:
            return {"tiny": str(reason)}
        out = Path(folder, "out")
        text = RECIPE.format(**folders)
        steps: dict[str, Callable[[], None]] = {
            "merged": lambda: merged(text, out),
            "exact": lambda: exact(folders, out),
            "loads": lambda: loads(name, out),
            "stock": lambda: stock(text, name, out, Path(folder, "stock")),
            "resident": lambda: resident(text, name, folders["target"], out),
        }
        seen = {}
        for step, does in steps.items():
            with (
                contextlib.redirect_stderr(io.StringIO()),
                contextlib.redirect_stdout(io.StringIO()),
            ):
                seen[step] = outcome(does)
            if step == "merged" and seen[step] != "ok":
                break
        return seen


def outcome(does: Callable[[], None]) -> str:
    try:
        does()
    except Exception as error:
        lines = str(error).strip().split("\n")
        return f"{type(error).__name__}: {' | '.join(lines[:4])}"[:240]
    return "ok"


def triple(root: Path, kind: str, name: str) -> dict[str, Path]:
    """Target, sft and grpo of one class, saved by transformers and loaded again by it."""
    try:
        model_class = getattr(transformers, name)
        config = CONFIG_MAPPING[kind].from_dict(shrunk(CONFIG_MAPPING[kind]().to_dict()))
        inner = getattr(config, "text_config", None)
        if inner is not None and isinstance(inner, model_class.config_class):
            config = inner
        if not hasattr(config, "pad_token_id"):
            config.pad_token_id = 0
        with torch.device("meta"):
            count = sum(p.numel() for p in model_class(config).parameters())
        if count > LARGEST:
            raise NotTiny(f"{count:,} parameters")
        torch.manual_seed(0)
        model = model_class(config).bfloat16()
        for seed, role in enumerate(("target", "sft", "grpo"), 1):
            generator = torch.Generator().manual_seed(seed)
            with torch.no_grad():
                for weight in model.parameters():
                    step = 0.01 * torch.randn(weight.shape, generator=generator)
                    weight += step.to(weight.dtype)
            model.save_pretrained(root / role)
        loads(name, root / "target")
    except NotTiny:
        raise
    except Exception as error:
        raise NotTiny(f"{type(error).__name__}: {error}".split("\n")[0][:160]) from error
    return {role: root / role for role in ("target", "sft", "grpo")}


def merged(text: str, out: Path) -> None:
    """Streamed, and verified."""
    done = merge(parse_recipe(text), out, Settings())
    assert done.executor is None, f"left to mergekit: {done.executor}"
    assert verify(out).holds, "rvec verify differs"


def exact(folders: dict[str, Path], out: Path) -> None:
    """Every tensor of the target, under its name, as float64 has it."""
    target, sft, grpo, found = map(tensors, (*folders.values(), out))
    assert found.keys() == target.keys(), f"{len(found)} tensors for {len(target)}"
    for tensor, value in target.items():
        if not value.is_floating_point() or tensor.endswith(CONSTANTS):
            assert found[tensor].equal(value.to(found[tensor].dtype)), tensor
            continue
        plus, minus = (donor[tensor].double() for donor in (grpo, sft))
        # What float32 may round is the difference, and the sum.
        wanted = value.float() + (0.5 * (plus - minus)).float()
        gap = (found[tensor] - wanted).abs().max()
        assert found[tensor].equal(wanted), f"{tensor}: up to {gap:.3g}"


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return {n: v for path in folder.glob("*.safetensors") for n, v in load_file(path).items()}


def loads(name: str, folder: Path) -> Any:
    model, said = getattr(transformers, name).from_pretrained(
        folder, output_loading_info=True, dtype=torch.float32
    )
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not said[kind], f"{kind}: {sorted(said[kind])[:2]}"
    return model


def stock(text: str, name: str, out: Path, folder: Path) -> None:
    """The same bits from mergekit's own executor, as transformers loads them."""
    import yaml
    from mergekit.config import MergeConfiguration
    from mergekit.merge import MergeOptions, run_merge

    config = MergeConfiguration.model_validate(yaml.safe_load(text))
    run_merge(config, str(folder), MergeOptions(quiet=True), config_source=text)
    theirs, ours = tensors(folder), tensors(out)
    if theirs.keys() != ours.keys():  # mergekit stacks some models' experts, as they are in memory
        theirs, ours = (loads(name, model).state_dict() for model in (folder, out))
    for tensor, value in ours.items():
        assert value.equal(theirs[tensor]), f"{tensor} differs"


def resident(text: str, name: str, target: Path, out: Path) -> None:
    """An experiment's resident model has the parameters that transformers loads of the merge."""
    from rvec_merge.experiment.backends.model_weights import ResidentWeights
    from rvec_merge.experiment.conditions import State

    model, wanted = loads(name, target), loads(name, out).state_dict()
    ResidentWeights(parse_recipe(text), model).become(State("vector", 0.5))
    for tensor, value in model.state_dict().items():
        assert value.equal(wanted[tensor]), f"{tensor} differs"


def table(found: dict[str, dict[str, str]]) -> str:
    """Counts, what failed with its reason, and what was not made small."""
    made = {kind: seen for kind, seen in found.items() if "tiny" not in seen}
    lines = [
        f"### transformers {transformers.__version__}",
        "",
        "`python benchmarks/architectures.py`",
        "",
        f"{len(found)} classes for causal language modelling and for images with text, "
        f"{len(made)} of which transformers makes tiny, saves and loads again.",
        "",
    ]
    lines += ["| seen | architectures |", "|---|---|"]
    counts = Counter(step for seen in made.values() for step, said in seen.items() if said == "ok")
    names = {
        "merged": "merged, streamed, verified",
        "exact": "exact against float64, every tensor of the target",
        "loads": "transformers loads it without missing or unexpected tensors",
        "resident": "the resident model equals the merge",
        "stock": "stock mergekit gives the same bits",
    }
    lines += [f"| {text} | {counts[step]} |" for step, text in names.items()]
    for step, text in names.items():
        failed = {k: seen[step] for k, seen in made.items() if seen.get(step, "ok") != "ok"}
        if failed and step != "stock":
            lines += ["", f"Not *{text}*:", ""]
            lines += [f"- {kind}: {said}" for kind, said in failed.items()]
    refused = Counter(
        seen["stock"].split(":")[0] for seen in made.values() if seen.get("stock", "ok") != "ok"
    )
    lines += [
        "",
        "Where stock mergekit gives no such merge: "
        + ", ".join(f"{n} × {reason}" for reason, n in refused.most_common())
        + ".",
    ]
    reasons = [f"{kind} ({seen['tiny']})" for kind, seen in found.items() if "tiny" in seen]
    lines += ["", f"Not made tiny, and not tried: {', '.join(reasons)}."] if reasons else []
    return "\n".join(lines)


if __name__ == "__main__":
    main()
