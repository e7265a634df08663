"""What a stock mergekit run sees; ``doctor`` runs this file's text in a fresh interpreter.

Prints one JSON object on the last line of stdout. It may not import this package: an import of
ours would be a difference from the run it stands for.
"""

import json
import os
import warnings
from typing import Any


def probe() -> dict[str, Any]:
    """Whether ``reasoning_vector`` is there, what was said meanwhile, and torch's devices."""
    seen: dict[str, Any] = {"visible": False, "error": "", "warnings": [], "devices": []}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            import torch

            seen["devices"] = _devices(torch)
            import mergekit.merge_methods

            mergekit.merge_methods.get("reasoning_vector")
            seen["visible"] = True
        except Exception as error:
            cause = f" ({error.__cause__!r})" if error.__cause__ is not None else ""
            seen["error"] = f"{type(error).__name__}: {error}{cause}"
    texts = [str(warning.message) for warning in caught]
    seen["warnings"] = [text for text in texts if "rvec-merge" in text]
    return seen


def _devices(torch: Any) -> list[str]:
    devices = [f"cpu: {os.cpu_count()} cores, {torch.get_num_threads()} torch threads"]
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        devices.append(f"cuda:{index}: {card.name}, {card.total_memory / 2**30:.0f} GiB")
    for kind in ("mps", "xpu"):
        backend = getattr(torch, kind, None) or getattr(torch.backends, kind, None)
        if backend is not None and backend.is_available():
            devices.append(kind)
    return devices


if __name__ == "__main__":
    print(json.dumps(probe()))
