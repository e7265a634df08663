"""Every warning of the preflight, and that a warning stops nothing."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from huggingface_hub.errors import OfflineModeIsEnabled

from tests.preflight.conftest import Trio, tokenizer

ROTARY = "model.layers.0.self_attn.rotary_emb"
INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class Suspicion:
    """What is done to a sound trio, what must be said, and whether a stock run says it too."""

    change: Callable[[Trio], object]
    said: tuple[str, ...]
    stock: bool = True


def card(trio: Trio, name: str, base: str) -> None:
    (trio.folder(name) / "README.md").write_text(f"---\nbase_model: {base}\n---\n")


def widen(*names: str) -> Callable[[Trio], None]:
    def change(trio: Trio) -> None:
        for name in names:
            trio.edit_tensors(name, lambda t: t.update({k: v.float() for k, v in t.items()}))

    return change


def normalized(trio: Trio) -> None:
    data = {**tokenizer(), "normalizer": {"type": "Lowercase"}}
    (trio.folder("sft") / "tokenizer.json").write_text(json.dumps(data))


def scale(trio: Trio, value: object, out_dtype: str = "float32") -> None:
    trio.recipe["parameters"]["scale"] = value
    trio.recipe["out_dtype"] = out_dtype


def adapted(trio: Trio) -> None:
    from tests.preflight.mutations import adapter

    adapter(trio.root / "adapter", str(trio.folder("grpo")))
    trio.donor("grpo").update(model=f"{trio.folder('grpo')}+{trio.root}/adapter")


def swapped(trio: Trio) -> None:
    """Two slices, the second layer before the first, of models whose layers differ in kind."""
    for name in ("target", "grpo", "sft"):
        kinds = ["sliding_attention", "full_attention"]
        trio.edit_config(name, layer_types=kinds, use_sliding_window=True, sliding_window=8)
    inputs = [*trio.recipe.pop("models"), {"model": trio.recipe["base_model"]}]
    trio.recipe["slices"] = [
        {"sources": [{**i, "layer_range": part} for i in inputs]} for part in ([1, 2], [0, 1])
    ]


WARNINGS = {
    "no shared base": Suspicion(
        lambda t: [card(t, name, "org/other") for name in ("grpo", "sft")],
        ("Donors and target share no stated base model.", "org/other", "--deep"),
    ),
    "mixed dtypes": Suspicion(
        widen("grpo"), ("The inputs' dtypes differ.", "grpo: float32", "target: bfloat16")
    ),
    "dtype rounds float32 donors": Suspicion(
        lambda t: (widen("target", "grpo", "sft")(t), t.recipe.update(dtype="bfloat16")),
        ("dtype: bfloat16 rounds wider inputs when they are read.", "Leave dtype out"),
    ),
    "scale in bfloat16": Suspicion(
        lambda t: scale(t, 0.5, "bfloat16"),
        ("A scale other than 1 in bfloat16", "scale × weight: 0.5", "out_dtype: float32"),
    ),
    "weight in bfloat16": Suspicion(
        lambda t: t.donor("grpo")["parameters"].update(weight=0.25), ("scale × weight: 0.25",)
    ),
    "gradient": Suspicion(
        lambda t: scale(t, [0.0, 1.0]),
        ("A gradient of scale", "embeddings: 0", "final norm: 0"),
    ),
    "a gradient of another parameter": Suspicion(
        lambda t: t.recipe["parameters"].update(density=[0.25, 0.5]),
        ("A gradient of density", "embeddings: 0.25", "final norm: 0.25"),
    ),
    "no out_dtype": Suspicion(
        lambda t: t.recipe.pop("out_dtype"),
        ("The recipe gives no out_dtype: the merge is written in float32", "will say bfloat16"),
    ),
    "minor config": Suspicion(
        lambda t: t.edit_config("sft", max_position_embeddings=128),
        ("The configs of sft and target differ.", "max_position_embeddings: target 64, sft 128"),
    ),
    "a tokenizer that cannot be read": Suspicion(
        lambda t: (t.folder("sft") / "tokenizer.json").unlink(), ("Tokenizers were not compared.",)
    ),
    "a tokenizer that splits otherwise": Suspicion(
        normalized, ("The tokenizers of sft and target split text differently.",)
    ),
    "code that is not run": Suspicion(
        lambda t: t.edit_config("sft", auto_map={"AutoConfig": "x.Y"}),
        ("A model names code of its own; it is not run.",),
        stock=False,  # mergekit's transformers refuses the missing x.py
    ),
    "a model in a vector's place": Suspicion(
        lambda t: (
            t.recipe["models"].pop(),
            t.donor("grpo").update(parameters={"role": "vector"}),
        ),
        ("Nothing says that an input of role: vector is a difference", "--deep"),
    ),
    "layers that change their kind": Suspicion(
        swapped,
        ("layers of another kind", "layer 0 (sliding_attention) becomes layer 1 (full_attention)"),
    ),
    "the target as sft": Suspicion(
        lambda t: t.recipe.update(base_model=str(t.folder("sft"))),
        ("this extrapolates its own training", "2404.16792"),
    ),
    "the target as sft, spelt otherwise": Suspicion(
        lambda t: t.recipe.update(base_model=f"{t.folder('sft')}/."),
        ("this extrapolates its own training",),
    ),
    "a tied head that is stored": Suspicion(
        lambda t: t.edit_tensors(
            "grpo", lambda x: x.update({"lm_head.weight": x["model.embed_tokens.weight"].clone()})
        ),
        (
            "Some inputs store lm_head.weight although it is tied",
            "takes a stored head that differs",
        ),
    ),
    "a stale index": Suspicion(
        lambda t: (t.folder("grpo") / "model.safetensors.index.json").write_text(
            '{"weight_map": {}}'
        ),
        (
            "A folder says twice what its weights are.",
            f"model.safetensors is read, {INDEX} is not",
        ),
    ),
    "a chat template of its own": Suspicion(
        lambda t: (t.folder("sft") / "chat_template.jinja").write_text("{{ x }}"),
        (
            "Donors and target are not prompted alike.",
            "sft: chat template of 7 characters, target (none)",
            "donors: own_prompts",
        ),
    ),
    "other settings": Suspicion(
        lambda t: [
            t.edit_json("grpo", "generation_config.json", lambda d: d.update(temperature=0.6)),
            t.edit_json("sft", "tokenizer_config.json", lambda d: d.update(add_bos_token=True)),
        ],
        (
            "grpo: generation_config.temperature 0.6, target (none)",
            "sft: tokenizer_config.add_bos_token True, target (none)",
        ),
    ),
    "an end token in a config alone": Suspicion(
        lambda t: (
            [(t.folder(name) / "generation_config.json").unlink() for name in ("sft", "grpo")]
            + [t.edit_config("sft", eos_token_id=7)]
        ),
        ("sft: generation_config.eos_token_id 7, target (none)",),
    ),
    "a beginning that the tokenizer adds": Suspicion(
        lambda t: t.edit_json("sft", "tokenizer.json", lambda d: d.update(post_processor={"x": 1})),
        ("The tokenizers of sft and target split text differently.",),
    ),
}


@pytest.mark.parametrize("name", WARNINGS)
def test_rvec_check_warns_and_passes(name: str, trio: Trio) -> None:
    WARNINGS[name].change(trio)
    result = trio.check()
    assert result.return_value == 0, result.output
    assert all(part in result.output for part in WARNINGS[name].said), result.output
    assert ": 1 warning.\n" in result.output
    trio.merge()  # what the check lets pass gets past the planning, and further


@pytest.mark.parametrize("name", [name for name, s in WARNINGS.items() if s.stock])
def test_stock_mergekit_logs_the_same_once(
    name: str, trio: Trio, caplog: pytest.LogCaptureFixture
) -> None:
    WARNINGS[name].change(trio)
    with caplog.at_level(logging.WARNING, logger="rvec_merge"):
        trio.merge_stock()
    said = [r.getMessage() for r in caplog.records if r.name.startswith("rvec_merge")]
    assert len(said) == 1
    assert all(part in said[0] for part in WARNINGS[name].said), said[0]


def test_two_spellings_of_one_prompt_are_the_same(trio: Trio) -> None:
    """Older files hold the template among the settings, tokens as mappings, and what is unset."""
    (trio.folder("target") / "chat_template.jinja").write_text("{{ x }}")
    named = [{"name": "default", "template": "{{ x }}"}, {"name": "tool_use", "template": "y"}]
    told = {"chat_template": "{{ x }}", "eos_token": {"content": "<|end|>"}, "add_bos_token": False}
    for name, settings in (("grpo", told), ("sft", {"chat_template": named})):
        trio.edit_json(name, "tokenizer_config.json", lambda d, s=settings: d.update(s))
    trio.edit_json("sft", "generation_config.json", lambda d: d.update(transformers_version="4"))
    assert "not prompted alike" not in trio.check().output


def test_a_donor_made_from_the_other_donor_shares_its_base(trio: Trio) -> None:
    card(trio, "grpo", str(trio.folder("sft")))
    assert "share no stated base" not in trio.check().output


NESTED = "".join(f"x{i}: &x{i} [*x{i - 1}, *x{i - 1}]\n" for i in range(1, 15))


@pytest.mark.parametrize(
    "front",
    [
        f"base_model: 0x{'f' * 5000}\n",
        "base_model: !!bool x\n",
        f"x0: &x0 [x, x]\n{NESTED}base_model: *x14\n",
    ],
    ids=["digits", "tag", "anchors"],
)
def test_a_card_that_states_no_plain_name_states_none(trio: Trio, front: str) -> None:
    (trio.folder("sft") / "README.md").write_text(f"---\n{front}---\n")
    result = trio.check()
    assert "Donors and target share no stated base model." in result.output
    assert "states none" in result.output
    assert len(result.output) < 5000


def test_stock_mergekit_warns_of_weights_in_its_output_folder(
    trio: Trio, caplog: pytest.LogCaptureFixture
) -> None:
    trio.merge_stock()
    with caplog.at_level(logging.WARNING, logger="rvec_merge"):
        trio.merge_stock()
    assert "The output folder holds weights already." in caplog.text


def test_stock_mergekit_warns_of_folders_that_it_takes_for_hub_ids(
    trio: Trio, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trio.folder("target").parent.parent)
    trio.recipe["base_model"] = "models/target"
    trio.recipe["models"][0]["model"] = "./models/grpo"
    with caplog.at_level(logging.WARNING, logger="rvec_merge"), pytest.raises(OfflineModeIsEnabled):
        trio.merge_stock()
    (said,) = (r.getMessage() for r in caplog.records if r.name.startswith("rvec_merge"))
    assert "write ./models/target" in said
    assert "grpo" not in said


def test_merges_in_either_notation_are_the_same(trio: Trio) -> None:
    for name, merges in (("target", ["a b", "ab c"]), ("grpo", [["a", "b"], ["ab", "c"]])):
        data = tokenizer()
        data["model"]["merges"] = merges
        (trio.folder(name) / "tokenizer.json").write_text(json.dumps(data))
    trio.edit_json("sft", "tokenizer.json", lambda d: d["model"].update(merges=["b a", "ab c"]))
    text = trio.check().output
    assert "grpo and target split" not in text
    assert "The tokenizers of sft and target split text differently." in text
