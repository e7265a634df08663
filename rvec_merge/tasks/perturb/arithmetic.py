"""Exact arithmetic on the expressions of worked solutions, without ``eval``."""

import ast
import re
from collections.abc import Callable
from fractions import Fraction

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
