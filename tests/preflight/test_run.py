"""What the preflight lets pass, tells at once, and says of the output and of pickles."""

import json
import os
import shutil

import pytest

from rvec_merge.errors import RvecError
from tests.preflight.conftest import SPECIAL, Trio
from tests.preflight.mutations import LAYER, pickled, retokenized


def test_a_sound_trio_passes(trio: Trio) -> None:
    result = trio.check()
    assert result.return_value == 0, result.output
    assert "can be merged.\n" in result.output, "no warning either"
    trio.merge_stock()


def test_every_problem_is_told_at_once(trio: Trio) -> None:
    trio.edit_config("sft", rms_norm_eps=1e-5)
    trio.edit_tensors("grpo", lambda x: x.pop(LAYER))
    retokenized(trio, special=SPECIAL[::-1])
    result = trio.check()
    said = ("rms_norm_eps", f"{LAYER}  missing in grpo", "2 special tokens differ", "3 errors.")
    assert all(part in result.output for part in said), result.output
    with pytest.raises(RvecError, match="There are 3 problems"):
        trio.merge_stock()


def test_every_wrong_key_is_told_at_once(trio: Trio) -> None:
    trio.recipe["out_dtyp"] = "float32"
    trio.donor("sft")["rol"] = "sft"
    text = str(trio.check().exception)
    assert "Unknown key 'out_dtyp'" in text
    assert "Unknown key 'rol'" in text


def test_no_room_on_the_disk(trio: Trio) -> None:
    # Sparse files: headers that promise more embedding rows than the disk could hold twice.
    rows = shutil.disk_usage(trio.root).free // 32
    for name in ("target", "grpo", "sft"):
        path = trio.folder(name) / "model.safetensors"
        data = path.read_bytes()
        size = int.from_bytes(data[:8], "little")
        head = json.loads(data[8 : 8 + size])
        end = len(data) - 8 - size
        shape = [rows, 32]
        offsets = [end, end + rows * 64]
        first = head["model.embed_tokens.weight"]["data_offsets"]
        head["filler"] = {"dtype": "U8", "shape": [first[1] - first[0]], "data_offsets": first}
        head["model.embed_tokens.weight"] = {
            "dtype": "BF16",
            "shape": shape,
            "data_offsets": offsets,
        }
        new = json.dumps(head).encode()
        path.write_bytes(len(new).to_bytes(8, "little") + new + data[8 + size :])
        os.truncate(path, 8 + len(new) + offsets[1])
    text = trio.check().output
    assert "The disk has no room for the output." in text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(trio: Trio) -> None:
    trio.out.parent.chmod(0o500)
    try:
        assert "is read-only" in trio.check().output
    finally:
        trio.out.parent.chmod(0o700)


def test_pickled_weights_pass_when_allowed(trio: Trio) -> None:
    pickled(trio)
    assert trio.check("--allow-pickle").return_value == 0


def test_a_pickle_that_runs_code_never_passes(trio: Trio) -> None:
    import pickle

    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(trio.root / "ran"),)

    (trio.folder("sft") / "model.safetensors").unlink()
    (trio.folder("sft") / "pytorch_model.bin").write_bytes(pickle.dumps({"x": Payload()}))
    result = trio.check("--allow-pickle")
    assert "cannot be unpickled safely" in result.output
    assert not (trio.root / "ran").exists()


def test_overwriting_an_earlier_output(trio: Trio) -> None:
    trio.merge_stock()
    assert "The output exists." in trio.check().output
    assert trio.check("--overwrite").return_value == 0


def test_two_names_of_one_hub_model_are_one(trio: Trio) -> None:
    trio.donor("grpo")["model"] = "Org/Model"
    trio.donor("sft")["model"] = "org/model@main"
    result = trio.check()
    assert "both are org/model on the Hub" in result.output
    assert "Some inputs are not here yet" in result.output


def test_a_cached_index_without_a_weight_map_is_refused(
    trio: Trio, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = trio.folder("sft")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text('{"weight_map": []}')
    monkeypatch.setattr("rvec_merge.preflight.models.cached_snapshot", lambda _: folder)
    trio.donor("sft")["model"] = "org/sft"
    result = trio.check()
    assert result.return_value == 1
    assert "model.safetensors.index.json has no weight_map." in result.output
