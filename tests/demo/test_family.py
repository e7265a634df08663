"""The shipped weights: intact, portable, and with the effects that the demo is about."""

import json
import math

import pytest
import torch

from demo.evaluate import FAMILY, Examiner, Family, Items
from demo.ship import MANIFEST, SHIPPED, file_hashes

ITEMS = 300
# Far inside what demo/README.md measures; a retrained family must still show the effect.
GAIN, LOSS, SLACK = 0.25, 0.08, 0.06


@pytest.fixture(scope="module")
def family():
    return Family()


@pytest.fixture(scope="module")
def accuracy(family):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    examiner, items = Examiner(family), Items.load("word_problems_test", ITEMS)
    yield lambda weights, **options: examiner.score(weights, items, **options).accuracy
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def target(family, accuracy):
    return accuracy(family.weights("target"))


def test_files_are_those_of_the_manifest():
    manifest = json.loads((FAMILY / MANIFEST).read_text())
    assert file_hashes(FAMILY) == manifest["files"]


def test_the_family_is_small():
    sizes = {path: entry["bytes"] for path, entry in file_hashes(FAMILY).items()}
    assert sum(sizes.values()) < 12e6
    for name in SHIPPED:
        assert sum(n for path, n in sizes.items() if path.startswith(f"{name}/")) < 2e6


@pytest.mark.parametrize("name", SHIPPED)
def test_models_load_anywhere(name):
    """Nothing of the machine they were trained on, one dtype, and a chat template inside."""
    folder = FAMILY / name
    config = json.loads((folder / "config.json").read_text())
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    assert config["dtype"] == config["torch_dtype"] == "bfloat16"
    assert "<|im_start|>" in tokenizer["chat_template"]
    for path in folder.glob("*.json"):
        assert "_name_or_path" not in path.read_text()
        assert "/" not in path.read_text().replace("</", "") or path.name == "tokenizer.json"


def test_all_models_share_one_tokenizer():
    files = {(FAMILY / name / "tokenizer.json").read_bytes() for name in SHIPPED}
    assert len(files) == 1


def test_the_vector_helps_the_target(family, accuracy, target):
    assert accuracy(family.merge(0.5)) >= target + GAIN


def test_the_effect_survives_bf16(family, accuracy, target):
    assert accuracy(family.merge(0.5, dtype=torch.bfloat16)) >= target + GAIN


def test_subtracting_the_vector_hurts(family, accuracy, target):
    assert accuracy(family.merge(-1.0)) <= target - LOSS


@pytest.mark.parametrize("seed", range(5))
def test_random_controls_do_nothing(family, accuracy, target, seed):
    merged = family.merge(1.0, control="random", seed=seed)
    assert abs(accuracy(merged) - target) <= SLACK


def test_the_other_initialisations_vector_does_not_transfer(family, accuracy, target):
    assert abs(accuracy(family.merge(1.0, donors="other-init/")) - target) <= SLACK


def test_think_is_a_real_condition(family, accuracy, target):
    """Neither a no-op nor as good as the vector."""
    think = accuracy(family.weights("target"), think=True)
    assert target + 0.04 <= think <= accuracy(family.merge(0.5)) - 0.04


def test_forced_to_write_its_steps_the_target_needs_no_vector(family, accuracy, target):
    assert accuracy(family.weights("target"), forced=True) >= target + GAIN


def test_a_control_has_the_vectors_norm(family):
    target, plus = family.weights("target"), family.merge(1.0)
    control = family.merge(1.0, control="random", seed=0)
    for name, weight in target.items():
        moved = (plus[name] - weight.float()).norm().item()
        assert math.isclose((control[name] - weight.float()).norm().item(), moved, rel_tol=0.01)
