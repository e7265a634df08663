"""A GSM8K item as numbers in a question and a chain of exact computations on them."""

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from rvec_merge.tasks.perturb.lexicon import COMMON, FRAGILE, IMPLIED, NUMBER_WORDS
from rvec_merge.tasks.perturb.quantities import most
from rvec_merge.tasks.perturb.sentences import NUMBER, WORD
from rvec_merge.tasks.perturb.spec import Refusal

_STEP = re.compile(r"<<([^<>=]+)=([^<>=]+)>>")
_OPERATION = re.compile(r"\d\)*\s*[-+*/]")
_OF_EACH = re.compile(r"\b(?:of|from|for) each\b", re.IGNORECASE)
_LIST = re.compile(r"\w+(?:, (?:and )?\w+)*,? and \w+")
_STATED = re.compile(rf"=\s*\$?\s*({NUMBER.pattern})")
_OPERATIONS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
}
LONGEST = 200
_PLAIN = re.compile(r"\d+\.?\d*|\.\d+")


class NotArithmetic(ValueError):
    """An expression is more than + - * / and numbers, or cannot be computed."""


def number(text: str) -> Fraction:
    """Read ``1,234.50`` exactly."""
    return Fraction(text.replace(",", ""))


def written(value: Fraction) -> str:
    """Write a value as GSM8K does: an integer, or a finite decimal.

    Raises:
        NotArithmetic: the value is no finite decimal.
    """
    if value.denominator == 1:
        return str(value.numerator)
    for digits in range(1, 9):
        if (value * 10**digits).denominator == 1:
            return f"{float(value):.{digits}f}"
    raise NotArithmetic(f"{value} is no finite decimal")


def evaluate(
    expression: str, substitute: Callable[[Fraction], Fraction] = lambda value: value
) -> tuple[Fraction, str]:
    """Compute an expression after ``substitute`` was asked about every number in it.

    Returns the value and the expression with the new numbers written in.

    Raises:
        NotArithmetic: anything but numbers, ``+ - * /``, signs and parentheses; or a division by 0.
    """
    text = expression.replace(",", "").replace("$", "").strip()
    if len(text) > LONGEST:
        raise NotArithmetic("the expression is too long")
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError) as error:
        raise NotArithmetic(str(error)) from None
    replaced: list[tuple[int, int, str]] = []

    def walk(node: ast.expr) -> Fraction:
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
            left, right = walk(node.left), walk(node.right)
            try:
                return _OPERATIONS[type(node.op)](left, right)
            except ZeroDivisionError:
                raise NotArithmetic("division by zero") from None
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            value = walk(node.operand)
            return -value if isinstance(node.op, ast.USub) else value
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            start, end = node.col_offset, node.end_col_offset or node.col_offset
            # An exponent would make a number of any size from a few characters.
            if not _PLAIN.fullmatch(text[start:end]):
                raise NotArithmetic(f"{text[start:end]} is no plain number")
            value = substitute(Fraction(text[start:end]))
            replaced.append((start, end, written(value)))
            return value
        raise NotArithmetic(f"{type(node).__name__} is not allowed")

    value = walk(tree.body)
    for start, end, new in sorted(replaced, reverse=True):
        text = text[:start] + new + text[end:]
    return value, text


@dataclass(frozen=True)
class Place:
    """One number of the question. ``free`` says whether it may change, ``most`` how far."""

    start: int
    end: int
    value: Fraction
    free: bool
    percent: bool
    most: int


@dataclass(frozen=True)
class Chain:
    """What an item computes. ``constants`` are amounts its words bring in."""

    question: str
    places: tuple[Place, ...]
    steps: tuple[tuple[str, Fraction], ...]
    constants: frozenset[Fraction]


