"""Registration in fresh interpreters, as users get it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

GET = "import mergekit.merge_methods as m; print(m.get('reasoning_vector').spec.name)"


def python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "always", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        timeout=300,
        cwd=os.path.dirname(__file__),  # not the checkout, which would come before everything
    )


def shadow(root: Path, files: dict[str, str]) -> dict[str, str]:
    """A broken installation of ours, found before the real one."""
    for name, text in files.items():
        path = root / "rvec_merge" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return {"PYTHONPATH": str(root)}


def autoload_source() -> str:
    from rvec_merge.mergekit_plugin import autoload

    return Path(autoload.__file__).read_text()


@pytest.mark.parametrize(
    "first",
    ["", "import torch; ", "import rvec_merge; ", "import rvec_merge.mergekit_plugin.method; "],
)
def test_stock_mergekit_finds_the_method_in_any_import_order(first):
    assert python(first + GET).stdout == "reasoning_vector\n"


def test_spawned_children_find_it_too(tmp_path):
    script = tmp_path / "spawn.py"
    script.write_text(
        "import multiprocessing as mp\n"
        f"def child():\n    {GET.replace('; ', chr(10) + '    ')}\n"
        "if __name__ == '__main__':\n"
        "    p = mp.get_context('spawn').Process(target=child); p.start(); p.join()\n"
    )
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300)
    assert run.stdout == "reasoning_vector\n", run.stderr


def test_reload_and_repeat_register_once():
    code = (
        "import importlib, mergekit.merge_methods.registry as r\n"
        "import rvec_merge.mergekit_plugin.autoload as a\n"
        "a.install(); a.install(); importlib.reload(a).install(); importlib.reload(r)\n"
        "print([x.spec.name for x in r.registered_methods()].count('reasoning_vector'))\n"
        "import sys; print(sum(type(f).__name__ == '_Finder' for f in sys.meta_path))"
    )
    run = python(code)
    assert run.stdout == "1\n1\n", run.stderr


def test_autoload_can_be_switched_off():
    run = python(GET, TORCH_DEVICE_BACKEND_AUTOLOAD="0")
    assert "Unimplemented merge method reasoning_vector" in run.stderr


@pytest.mark.parametrize(
    "broken", ["raise RuntimeError('broken install')", "import no_such_module", "def ("]
)
def test_a_broken_install_hides_neither_torch_nor_other_methods(tmp_path, broken):
    room = "mergekit_plugin"
    files = {
        "__init__.py": "",
        f"{room}/__init__.py": "",
        f"{room}/autoload.py": autoload_source(),
        f"{room}/method.py": broken,
    }
    code = "import torch, mergekit.merge_methods as m; print(m.get('linear').spec.name)"
    run = python(code, **shadow(tmp_path, files))
    assert run.stdout == "linear\n", run.stderr
    assert "could not register the merge method 'reasoning_vector'" in run.stderr


def test_importing_torch_loads_nothing_of_ours_but_the_hook():
    code = (
        "import torch, sys\n"
        "print(sorted(m for m in sys.modules if m.startswith('rvec_merge')), "
        "'mergekit' in sys.modules)"
    )
    room = "rvec_merge.mergekit_plugin"
    assert python(code).stdout == f"['rvec_merge', '{room}', '{room}.autoload'] False\n"


def test_the_hook_imports_only_the_standard_library():
    code = (
        "import sys; before = set(sys.modules); import rvec_merge.mergekit_plugin.autoload\n"
        "new = {m.split('.')[0] for m in set(sys.modules) - before} - {'rvec_merge'}\n"
        "print(new - set(sys.stdlib_module_names))"
    )
    assert python(code).stdout == "set()\n"


def test_the_method_adds_no_heavy_import_to_a_stock_merge():
    # What mergekit itself loads is its own business: look at what our modules add to it.
    code = (
        "import sys, mergekit.plan; before = set(sys.modules)\n"
        "import rvec_merge.mergekit_plugin.method, rvec_merge.preflight.stock\n"
        "import rvec_merge.mergekit_plugin.stock_run\n"
        "added = {m.split('.')[0] for m in set(sys.modules) - before}\n"
        "print(sorted(added - set(sys.stdlib_module_names)))\n"
    )
    run = python(code, TORCH_DEVICE_BACKEND_AUTOLOAD="0")
    assert run.stdout == "['ml_dtypes', 'rvec_merge']\n", run.stderr  # the former is numpy's size
