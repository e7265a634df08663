"""YAML from strangers: plain data only, no duplicate keys, no anchors that explode."""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from rvec_merge.errors import RecipeError, RvecError

TEXT_LIMIT = 1 << 20  # characters
NODE_LIMIT = 100_000  # nodes once aliases are expanded
DEPTH_LIMIT = 100
DIGITS_LIMIT = 64  # of an integer; Python prints none of more than 4,300 digits
_ANCHOR = re.compile(r"&\S+\s+")
_LONG = 64  # characters of a scalar that count as one node more

# What yaml's own constructors raise for `!!bool x`, `!!int ''`, `!!timestamp x`, `1:1:…:1.0`.
_BY_TAGS = (LookupError, AttributeError, ArithmeticError, TypeError)


@dataclass(frozen=True)
class Document:
    """One YAML document: what it says, and where in the text."""

    text: str
    data: Any
    root: yaml.Node | None

    def rewritten(self, keys: Collection[str], new: Callable[[str], str]) -> str:
        """The text with the values of ``keys`` changed, and everything else as it was."""
        text = self.text
        places = {id(n): n for n in _values(self.root, keys, set())}.values()
        for node in sorted(places, key=lambda n: -n.start_mark.index):
            if (value := new(node.value)) != node.value:
                start, end = node.start_mark.index, node.end_mark.index
                anchor = _ANCHOR.match(text, start, end)  # which an alias may name
                text = text[: anchor.end() if anchor else start] + value + text[end:]
        return text


def load_yaml(text: str, *, source: str, error: type[RvecError] = RecipeError) -> Any:
    """What one YAML document of plain data says; see ``compose``."""
    return compose(text, source=source, error=error).data


def compose(text: str, *, source: str, error: type[RvecError] = RecipeError) -> Document:
    """Parse one YAML document of plain data.

    Args:
        source: what errors call the text.
        error: the class of error to raise.

    Raises:
        RvecError: the text is no YAML, repeats a key, or is too large, too deep or expands to
            more than ``NODE_LIMIT`` nodes.
    """
    fix = "write plain YAML; `rvec recipes` and `rvec plans` list examples."
    if len(text) > TEXT_LIMIT:
        raise error("The YAML is too large.", [source, f"{len(text):,} characters"], fix)
    try:
        loader = yaml.SafeLoader(text)
        try:
            root = loader.get_single_node()
            if root is None:
                return Document(text, None, None)
            _measure(root, source, error)
            return Document(text, loader.construct_document(root), root)
        finally:
            loader.dispose()
    except (yaml.YAMLError, RecursionError, ValueError, *_BY_TAGS) as problem:
        said = " ".join(str(problem).split()) or type(problem).__name__
        raise error("This is not valid YAML.", [source, said], fix) from None


def _values(
    node: yaml.Node | None, keys: Collection[str], seen: set[int]
) -> Iterator[yaml.ScalarNode]:
    """The scalars that stand under one of the keys."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(value, yaml.ScalarNode) and str(key.value) in keys:
                yield value
            yield from _values(value, keys, seen)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _values(item, keys, seen)


def _measure(root: yaml.Node, source: str, error: type[RvecError]) -> None:
    """Bound depth and expanded size without expanding; refuse keys written twice."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node, depth: int) -> int:
        if depth > DEPTH_LIMIT:
            raise error("The YAML is nested too deeply.", [source], "write plain YAML.")
        if id(node) in sizes:
            return sizes[id(node)]
        total = 1 + (len(node.value) // _LONG if isinstance(node, yaml.ScalarNode) else 0)
        _refuse_long_integer(node, source, error)
        if isinstance(node, yaml.MappingNode):
            seen = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in seen:
                        line = key.start_mark.line + 1
                        raise error(
                            f"The key {key.value!r} is written twice.",
                            [f"{source}, line {line}"],
                            "keep one of the two.",
                        )
                    seen.add(key.value)
                total += size(key, depth + 1) + size(value, depth + 1)
        elif isinstance(node, yaml.SequenceNode):
            total += sum(size(item, depth + 1) for item in node.value)
        if total > NODE_LIMIT:
            raise error(
                "The YAML expands to too many nodes.", [source], "write it without anchors."
            )
        sizes[id(node)] = total
        return total

    size(root, 0)


def _refuse_long_integer(node: yaml.Node, source: str, error: type[RvecError]) -> None:
    if node.tag.endswith(":int") and len(node.value) > DIGITS_LIMIT:
        raise error(
            "A number has too many digits.",
            [f"{source}, line {node.start_mark.line + 1}", f"{len(node.value):,} characters"],
            "write it shorter, or as text in quotes.",
        )
