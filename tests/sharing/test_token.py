"""The token goes to the Hub alone, and is written nowhere."""

import logging
from pathlib import Path

from rvec_merge.hub.recipes import open_recipe
from rvec_merge.hub.references import HubReference
from rvec_merge.merge.prepare import fetch_inputs
from rvec_merge.merge.run import merge
from rvec_merge.merge.settings import Settings
from rvec_merge.sharing.pull import pull
from rvec_merge.sharing.push import prepare, push
from rvec_merge.vector.extract import extract_compact
from rvec_merge.vector.inputs import open_donors
from tests.hub.conftest import folder_files
from tests.hub.state import Hub


def test_the_token_reaches_the_hub_and_no_other_host_log_or_file(
    hub: Hub, triple, shared, recipe_file: Path, tmp_path: Path, caplog, capfd
):
    caplog.set_level(logging.DEBUG)
    extract_compact(open_donors(triple["grpo"], triple["sft"]), tmp_path / "v", shard_size=5_000)
    push(prepare("vector", tmp_path / "v", "me/vector", license="mit"), private=True)
    push(prepare("recipe", recipe_file, "me/recipe", license="mit"))
    pull(HubReference("me/vector"), tmp_path / "pulled")
    recipe = open_recipe("hf://me/recipe")
    fetch_inputs(recipe, tmp_path / "out", Settings())
    merge(recipe, tmp_path / "out")
    on_hub = [r for r in hub.requests if r.on == "hub"]
    on_cdn = [r for r in hub.requests if r.on == "cdn"]
    assert hub.xet or any(r.method == "PUT" for r in on_cdn)
    assert any(r.method == "GET" and r.range for r in on_cdn)
    # transformers asks for some optional files without it; the private repo needed it.
    assert {r.authorization for r in on_hub} - {None} == {f"Bearer {hub.token}"}
    assert all(r.authorization is None for r in on_cdn)
    secret = hub.token.encode()
    assert not [name for name, data in folder_files(tmp_path).items() if secret in data]
    told = capfd.readouterr()
    assert hub.token not in told.out + told.err + caplog.text
    assert all(secret not in data for name in hub.repos for data in hub.files(name).values())
