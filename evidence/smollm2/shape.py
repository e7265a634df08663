"""Run every cell of a paper's plan on a model that costs nothing, before a stranger pays for it.

    python evidence/smollm2/shape.py [PLAN] [options of `rvec experiment`]

SmolLM2-135M-Instruct is cut to its first two layers, and so are both adapters; the plan keeps its
tasks, conditions and data, with two items of each and eight tokens an output. What comes out means
nothing: whether every cell runs is what is seen. Data that is not in the repository is fetched from
the Hub, or read from RVEC_EVAL_DATA.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from safetensors.torch import load_file, save_file

from evidence.smollm2.fetch import fetch
from evidence.smollm2.run import HERE, HOME, run, say
from rvec_merge.errors import RvecError

LAYERS = 2
CUT = HOME / "cut"
RECIPE = """\
merge_method: reasoning_vector
base_model: {0}/model
models:
  - {{model: {0}/model+{0}/grpo, parameters: {{role: grpo}}}}
  - {{model: {0}/model+{0}/sft, parameters: {{role: sft}}}}
parameters: {{scale: 1.0}}
out_dtype: float32
"""
SHAPE = [
    *("--limit", "2", "--confirm-run-unsafe-code"),
    *("--set", "generation={max_gen_toks: 8}", "--set", "selection={by: same_items}"),
]


def main() -> None:
    name, *options = sys.argv[1:] or ["paper-1.5b"]
    try:
        model = fetch(HOME)
    except RvecError as error:
        raise SystemExit(str(error)) from None
    if not (CUT / "recipe.yaml").is_file():
        shutil.rmtree(CUT, ignore_errors=True)
        cut(model, CUT / "model")
        for role in ("grpo", "sft"):
            cut(HERE / "adapters" / role, CUT / role)
        (CUT / "recipe.yaml").write_text(RECIPE.format(CUT))
    say(f"the first {LAYERS} layers are in {CUT}")
    recipe = ["--set", f"recipe={CUT}/recipe.yaml", "--set", "precision=float32"]
    run("rvec", "experiment", name, "-o", f"results/{name}-shape", *recipe, *SHAPE, *options)


def cut(folder: Path, out: Path) -> None:
    """Copy a model or an adapter without its later layers."""
    shutil.copytree(folder, out)
    for path in out.glob("*.safetensors"):
        kept = {name: value for name, value in load_file(path).items() if _layer(name) < LAYERS}
        save_file(kept, path, metadata={"format": "pt"})
    config = out / "config.json"
    if config.is_file():
        said = json.loads(config.read_text())
        config.write_text(json.dumps({**said, "num_hidden_layers": LAYERS}, indent=2) + "\n")


def _layer(name: str) -> int:
    found = re.search(r"\.layers\.(\d+)\.", name)
    return int(found[1]) if found else -1


if __name__ == "__main__":
    main()