def _places(question: str) -> tuple[Place, ...]:
    found = []
    for match in NUMBER.finditer(question):
        token = match.group().rstrip(",")
        start, end = match.start(), match.start() + len(token)
        before, after = question[max(0, start - 1) : start], question[end : end + 2]
        fixed = bool(re.match(r"[\w/:#.]", before)) or bool(re.match(r"[A-Za-z_]|[:/]\d", after))
        percent = bool(re.match(r"\s*(%|percent)", question[end:]))
        value = number(token)
        bound = most(question, start, end)
        free = not fixed and not percent and value.denominator == 1 and 2 <= value <= bound
        found.append(Place(start, end, value, free, percent, bound))
    return tuple(found)


def _constants(question: str, places: tuple[Place, ...]) -> frozenset[Fraction]:
    told = [word.lower() for word in WORD.findall(question)]
    values = {Fraction(NUMBER_WORDS[word]) for word in told if word in NUMBER_WORDS}
    values |= {Fraction(value) for word in told for value in IMPLIED.get(word, ())}
    values.add(Fraction(1))
    for place in places:
        if not place.free:
            values.add(place.value)
        if place.percent:
            share = place.value / 100
            values |= {share, 1 - share, 1 + share, 100 - place.value, 100 + place.value}
            values.add(Fraction(100))
    values |= {Fraction(count) for count in _listed(question)}
    for top, bottom in re.findall(r"(?<![\d/])(\d+)/(\d+)(?![\d/])", question):
        if int(bottom):
            values |= {Fraction(int(top), int(bottom)), 1 - Fraction(int(top), int(bottom))}
    return frozenset(values)


def _listed(question: str) -> Iterator[int]:
    """How many somebody or something a question lists: "Ann, Bob and Carl each", "of each"."""
    for names in _LIST.findall(question):
        yield 1 + len(re.findall(r",|\band\b", re.sub(r",\s*and\b", ",", names)))


def read_chain(question: str, answer: str) -> Chain | Refusal:
    """Read an item, or say why its computation cannot be followed without a doubt."""
    told = {word.lower() for word in WORD.findall(question)}
    if told & FRAGILE or _OF_EACH.search(question):
        return Refusal("a word ties the answer to the order of sizes")
    worked, mark, gold = answer.rpartition("####")
    steps = []
    for expression, result in _STEP.findall(worked):
        try:
            value, _ = evaluate(expression)
            stated = number(result.strip().lstrip("$"))
        except (NotArithmetic, ValueError):
            return Refusal("a step is not plain arithmetic")
        if value != stated:
            return Refusal("a step is rounded or wrong")
        if not _OPERATION.search(expression):
            return Refusal("a step computes nothing")
        steps.append((expression, value))
    if not steps or not mark:
        return Refusal("no worked steps")
    results = {value for _, value in steps}
    if any(number(value) not in results for value in _STATED.findall(_STEP.sub("", worked))):
        return Refusal("a step is not annotated")
    try:
        if number(gold.strip().lstrip("$")) != steps[-1][1]:
            return Refusal("the last step is not the answer")
    except ValueError:
        return Refusal("the answer is no number")
    places = _places(question)
    chain = Chain(question, places, tuple(steps), _constants(question, places))
    return _doubt(chain) or chain


def _doubt(chain: Chain) -> Refusal | None:
    """Every number must have exactly one origin, and everything told must be used."""
    used: Counter[Fraction] = Counter()
    places = Counter(place.value for place in chain.places if place.free)
    told = set(places)
    earlier: list[Fraction] = []
    consumed: set[Fraction] = set()

    def origin(value: Fraction) -> Fraction:
        origins = (value in told) + earlier.count(value) + (value in chain.constants)
        if origins != 1:
            raise LookupError(value, origins)
        used[value] += 1
        if value in earlier:
            consumed.add(value)
        return value

    for expression, result in chain.steps:
        try:
            evaluate(expression, origin)
        except LookupError as error:
            many = error.args[1] > 1
            return Refusal("a number has two origins" if many else "a number has no origin")
        earlier.append(result)
    if told - used.keys():
        return Refusal("a number of the question is not used")
    if set(earlier[:-1]) - consumed:
        return Refusal("a step is not used")
    # "3 children and both parents": a small number that is used again may be somebody else's.
    if any(used[value] > count and value in COMMON for value, count in places.items()):
        return Refusal("a number is used more often than it is told")
    return None
