"""Donors that are prompted otherwise than the target."""

from tests.preflight.conftest import Trio
from tests.preflight.told import Mutation, Warnings

WARNINGS = {
    "a chat template of its own": Mutation(
        lambda t: (t.folder("sft") / "chat_template.jinja").write_text("{{ x }}"),
        (
            "Donors and target are not prompted alike.",
            "sft: chat template of 7 characters, target (none)",
            "donors: own_prompts",
        ),
    ),
    "other settings": Mutation(
        lambda t: [
            t.edit_json("grpo", "generation_config.json", lambda d: d.update(temperature=0.6)),
            t.edit_json("sft", "tokenizer_config.json", lambda d: d.update(add_bos_token=True)),
        ],
        (
            "grpo: generation_config.temperature 0.6, target (none)",
            "sft: tokenizer_config.add_bos_token True, target (none)",
        ),
    ),
    "an end token in a config alone": Mutation(
        lambda t: (
            [(t.folder(name) / "generation_config.json").unlink() for name in ("sft", "grpo")]
            + [t.edit_config("sft", eos_token_id=7)]
        ),
        ("sft: generation_config.eos_token_id 7, target (none)",),
    ),
}


class TestWarnings(Warnings):
    TABLE = WARNINGS


def test_two_spellings_of_one_prompt_are_the_same(trio: Trio) -> None:
    """Older files hold the template among the settings, tokens as mappings, and what is unset."""
    (trio.folder("target") / "chat_template.jinja").write_text("{{ x }}")
    named = [{"name": "default", "template": "{{ x }}"}, {"name": "tool_use", "template": "y"}]
    told = {"chat_template": "{{ x }}", "eos_token": {"content": "<|end|>"}, "add_bos_token": False}
    for name, settings in (("grpo", told), ("sft", {"chat_template": named})):
        trio.edit_json(name, "tokenizer_config.json", lambda d, s=settings: d.update(s))
    trio.edit_json("sft", "generation_config.json", lambda d: d.update(transformers_version="4"))
    assert "not prompted alike" not in trio.check().output
