"""Runs in a fresh ``python -I -S``: two processes, one for the program and one for its tests.

The judge forks the player, which runs the program and then calls its functions as it is asked to.
Only afterwards does the judge read the tests, and runs them with stand-ins for the program's
functions: arguments and results cross as plain data. So the program shares no memory with the
tests, never sees them, and holds no descriptor on which a verdict could be written. Both have
their doors shut.
"""

import builtins
import json
import os
import signal
from collections.abc import Iterator
from types import CodeType
from typing import IO, Any, NoReturn

from . import doors


class _Ended(BaseException):
    """The program is gone, speaks nonsense, or took too long: no test may catch this."""


class _Player:
    """The program, as the judge sees it."""

    def __init__(self, questions: IO[str], answers: IO[str]) -> None:
        self._questions = questions
        self._answers = answers
        self.ended = False

    def end(self, *_: object) -> NoReturn:
        """Give the program up; whatever the tests make of it, the verdict is fixed."""
        self.ended = True
        raise _Ended

    def ask(self, *question: Any) -> Any:
        try:
            self._questions.write(json.dumps(question) + "\n")
            self._questions.flush()
            said, value = json.loads(self._answers.readline())
            found = unpack(value)
        except (OSError, ValueError, TypeError, KeyError, RecursionError, MemoryError):
            self.end()
        if said != "raised":
            return found
        kind = getattr(builtins, str(found), None)
        raise (kind if isinstance(kind, type) and issubclass(kind, Exception) else Exception)(
            "raised by the program"
        )

    def stand_in(self, name: str) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            return self.ask(name, pack(arguments), pack(named))

        return call


def judge(tests: bytes, player: _Player) -> bool:
    """Whether the program ran to its end, and the tests with its functions."""
    try:
        code = compile(tests, "tests", "exec")
        # A name that the tests take from Python stays Python's, whatever the program calls so.
        names = sorted(_names(code) - vars(builtins).keys())
        functions, values = player.ask("", pack(names), None)
        space = {name: values[name] for name in names if name in values}
        space.update({name: player.stand_in(name) for name in names if name in functions})
        exec(code, {"__name__": "__main__", **space})
    except BaseException:
        return False
    return not player.ended


def _names(code: CodeType) -> set[str]:
    inner = (_names(part) for part in code.co_consts if isinstance(part, CodeType))
    return set(code.co_names).union(*inner)


def play(program: bytes, questions: IO[str], answers: IO[str]) -> None:
    """Run the program, then answer until there are no more questions."""
    space: dict[str, Any] = {}  # `__name__` is not "__main__", as in code_eval
    # This is what the harness was asked for, with an opt-in, in this process and no other.
    exec(compile(program.decode(), "program", "exec"), space)
    for line in questions:
        name, arguments, named = map(unpack, json.loads(line))
        try:
            found = space[name](*arguments, **named) if name else _inventory(space, arguments)
            said = "value", pack(found)
        except Exception as error:
            names = (kind.__name__ for kind in type(error).__mro__)
            said = "raised", next(name for name in names if hasattr(builtins, name))
        answers.write(json.dumps(said) + "\n")
        answers.flush()


def _inventory(space: dict[str, Any], names: list[str]) -> tuple[list[str], dict[str, Any]]:
    """Which of the names the program has as functions, and which as values."""
    found = {name: space[name] for name in names if name in space}
    functions = [name for name, value in found.items() if callable(value)]
    return functions, {name: found[name] for name in found.keys() - functions}


class Other:
    """A value that is no plain data: true or false, perhaps iterable, and equal to nothing."""

    def __init__(self, truth: bool, items: list[Any]) -> None:
        self._truth = truth
        self._items = items

    def __bool__(self) -> bool:
        return self._truth

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)


def pack(value: Any) -> Any:
    """A value in terms of JSON; subclasses become what they are subclasses of.

    Nothing but data crosses: no class of the program, hence no ``__eq__`` of its own.
    """
    if value is None or isinstance(value, bool | str | float):
        return value
    if isinstance(value, int):
        return {"int": hex(value)} if value.bit_length() > 64 else value
    if isinstance(value, list):
        return [pack(item) for item in value]
    if isinstance(value, dict):
        return {"dict": [[pack(key), pack(item)] for key, item in value.items()]}
    for kind in (tuple, set, frozenset):
        if isinstance(value, kind):
            return {kind.__name__: [pack(item) for item in value]}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, bytes | bytearray):
        return {"bytes": value.hex()}
    if type(value).__name__ == "Decimal":  # no Fraction: it does not add to a float
        return {"decimal": str(value)}
    if hasattr(value, "as_integer_ratio"):  # Fraction
        return {"ratio": [pack(part) for part in value.as_integer_ratio()]}
    items = [pack(item) for item in value] if hasattr(value, "__iter__") else []
    return {"other": [bool(value), items]}


def unpack(data: Any) -> Any:
    """The value that ``pack`` was given, or a ValueError, TypeError or KeyError."""
    if isinstance(data, list):
        return [unpack(item) for item in data]
    if not isinstance(data, dict):
        return data
    ((kind, held),) = data.items()
    if kind == "int":
        return int(held, 16)
    if kind == "bytes":
        return bytes.fromhex(held)
    if kind == "decimal":
        from decimal import Decimal

        return Decimal(held)
    parts = unpack(held)
    if kind == "ratio":
        from fractions import Fraction

        return Fraction(*parts)
    if kind in {"complex", "other"}:
        return (complex if kind == "complex" else Other)(*parts)
    return {"dict": dict, "tuple": tuple, "set": set, "frozenset": frozenset}[kind](parts)


def main(seconds: float, memory: int, length: int) -> None:
    """Read a program of ``length`` bytes and, behind it, its tests; write the verdict.

    Units: ``seconds`` of wall time; ``memory`` in bytes of address space, for each process.
    """
    source, verdict = os.fdopen(os.dup(0), "rb", buffering=0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    program = b""
    while len(program) < length and (part := source.read(length - len(program))):
        program += part
    (asked, asks), (answered, answers) = os.pipe(), os.pipe()
    doors.drop_root()
    player = os.fork()
    if player == 0:
        source.close()
        for theirs in (verdict, asks, answered):
            os.close(theirs)
        try:
            doors.shut(int(seconds) + 1, memory)
            play(program, os.fdopen(asked), os.fdopen(answers, "w"))
        finally:
            os._exit(0)
    os.close(asked)
    os.close(answers)
    seen = _Player(os.fdopen(asks, "w"), os.fdopen(answered))
    signal.signal(signal.SIGALRM, seen.end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    files, calls = doors.shut(int(seconds) + 1, memory, may_kill=player)
    try:
        passed = judge(source.readall(), seen)
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        os.kill(player, signal.SIGKILL)
        os.waitpid(player, 0)
    os.write(verdict, json.dumps([passed, files, calls]).encode())
    os._exit(0)
