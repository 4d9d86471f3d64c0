"""The one table of what a source holds, which everything after the reading works on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """A picture, and what its source says of it.

    Attributes:
        path: its path in the archive or folder, with `/`.
        label: its class; None if the source does not say, so that it is an unlabelled picture.
        subset: `train`, `validation` or `test` if the source says so, otherwise None.
        group: what it belongs to (a patient, a scene) if `split.group` asks for that and the source says it.
        left_out: why it takes no part, otherwise None.
    """

    path: str
    label: str | None
    subset: str | None = None
    group: str | None = None
    left_out: str | None = None


@dataclass(frozen=True)
class Reading:
    """What a reader understood of a source.

    Attributes:
        reader: what labels were read from, for people: `folders`, `names of the files` or `the table labels.csv`.
        books: whether it is a layout of the book's Dogs vs. Cats, whose pictures are taken in the order of their names.
        rows: a row for each picture, in natural order of the paths (`cat.2` before `cat.10`).
        notes: lines that the owner of the pictures should read, without the name of a stage in front.
        grouping: what looks like groups (a folder below the class, a common stem with a counter, a column), as the
            value of `split.group` that would keep them together, and the group of each path; None if nothing does.
        doubted: for each of the notes that doubts whether a folder or name is a class, that class.
    """

    reader: str
    books: bool
    rows: Sequence[Row]
    notes: Sequence[str]
    grouping: "Grouping | None"
    doubted: Mapping[str, str] = field(default_factory=dict)

    @property
    def classes(self) -> list[str]:
        """The names of the classes, sorted."""
        return sorted({row.label for row in self.rows if row.label is not None and row.left_out is None})


@dataclass(frozen=True)
class Grouping:
    """A value of `split.group`, and the group that it gives to each path that has one."""

    key: str
    groups: dict[str, str]
