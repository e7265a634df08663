"""What a stock run sees, asked of an interpreter of its own, as `rvec doctor` does."""

import json
from pathlib import Path

from rvec_merge.mergekit_plugin import visibility
from tests.mergekit_plugin.test_autoload import python, shadow

TEXT = Path(visibility.__file__).read_text()


def seen(**env: str) -> dict[str, object]:
    return json.loads(python(TEXT, **env).stdout.splitlines()[-1])


def test_the_method_is_there_and_the_processor() -> None:
    found = seen()
    assert (found["visible"], found["error"], found["warnings"]) == (True, "", [])
    assert str(found["devices"][0]).startswith("cpu: ")


def test_without_the_hook_it_is_not_and_an_error_says_so() -> None:
    found = seen(TORCH_DEVICE_BACKEND_AUTOLOAD="0")
    assert not found["visible"]
    assert "Unimplemented merge method reasoning_vector" in found["error"]


def test_what_a_broken_install_warns_of_is_kept(tmp_path: Path) -> None:
    room = "mergekit_plugin"
    hook = Path(visibility.__file__).with_name("autoload.py").read_text()
    files = {"__init__.py": "", f"{room}/__init__.py": "", f"{room}/method.py": "def ("}
    found = seen(**shadow(tmp_path, {**files, f"{room}/autoload.py": hook}))
    assert not found["visible"]
    assert any("could not register" in text for text in found["warnings"])
