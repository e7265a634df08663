"""How tables of errors and of warnings are tested: every way in says the same of each."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import pytest

from rvec_merge.errors import RvecError
from tests.preflight.conftest import Trio


@dataclass(frozen=True)
class Mutation:
    """What is done to a sound trio, what must be said, and whether stock mergekit gets that far."""

    spoil: Callable[[Trio], object]
    said: tuple[str, ...]
    stock: bool = True


class Told:
    """Gives a test the names of a table's mutations; one of a stock run, those that get there."""

    TABLE: ClassVar[Mapping[str, Mutation]]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        stock = "stock" in metafunc.function.__name__
        metafunc.parametrize("name", [n for n, m in self.TABLE.items() if m.stock or not stock])


class Errors(Told):
    """The errors of ``TABLE`` stop everything, and nothing is written."""

    def test_rvec_check_says_what_is_wrong(self, name: str, trio: Trio) -> None:
        mutation = self.TABLE[name]
        mutation.spoil(trio)
        result = trio.check()
        text = result.output + (result.stderr or "") + str(result.exception or "")
        assert result.exception is not None or result.return_value == 1
        assert all(part in text for part in mutation.said), text
        assert "Fix: " in text

    def test_rvec_merge_says_the_same_and_writes_nothing(self, name: str, trio: Trio) -> None:
        mutation = self.TABLE[name]
        mutation.spoil(trio)
        before = sorted(trio.root.parent.rglob("*"))
        with pytest.raises(RvecError) as caught:
            trio.merge()
        assert all(part in str(caught.value) for part in mutation.said), str(caught.value)
        assert {*trio.root.parent.rglob("*")} - {*before} <= {trio.root / "recipe.yaml"}

    def test_stock_mergekit_says_the_same_and_writes_nothing(self, name: str, trio: Trio) -> None:
        mutation = self.TABLE[name]
        mutation.spoil(trio)
        before = sorted(p for p in trio.out.rglob("*")) if trio.out.exists() else []
        with pytest.raises(RvecError) as caught:
            trio.merge_stock()
        assert all(part in str(caught.value) for part in mutation.said), str(caught.value)
        assert (sorted(p for p in trio.out.rglob("*")) if trio.out.exists() else []) == before


class Warnings(Told):
    """The warnings of ``TABLE`` stop nothing."""

    def test_rvec_check_warns_and_passes(self, name: str, trio: Trio) -> None:
        self.TABLE[name].spoil(trio)
        result = trio.check()
        assert result.return_value == 0, result.output
        assert all(part in result.output for part in self.TABLE[name].said), result.output
        assert ": 1 warning.\n" in result.output
        trio.merge()  # what the check lets pass gets past the planning, and further

    def test_stock_mergekit_logs_the_same_once(
        self, name: str, trio: Trio, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.TABLE[name].spoil(trio)
        with caplog.at_level(logging.WARNING, logger="rvec_merge"):
            trio.merge_stock()
        said = [r.getMessage() for r in caplog.records if r.name.startswith("rvec_merge")]
        assert len(said) == 1
        assert all(part in said[0] for part in self.TABLE[name].said), said[0]
