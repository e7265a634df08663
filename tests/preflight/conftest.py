"""A sound trio of tiny checkpoints that each test spoils in its own way."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save_file

from tests.conftest import make_triple

WORDS = [f"word{i}" for i in range(60)]
SPECIAL = ["<|end|>", "<|pad|>"]
ADDED = ["<tool>"]


@dataclass
class Trio:
    """A recipe and its three checkpoints, to be changed and then checked.

    Attributes:
        root: holds the folders target, grpo and sft.
        recipe: the recipe as data.
        out: where a merge would go.
    """

    root: Path
    recipe: dict[str, Any]
    out: Path

    def folder(self, name: str) -> Path:
        return self.root / name

    def donor(self, name: str) -> dict[str, Any]:
        """The recipe's entry for grpo or sft."""
        return self.recipe["models"][("grpo", "sft").index(name)]

    def edit_json(self, name: str, file: str, change: Callable[[dict[str, Any]], Any]) -> None:
        path = self.folder(name) / file
        data = json.loads(path.read_text())
        change(data)
        path.write_text(json.dumps(data))

    def edit_config(self, name: str, **settings: Any) -> None:
        """Change a config; None removes a key."""

        def change(data: dict[str, Any]) -> None:
            for key, value in settings.items():
                data.pop(key, None)
                if value is not None:
                    data[key] = value

        self.edit_json(name, "config.json", change)

    def edit_adapter(self, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
        self.edit_tensors("adapter", change, "adapter_model.safetensors")

    def edit_tensors(
        self,
        name: str,
        change: Callable[[dict[str, torch.Tensor]], Any],
        file: str = "model.safetensors",
    ) -> None:
        path = self.folder(name) / file
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path, metadata={"format": "pt"})

    def shard(self, name: str) -> None:
        """Split a checkpoint in two files and an index."""
        path = self.folder(name) / "model.safetensors"
        tensors = load_file(path)
        names = sorted(tensors)
        weight_map = {}
        for number, part in enumerate((names[::2], names[1::2]), 1):
            file = f"model-{number:05d}-of-00002.safetensors"
            save_file({n: tensors[n] for n in part}, path.with_name(file), {"format": "pt"})
            weight_map |= dict.fromkeys(part, file)
        path.unlink()
        index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
        path.with_name("model.safetensors.index.json").write_text(json.dumps(index))

    def text(self) -> str:
        return yaml.safe_dump(self.recipe, sort_keys=False)

    def check(self, *options: str, out: bool = True) -> Result:
        """Run `rvec check` in this process."""
        from rvec_merge.cli import rvec
        from rvec_merge.errors import RvecError

        path = self.root / "recipe.yaml"
        path.write_text(self.text())
        args = ["check", str(path), *([str(self.out)] if out else []), *options]
        result = CliRunner(env={"COLUMNS": "200"}).invoke(rvec, args, standalone_mode=False)
        if isinstance(result.exception, RvecError):  # what `main` prints
            result.stderr_bytes = (result.stderr_bytes or b"") + str(result.exception).encode()
        elif result.exception is not None:
            raise result.exception
        return result

    def merge(self, *options: str) -> None:
        """Run `rvec merge` in this process; raises what it refuses."""
        from rvec_merge.cli import rvec

        path = self.root / "recipe.yaml"
        path.write_text(self.text())
        args = ["merge", str(path), str(self.out), *options]
        result = CliRunner().invoke(rvec, args, standalone_mode=False)
        if result.exception is not None:
            raise result.exception

    def merge_stock(self) -> None:
        """What `mergekit-yaml` does, in this process."""
        from mergekit.config import MergeConfiguration
        from mergekit.merge import run_merge
        from mergekit.options import MergeOptions

        config = MergeConfiguration.model_validate(yaml.safe_load(self.text()))
        run_merge(config, str(self.out), MergeOptions(quiet=True), config_source=self.text())


def tokenizer(words: list[str] = WORDS, special: list[str] = SPECIAL) -> dict[str, Any]:
    """A tokenizer.json that gives ids in the order of its words."""
    tokens = [*words, *special, *ADDED]
    extra = [
        {
            "id": tokens.index(token),
            "content": token,
            "special": token in special,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
        }
        for token in (*special, *ADDED)
    ]
    vocab = {token: index for index, token in enumerate(words)}
    return {
        "version": "1.0",
        "added_tokens": extra,
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": words[0]},
    }


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Three checkpoints without anything to complain about; read-only."""
    folders = make_triple(tmp_path_factory.mktemp("sound"))
    for folder in folders.values():
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer()))
        settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": SPECIAL[0]}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
        (folder / "README.md").write_text("---\nbase_model: org/base\n---\n# A model\n")
    return folders


@pytest.fixture
def trio(sound: Mapping[str, Path], tmp_path: Path) -> Trio:
    """A copy of the sound trio and its recipe, free to be spoiled."""
    root = tmp_path / "models"
    for name, folder in sound.items():
        shutil.copytree(folder, root / name)
    recipe = {
        "merge_method": "reasoning_vector",
        "base_model": str(root / "target"),
        "models": [
            {"model": str(root / name), "parameters": {"role": name}} for name in ("grpo", "sft")
        ],
        "parameters": {"scale": 1.0},
        "out_dtype": "bfloat16",
    }
    return Trio(root, recipe, tmp_path / "out")
