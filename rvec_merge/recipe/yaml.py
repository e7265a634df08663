"""YAML from strangers: plain data only, no duplicate keys, no anchors that explode."""

from typing import Any

import yaml

from rvec_merge.errors import RecipeError, RvecError

TEXT_LIMIT = 1 << 20  # characters
NODE_LIMIT = 100_000  # nodes once aliases are expanded
DEPTH_LIMIT = 100
DIGITS_LIMIT = 64  # of an integer; Python prints none of more than 4,300 digits
_LONG = 64  # characters of a scalar that count as one node more

# What yaml's own constructors raise for `!!bool x`, `!!int ''`, `!!timestamp x`, `1:1:…:1.0`.
_BY_TAGS = (LookupError, AttributeError, ArithmeticError, TypeError)


def load_yaml(text: str, *, source: str, error: type[RvecError] = RecipeError) -> Any:
    """Parse one YAML document of plain data.

    Args:
        source: what errors call the text.
        error: the class of error to raise.

    Raises:
        RvecError: the text is no YAML, repeats a key, or is too large, too deep or expands to
            more than ``NODE_LIMIT`` nodes.
    """
    fix = "write plain YAML; `rvec recipes` lists examples."
    if len(text) > TEXT_LIMIT:
        raise error("The YAML is too large.", [source, f"{len(text):,} characters"], fix)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            return None
        _measure(node, source, error)
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError, *_BY_TAGS) as problem:
        said = " ".join(str(problem).split()) or type(problem).__name__
        raise error("This is not valid YAML.", [source, said], fix) from None


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
