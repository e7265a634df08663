"""Turn finished stages into the shipped family: bf16 folders, model cards, a manifest."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from .cards import model_card
from .finetune import quiet
from .model import load_model, load_tokenizer, save
from .stages import INITIAL_SEEDS, Workshop

SHIPPED = {
    "target": ("first", "target"),
    "sft": ("first", "sft"),
    "grpo": ("first", "grpo"),
    "other-init/sft": ("other", "sft"),
    "other-init/grpo": ("other", "grpo"),
}
MANIFEST = "manifest.json"


def ship(workshop: Workshop, family: Path) -> None:
    """Write every shipped model and the manifest; what was there before is replaced."""
    quiet()
    missing = [f"{c}/{s}" for c, s in SHIPPED.values() if not workshop.folder(c, s).exists()]
    if missing:
        fix = f"Fix: python demo/train.py --out {workshop.root}"
        raise SystemExit(f"Not trained yet: {', '.join(missing)}.\n{fix}")
    shutil.rmtree(family, ignore_errors=True)
    tokenizer = load_tokenizer(workshop.tokenizer)
    for name, (chain, stage) in SHIPPED.items():
        folder = family / name
        save(load_model(workshop.folder(chain, stage)), tokenizer, folder, torch.bfloat16)
        _portable(folder)
        card = model_card(name, chain, stage, workshop.settings)
        (folder / "README.md").write_text(card, encoding="utf-8", newline="\n")
    settings = asdict(workshop.settings) | {"initial_seeds": INITIAL_SEEDS}
    manifest = {"settings": settings, "files": file_hashes(family)}
    (family / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def file_hashes(family: Path) -> dict[str, dict[str, Any]]:
    """Return sha256 and size of every shipped file, by its path inside the family."""
    files = sorted(p for p in family.rglob("*") if p.is_file() and p.name != MANIFEST)
    return {
        path.relative_to(family).as_posix(): {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "bytes": path.stat().st_size,
        }
        for path in files
    }


def _portable(folder: Path) -> None:
    """Keep what any machine and transformers 4 read alike; drop what tells where it was made."""
    _edit(folder / "config.json", lambda c: c | {"torch_dtype": "bfloat16", "rope_theta": 10000.0})
    local = {"backend", "is_local", "local_files_only"}
    _edit(
        folder / "tokenizer_config.json",
        lambda c: (
            {k: v for k, v in c.items() if k not in local}
            | {"tokenizer_class": "PreTrainedTokenizerFast"}
        ),
    )
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors writes for the owner alone


def _edit(path: Path, change: Any) -> None:
    config = change(json.loads(path.read_text(encoding="utf-8")))
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8", newline="\n")
