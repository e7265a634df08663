"""Find what looks like an access token in text that is about to be shared."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

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
