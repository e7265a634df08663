"""Find what looks like an access token in text that is about to be shared."""

import gzip
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from rvec_merge.hub.errors import HubError

_TEXT = {".json", ".yaml", ".yml", ".md", ".txt", ".jinja", ".csv"}
_PATTERNS = {
    "a Hugging Face token": r"\b(?:hf|api_org)_[A-Za-z0-9]{20,}",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,})",
    "an OpenAI or Anthropic key": r"\bsk-[A-Za-z0-9_-]{20,}",
    "an AWS access key": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "a Google API key": r"\bAIza[A-Za-z0-9_-]{35}",
    "a Slack token": r"\bxox[abposr]-[A-Za-z0-9-]{10,}",
    "a private key": r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----",
    "a bearer header": r"[Aa]uthorization:\s*[Bb]earer\s+[\w.~+/-]{16,}",
    "a URL with a password": r"\bhttps?://[^\s/:@]+:[^\s/:@]{4,}@",
}
_ANY = re.compile("|".join(f"({pattern})" for pattern in _PATTERNS.values()))
_KINDS = tuple(_PATTERNS)


def refuse_secrets(files: Mapping[str, Path | str]) -> None:
    """Refuse to share what looks like a token.

    Args:
        files: by path in the repo: a file's path, or text.

    Raises:
        HubError: something does.
    """
    from huggingface_hub import get_token

    own, facts = get_token(), []
    for name, content in files.items():
        if isinstance(content, Path):
            facts += [f"{name}, {found}" for found in scan_file(content, own)]
        else:
            facts += [f"{name}, line {line}: {kind}" for line, kind in find_secrets(content, own)]
    if facts:
        raise HubError(
            "Something looks like an access token.",
            [*facts[:8], *([f"and {len(facts) - 8} more"] if len(facts) > 8 else [])],
            "remove it, and revoke the token if it was real.",
        )


def find_secrets(text: str, own: str | None = None) -> Iterator[tuple[int, str]]:
    """(line number, what it looks like) of each line with a token; the token is not repeated.

    Args:
        own: the user's token; found wherever it stands.
    """
    for number, line in enumerate(text.splitlines(), 1):
        if own and own in line:
            yield number, "your own Hub token"
        elif match := _ANY.search(line):
            yield number, _KINDS[_group(match)]


def scan_file(path: Path, own: str | None = None) -> list[str]:
    """What looks like a token in a text file, or a packed one: ``line 3: …``."""
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
            return [
                f"line {number}: {kind}"
                for number, line in enumerate(file, 1)
                for _, kind in find_secrets(line, own)
            ]
    if path.suffix not in _TEXT:
        return []
    text = path.read_text("utf-8", errors="replace")
    return [f"line {number}: {kind}" for number, kind in find_secrets(text, own)]


def _group(match: re.Match[str]) -> int:
    return next(index for index, found in enumerate(match.groups()) if found is not None)
