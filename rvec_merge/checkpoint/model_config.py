"""``config.json``: what it says of the weights, and a copy of it in which a few settings differ."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rvec_merge.errors import CheckpointError
from rvec_merge.files.json_object import read_object

REFETCH = "fetch the checkpoint again, or convert it with transformers' save_pretrained."
_LAYER_LIMIT = 10_000  # transformers makes a list of them, whatever a config says
_DTYPE = re.compile(r'("(?:torch_)?dtype"\s*:\s*")[^"]*(")')
_DTYPE_KEYS = ("dtype", "torch_dtype")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        CheckpointError: the file is not JSON, holds something else than an object, or too much.
    """
    return read_object(path, CheckpointError, REFETCH)


def config_of(folder: Path) -> dict[str, Any]:
    """``config.json`` as written; empty if there is none.

    Raises:
        CheckpointError: see ``read_json``.
    """
    path = folder / "config.json"
    return read_json(path) if path.is_file() else {}


def flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting, those of nested configs under ``text_config.hidden_size``."""
    for key, value in config.items():
        if key == "quantization_config":
            continue  # told by itself
        if isinstance(value, dict) and key.endswith("_config"):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def effective(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config with its architecture's defaults filled in and its nested parts flattened.

    Two spellings of one setting (``rope_theta`` and ``rope_parameters``) come out alike, as far
    as transformers reads them alike. Imports it.
    """
    from transformers import CONFIG_MAPPING
    from transformers.utils import logging

    known = config.get("model_type")
    if not unbelievable(config) and known in CONFIG_MAPPING:
        level = logging.get_verbosity()
        logging.set_verbosity_error()  # its notes are about what it was asked, not about the config
        try:
            full = CONFIG_MAPPING[known].from_dict(dict(config)).to_dict()
        except Exception:  # foreign code over foreign text; the plain text still tells a lot
            full = dict(config)
        finally:
            logging.set_verbosity(level)
        config = {**full, "architectures": config.get("architectures")}
    return dict(flat(config))


def tied(config: Mapping[str, Any]) -> bool | None:
    """Whether the config ties the output embeddings to the input's; None if nothing says so.

    transformers is asked, and imported, where the text does not say.
    """
    stated = config.get("tie_word_embeddings")
    value = effective(config).get("tie_word_embeddings") if stated is None and config else stated
    return value if isinstance(value, bool) else None


def unbelievable(config: Mapping[str, Any]) -> list[str]:
    """Settings that transformers must not be given: it would fail, or take all memory."""
    lines = []
    for key, value in flat(config):
        last = key.rpartition(".")[2]
        vast = isinstance(value, int | float) and value > _LAYER_LIMIT
        if (vast and last.endswith(("_layer", "_layers"))) or (
            last == "model_type" and not isinstance(value, str | None)
        ):
            lines.append(f"{key}: {json.dumps(value)[:80]}")
    return lines


def with_dtype(text: str, dtype: str) -> str:
    """The text of a config.json that says ``dtype`` wherever it says one, nested configs included.

    Every other byte stays; where nothing says one, it is added. Both spellings are known:
    ``torch_dtype``, and ``dtype`` since transformers 4.56.
    """
    wanted = _stating(json.loads(text), dtype)
    if not any(key in wanted for key in _DTYPE_KEYS):
        wanted["dtype"] = dtype
    changed = _DTYPE.sub(rf"\g<1>{dtype}\g<2>", text)
    if json.loads(changed) == wanted:
        return changed
    return json.dumps(wanted, indent=2, ensure_ascii=False) + "\n"


def with_settings(text: str, changes: Mapping[str, Any]) -> str:
    """The text of a JSON object in which some settings differ, ``text_config.num_layers`` too.

    None removes one. The text is kept where nothing differs.
    """
    config = json.loads(text)
    before = json.dumps(config)
    for key, value in changes.items():
        *places, last = key.split(".")
        part = config
        for place in places:
            part = part.setdefault(place, {})
        if value is None:
            part.pop(last, None)
        else:
            part[last] = value
    same = json.dumps(config) == before
    return text if same else json.dumps(config, indent=2, ensure_ascii=False) + "\n"


def _stating(config: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    return {
        key: dtype
        if key in _DTYPE_KEYS and isinstance(value, str)
        else _stating(value, dtype)
        if isinstance(value, dict) and key.endswith("_config") and key != "quantization_config"
        else value
        for key, value in config.items()
    }
