#!/usr/bin/env python
"""Train the embedded family from scratch: ``python demo/train.py``.

About 15 minutes on two cores. The two initialisations train side by side, one core each.
Finished stages are kept under ``--out``: run again after an interrupt and it goes on there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

HERE = Path(__file__).resolve().parent


def parse(arguments: list[str] | None) -> argparse.Namespace:
    from demo.stages import CHAINS

    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], allow_abbrev=False
    )
    parser.add_argument("--out", type=Path, default=HERE / "runs", help="working folder")
    parser.add_argument("--family", type=Path, help="where the shipped models go")
    parser.add_argument(
        "--stage",
        choices=[
            "tokenizer",
            *(f"{c}/{s}" for c, stages in CHAINS.items() for s in stages),
            "ship",
        ],
        help="run this stage alone",
    )
    parser.add_argument("--chain", choices=tuple(CHAINS), help="run one initialisation's stages")
    parser.add_argument("--short", action="store_true", help="run every line, learn nothing")
    options = parser.parse_args(arguments)
    if options.short and options.out == HERE / "runs":
        parser.error("--short needs --out, so that it cannot be mistaken for the real thing")
    if options.family is None:
        options.family = options.out / "family" if options.short else HERE / "family"
    return options


def run_chain(options: argparse.Namespace, chain: str, stages: tuple[str, ...]) -> None:
    from demo.stages import Settings, Workshop

    settings = Settings().shortened() if options.short else Settings()
    workshop = Workshop(options.out, settings)
    for stage in stages:
        workshop.run(chain, stage, partial(_say, f"{chain}/{stage}"))


def _say(stage: str, text: str) -> None:
    print(f"{stage:12}  {text}", flush=True)


def run_both(options: argparse.Namespace) -> None:
    """Run both chains as processes of their own; the first failure ends the other."""
    from demo.stages import CHAINS

    command = [sys.executable, str(HERE / "train.py"), "--out", str(options.out)]
    command += ["--short"] * options.short
    children = [subprocess.Popen([*command, "--chain", chain]) for chain in CHAINS]
    try:
        while any(child.poll() is None for child in children):
            if any(child.returncode for child in children):
                break
            time.sleep(0.5)
    finally:
        for child in children:
            if child.poll() is None:
                child.terminate()
            child.wait()
    if any(child.returncode for child in children):
        raise SystemExit("A stage failed; its message is above. Finished stages are kept.")


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    from demo.ship import ship
    from demo.stages import CHAINS, Settings, Workshop

    settings = Settings().shortened() if options.short else Settings()
    workshop = Workshop(options.out, settings)
    if options.stage == "ship":
        ship(workshop, options.family)
        return
    if find_spec("trl") is None:
        raise SystemExit("Training needs TRL.\nFix: pip install 'rvec-merge[train]'")
    workshop.make_tokenizer()
    if options.stage == "tokenizer":
        return
    if options.stage:
        chain, stage = options.stage.split("/")
        run_chain(options, chain, (stage,))
    elif options.chain:
        run_chain(options, options.chain, CHAINS[options.chain])
    else:
        started = time.monotonic()
        run_both(options)
        ship(workshop, options.family)
        print(f"{options.family}: {(time.monotonic() - started) / 60:.1f} minutes", flush=True)


if __name__ == "__main__":
    main()
