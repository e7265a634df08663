"""Which files a repo of each kind may hold."""

import json

from rvec_merge.hub.layout import KINDS


def test_what_merges_copy_beside_the_weights_is_shared():
    """mergekit's own lists: an image-text model without its preprocessor cannot be used."""
    from importlib.resources import files

    listed: set[str] = set()
    for path in files("mergekit").joinpath("_data", "architectures").iterdir():
        if path.name.endswith(".json"):
            listed |= set(json.loads(path.read_text()).get("tagalong_files") or [])
    assert "preprocessor_config.json" in listed
    assert set(KINDS["merge"].known(listed)) == listed
