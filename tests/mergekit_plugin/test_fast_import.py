"""mergekit imported in half the time works as mergekit imported whole."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import RECIPE, make_triple
from tests.merge.conftest import add_tokenizer, assert_same_folder

HEAVY = [
    "peft",
    "accelerate",
    "networkx",
    "torch._dynamo",
    "transformers.models.auto.modeling_auto",
]


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", f"from rvec_merge.mergekit_plugin.fast_import import *\n{code}"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_heavy_modules_stay_out_until_they_are_used():
    python(f"""
import sys
import_mergekit()
assert not set({HEAVY}) & set(sys.modules), set({HEAVY}) & set(sys.modules)
from rvec_merge.mergekit_plugin.fast_import import _LateModule
late = [n for n, m in sys.modules.items() if isinstance(m, _LateModule) or m is None]
assert late == ["transformers.models"], late

import mergekit.architecture, mergekit.common, mergekit.io.tasks, transformers
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText
from transformers import PreTrainedModel, Qwen2ForCausalLM
assert issubclass(Qwen2ForCausalLM, PreTrainedModel)
assert mergekit.common.get_auto_cls("Qwen2ForCausalLM") is AutoModelForCausalLM
found = mergekit.common.get_auto_cls("Qwen2_5_VLForConditionalGeneration")
assert found is AutoModelForImageTextToText, found
assert sys.modules["transformers.models"] is transformers.models
import accelerate, networkx, peft
assert mergekit.graph.networkx.DiGraph is networkx.DiGraph
assert mergekit.io.lazy_unpickle.accelerate.init_empty_weights is accelerate.init_empty_weights
assert mergekit.common.peft.PeftModel is peft.PeftModel
assert mergekit.io.tasks.convert_checkpoint_tensors("qwen2", {{}}, "x") is None
""")


@pytest.mark.parametrize(
    "use",
    [
        "import transformers.models; transformers.models.bert.BertConfig",
        "from transformers.models import llama; llama.LlamaConfig",
        "from transformers.models.qwen2 import Qwen2Config; transformers.models.qwen2.Qwen2Config",
        "from transformers.models.auto import AutoConfig; transformers.AutoModel",
        "transformers.AutoConfig.for_model('qwen3'); transformers.models.gemma2.Gemma2Config",
    ],
)
def test_every_way_to_transformers_models_is_open(use):
    python(f"""
import_mergekit()
import sys, transformers
stand_in = sys.modules["transformers.models"]
{use}
assert stand_in.GPT2Config is transformers.GPT2Config
assert sys.modules["transformers.models"] is not stand_in
""")


def test_a_process_that_has_it_all_is_left_alone():
    python("""
import mergekit.merge, mergekit.common
before = mergekit.common.get_auto_cls
import_mergekit()
assert mergekit.common.get_auto_cls is before
assert mergekit.common.ARCH_NAME_TO_AUTO_CLS
""")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["SmolLM3"])
def test_architectures_that_mergekit_must_infer(tmp_path, stock, kind):
    from mergekit.architecture.json_definitions import NAME_TO_ARCH

    assert f"{kind}ForCausalLM" not in NAME_TO_ARCH
    folders = make_triple(tmp_path / "models", kind, pad_token_id=0)
    add_tokenizer(folders)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.format(**folders, scale=0.7, out_dtype="bfloat16"))
    rvec = Path(sys.executable).parent / "rvec"
    subprocess.run([rvec, "merge", recipe, tmp_path / "out", "--quiet"], check=True)
    assert_same_folder(tmp_path / "out", stock(recipe.read_text()))
