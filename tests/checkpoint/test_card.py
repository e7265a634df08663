"""A card's metadata: found where the Hub's client finds them, and never more than is bounded."""

from pathlib import Path

import pytest
import yaml
from huggingface_hub.repocard import REGEX_YAML_BLOCK

from rvec_merge.checkpoint.card import read_metadata


@pytest.mark.parametrize(
    "text",
    [
        "---\nlicense: mit\n---\n# A model\n",
        "\n \n---\nlicense: mit\n---",
        "---\n\n\na: b\n\n---\n",
        "---\na: ---\nb: '---'\n---\nprose\n---\n",
        "---\n---\na: b\n---\n",
        "---\n--- \na: b\n---\n# two",
        "---\n---\n",
        "---\na: b\n",
        "--- a\nb: c\n---\n",
        "# A model\n---\na: b\n---\n",
        "",
    ],
)
def test_it_is_the_block_that_the_client_reads(tmp_path: Path, text: str):
    (tmp_path / "README.md").write_text(text)
    found = REGEX_YAML_BLOCK.search(text)
    assert read_metadata(tmp_path) == ((found and yaml.safe_load(found.group(2))) or {})


def test_metadata_are_read_as_far_as_they_can_be(tmp_path: Path):
    assert read_metadata(tmp_path) == {}
    card = tmp_path / "README.md"
    card.write_bytes(b"---\r\nlicense: mit\r\n---\r\n\xff prose")
    assert read_metadata(tmp_path) == {"license": "mit"}
    for text in ("---\n- a\n---\n", "---\na: [\n---\n", f"---\na: {'x' * (1 << 18)}\n---\n"):
        card.write_text(text)
        assert read_metadata(tmp_path) == {}
