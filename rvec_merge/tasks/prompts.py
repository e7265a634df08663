"""Where "Think step by step." goes: at the end of the user's turn, never in the system role.

Few-shot questions get it like the last one: they show the form an answer takes, and a form that
changes at the last question would be a second change beside the prompt.
"""

import re
from collections.abc import Callable
from typing import Any

from rvec_merge.errors import TaskError

THINK = "Think step by step."

Template = str | Callable[[dict[str, Any]], str]


def with_think(template: Template, cue: str | None, *, comment: bool = False) -> Template:
    """Put the sentence on its own line before the answer cue that ends a prompt.

    Args:
        template: a Jinja template or a function of the item, as lm-eval's ``doc_to_text``.
        cue: what the prompt ends with after the question, such as ``"\\nAnswer:"``; None puts the
            sentence at the very end.
        comment: the prompt is code; the sentence becomes a comment line before it.

    Raises:
        TaskError: the template does not end with the cue (another version of the built-in task).
    """
    if callable(template):
        written = template
        return lambda doc: _insert(written(doc), cue, comment)
    return _insert(template, cue, comment)


def _insert(text: str, cue: str | None, comment: bool) -> str:
    if comment:
        return f"# {THINK}\n{text}"
    end = len(text)
    if cue is not None:
        end = text.rfind(cue)
        if end < 0 or text[end + len(cue) :].strip():
            raise TaskError(
                "The prompt of the base task does not end as its variant expects.",
                [f"expected at its end: {cue!r}", f"prompt ends: {text[-60:]!r}"],
                "use a version of lm-eval that this package was tested with, or correct `cue`.",
            )
    # A template may end in a newline of its own, as a closed code block does.
    gap = "" if text[:end].endswith("\n") else "\n"
    ending = "\n" if cue is None and text.endswith("\n") else ""
    return f"{text[:end]}{gap}{THINK}{ending}{text[end:]}"


def with_shown_prompt(template: str, column: str) -> str:
    """Make a template show ``column`` where it shows ``prompt``."""
    return re.sub(r"\{\{\s*prompt\s*\}\}", f"{{{{ {column} }}}}", template)
