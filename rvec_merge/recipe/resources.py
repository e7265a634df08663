"""Where the recipes, tasks, plans and the embedded family lie: in the wheel, or in the checkout."""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Generic, TypeVar

from rvec_merge.errors import RvecError

_PACKAGE = Path(__file__).resolve().parent.parent
FAMILY = "demo/family"  # the embedded family, as bundled recipes name it


def folder(name: str) -> Path:
    """The folder ``recipes``, ``eval`` or ``demo/family``, in a wheel or in a checkout."""
    packaged = _PACKAGE / "_data" / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / name


@dataclass(frozen=True)
class BundledFile:
    """A recipe or plan of the package: its name (``controls/random``) and file.

    ``what`` is the first sentence of the comment at its top.
    """

    name: str
    path: Path
    what: str


Kind = TypeVar("Kind", bound=BundledFile)


@dataclass(frozen=True)
class Shelf(Generic[Kind]):
    """The bundled files of one kind.

    Attributes:
        word: what one is called.
        files: by name.
    """

    word: str
    files: tuple[Kind, ...]

    def get(self, name: object) -> Kind | None:
        """The file of that name, with or without ``.yaml``; None where there is none."""
        wanted = str(name).removesuffix(".yaml")
        return next((file for file in self.files if file.name == wanted), None)

    def find(self, name: str, error: type[RvecError]) -> Kind:
        """The file of that name.

        Raises:
            RvecError: there is none; of the class ``error``.
        """
        if (found := self.get(name)) is not None:
            return found
        raise error(
            f"No bundled {self.word} is called {name!r}.",
            [f"{self.word}s: {', '.join(file.name for file in self.files)}"],
            f"pick one of these; `rvec {self.word}s` says what each does.",
        )

    def near(self, name: object) -> list[str]:
        """What may have been meant by a name that is none, as facts of an error."""
        found = get_close_matches(str(name), [file.name for file in self.files], n=1)
        return [f"did you mean the bundled {self.word} {found[0]!r}?"] if found else []


def bundled_paths(root: Path) -> list[tuple[str, Path, str]]:
    """Name, path and text of every YAML file below a folder, those in subfolders last."""
    paths = sorted(root.rglob("*.yaml"), key=lambda path: (len(path.parts), path))
    return [
        (p.relative_to(root).with_suffix("").as_posix(), p, p.read_text(encoding="utf-8"))
        for p in paths
    ]


def first_comment(text: str) -> str:
    """The first line of the comment at the top."""
    return text.partition("\n")[0].removeprefix("#").strip()
