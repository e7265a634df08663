"""What a shell completes of an argument: bundled names, and files."""

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completer(names: Callable[[], Iterable[str]], *, files: bool = True) -> Completer:
    def complete(
        context: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        found = [CompletionItem(name) for name in names() if name.startswith(incomplete)]
        return [*found, CompletionItem(incomplete, type="file")] if files else found

    return complete


def _recipes() -> Iterable[str]:
    from rvec_merge.recipe.catalog import bundled

    return [recipe.name for recipe in bundled()]


def _plans() -> Iterable[str]:
    from rvec_merge.experiment.plan_file import shelf

    return [plan.name for plan in shelf().files]


recipes = _completer(_recipes)
plans = _completer(_plans)
