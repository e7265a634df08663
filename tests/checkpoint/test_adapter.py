"""An adapter's file: which of its tensors are factors, which biases, and which are whole."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from rvec_merge.checkpoint.adapter import PREFIX, Adapter
from rvec_merge.errors import CheckpointError

A, B = torch.zeros(2, 3), torch.zeros(4, 2)
FACTORS = {"q.lora_A.weight": A, "q.lora_B.weight": B}


def opened(folder: Path, tensors: dict[str, torch.Tensor], **config: object) -> Adapter:
    stated = {"peft_type": "LORA", "r": 2, "lora_alpha": 8, **config}
    (folder / "adapter_config.json").write_text(json.dumps(stated))
    named = {PREFIX + name: tensor.clone() for name, tensor in tensors.items()}
    save_file(named, folder / "adapter_model.safetensors")
    return Adapter.open(folder)


def test_what_each_tensor_is(tmp_path: Path) -> None:
    tensors = {
        "q.base_layer.lora_A.weight": A,
        "q.lora_B.weight": B,
        "q.lora_B.bias": torch.zeros(4),
        "wte.lora_embedding_A": A,
        "wte.lora_embedding_B": B,
        "head.modules_to_save.weight": torch.zeros(5),
    }
    found = opened(tmp_path, tensors, fan_in_fan_out=True)
    assert {m.name: (m.embedding, m.bias is not None) for m in found.modules.values()} == {
        "q": (False, True),
        "wte": (True, False),
    }
    assert found.whole.keys() == {"head.weight"}
    assert found.transposed
    assert found.modules["q"].scale == 4


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"q.lora_A.weight": A}, "q: A alone"),
        ({**FACTORS, "q.lora_magnitude_vector": A}, "lora_magnitude_vector"),
        ({**FACTORS, "q.lora_A.weight": torch.zeros(2, 3, 1)}, "(2, 3, 1)"),
        ({**FACTORS, "q.lora_A.weight": torch.zeros(5, 3)}, "(5, 3) and (4, 2), rank 2"),
    ],
)
def test_what_is_no_pair_of_factors_is_refused(
    tensors: dict[str, torch.Tensor], said: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError) as caught:
        opened(tmp_path, tensors)
    assert said in str(caught.value)
