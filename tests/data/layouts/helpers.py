"""Sources that hold names only, and the form of a case: the files of a source, and what a reader must make of them."""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from smallvision.data.sources.archives import natural_key
from smallvision.data.sources.picture_files import LeftOut, has_picture_suffix

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


class FakeFiles:
    """`SourceFiles` in memory: pictures are told by their ending, and their bytes are read from the mapping.

    Args:
        files: the bytes of each path, or only the paths.
        name: how messages call the source.
    """

    def __init__(self, files: Mapping[str, bytes] | Iterable[str], name: str = "source") -> None:
        self.name = name
        self.notes: Sequence[str] = ()
        self._contents = dict(files) if isinstance(files, Mapping) else dict.fromkeys(files, b"")
        paths = sorted(self._contents, key=natural_key)
        hidden = [path for path in paths if _is_hidden(path)]
        shown = [path for path in paths if not _is_hidden(path)]
        self.pictures: Sequence[str] = [path for path in shown if has_picture_suffix(PurePosixPath(path))]
        self.others: Sequence[str] = [path for path in shown if not has_picture_suffix(PurePosixPath(path))]
        self.left_out: Sequence[LeftOut] = [LeftOut(path, "hidden") for path in hidden]

    def read(self, path: str) -> bytes:
        return self._contents[path]

    def size(self, path: str) -> int:
        return len(self._contents[path])


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.split("/"))


def expand(pattern: str) -> list[tuple[str, list[str]]]:
    """Return each text that a pattern stands for, and what its braces hold there.

    Args:
        pattern: such as `{cat,dog}/{00..11}.jpg`; `{=1}` is what the first braces hold.
    """
    parts = _BRACES.split(pattern)
    options = [_options(part) for part in parts[1::2]]
    texts = []
    for chosen in itertools.product(*options):
        held = [chosen[int(option[1:]) - 1] if option.startswith("=") else option for option in chosen]
        parts[1::2] = held
        texts.append(("".join(parts), held))
    return texts


def _options(inside: str) -> list[str]:
    if numbers := _RANGE.fullmatch(inside):
        first, last = numbers.groups()
        return [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
    return inside.split(",")


def lines(*patterns: str) -> bytes:
    """Return the text of a table, whose rows are written as patterns."""
    return "".join(f"{text}\n" for pattern in patterns for text, _ in expand(pattern)).encode()


@dataclass(frozen=True)
class Meaning:
    """What a case expects of one picture, written `label @subset #group`.

    Attributes:
        labels: the labels that are right. `?` is unlabelled, `-` left out, `~` one of the two, `*` anything.
        subset: `train`, `validation`, `test`, or `*`: anything. Without one, it is none or `train`, which is the same.
        group: pictures with the same text here belong together; without one, it belongs to no group.
    """

    labels: Sequence[str]
    subset: str
    group: str | None

    @classmethod
    def parse(cls, text: str, braces: Sequence[str]) -> "Meaning":
        """Read a meaning; `{1}` is what the first braces of the path hold."""

        def fill(part: str) -> str:
            return re.sub(r"\{(\d)\}", lambda found: braces[int(found[1]) - 1], part)

        rest, _, group = text.partition(" #")
        label, _, subset = rest.partition(" @")
        return cls([fill(one) for one in label.split("|")], subset, fill(group) or None)

    @property
    def is_labelled(self) -> bool:
        return not {"?", "-", "~", "*"} & set(self.labels)


@dataclass(frozen=True)
class Case:
    """A source, and what must come of it.

    Attributes:
        name: the data set, or what the owner of the pictures did.
        pictures: patterns of paths, with the meaning of their pictures; only the patterns if the source is refused.
        tables: the other files.
        refused: words of the error with which the source is refused; none: it is read.
        may_refuse: an honest error is right as well, because the source is hard to read.
        labels, group: the parameters.
        key: the value of `split.group` that is offered; `none`: there is none; `pattern`: any; empty: not looked at.
        notes: a pattern for each thing that the owner must be told.
        reader: words that the name of the reader holds.
        books: whether it is a layout of the book; None: not looked at.
        unsure: why the right outcome is open; such a case may end in any reading and any `InputError`.
    """

    name: str
    pictures: Mapping[str, str] | Sequence[str]
    tables: Mapping[str, bytes] = field(default_factory=dict)
    refused: Sequence[str] = ()
    may_refuse: bool = False
    labels: str = "auto"
    group: str | None = None
    key: str = ""
    notes: Sequence[str] = ()
    reader: str = ""
    books: bool | None = None
    unsure: str = ""

    @property
    def files(self) -> FakeFiles:
        return FakeFiles({**{path: b"" for pattern in self.pictures for path, _ in expand(pattern)}, **self.tables})

    @property
    def meanings(self) -> dict[str, Meaning]:
        """The meaning of each picture that is read."""
        if not isinstance(self.pictures, Mapping):
            return {}
        return {
            path: Meaning.parse(text, braces)
            for pattern, text in self.pictures.items()
            for path, braces in expand(pattern)
            if not _is_hidden(path)
        }


def either(name: str, pictures: Mapping[str, tuple[str, str]], *words: str) -> list[Case]:
    """Return the cases of a source with two readings: the refusal that shows both, and each reading by its parameter.

    Args:
        name: of the case.
        pictures: patterns of paths, with their meaning for `labels: top` and for `labels: parent`.
        words: classes of both readings, which the error must hold.
    """
    top = {pattern: meaning for pattern, (meaning, _) in pictures.items()}
    parent = {pattern: meaning for pattern, (_, meaning) in pictures.items()}
    return [
        Case(name, list(pictures), refused=("labels: top", "labels: parent", *words)),
        Case(f"{name}, labels: top", top, labels="top"),
        Case(f"{name}, labels: parent", parent, labels="parent"),
    ]
