"""Read labels from the names of files: `cat.0.jpg`, `cat_0.jpg`, `cat-0.jpg`, `cat (0).jpg`."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from smallvision.data.layouts.words import are_counted, is_camera, is_date, subset_in, words_of

# The name of a file that ends in a number; its group is the stem in front of the number and of what divides the two.
COUNTED = r"([^/]+?)[ ._(-]+\d+\)?(?:\.\w+)?"
_BOOKS = re.compile(r"[^.]+\.\d+\.\w+")  # cat.0.jpg


def stem_of(path: str) -> str | None:
    """Return what stands before the number in the name of a file; None if there is no number at its end."""
    match = re.fullmatch(COUNTED, PurePosixPath(path).name)
    return match[1] if match else None


def read_names(paths: Sequence[str], *, always: bool = False) -> dict[str, str] | None:
    """Read the label of each picture from its name.

    Args:
        paths: the pictures.
        always: whether `labels: name` asks for it. Otherwise the names must leave no doubt. They are only read in
            folders where most files end in a number; there must be two labels that several pictures have, and at most
            as many that only one has; and they are neither a camera's (`IMG_0001.jpg`), a date or a subset, nor
            counted themselves (`patient07_001.jpg`).

    Returns:
        The label of each picture that has one; None if names are no labels.
    """
    stems = {path: stem for path in paths if (stem := stem_of(path)) and words_of(stem)}
    if not always:
        stems = _of_most_files(stems, paths)
        stems = {
            path: stem for path, stem in stems.items() if not (is_camera(stem) or is_date(stem) or subset_in(stem))
        }
        counts = Counter(stems.values())
        several = [stem for stem, count in counts.items() if count > 1]
        if 2 * len(several) < len(counts) or are_counted(counts) or len(several) < 2:
            return None
    return stems if len(set(stems.values())) > 1 else None


def _of_most_files(stems: dict[str, str], paths: Iterable[str]) -> dict[str, str]:
    """Keep the names in those folders where most files have one."""
    files: dict[PurePosixPath, list[str]] = defaultdict(list)
    for path in paths:
        files[PurePosixPath(path).parent].append(path)
    kept = [names for names in files.values() if 2 * sum(name in stems for name in names) > len(names)]
    return {name: stems[name] for names in kept for name in names if name in stems}


def are_the_books(labels: Mapping[str, str]) -> bool:
    """Tell whether all names are as Kaggle's Dogs vs. Cats has them: `cat.0.jpg`."""
    return all(_BOOKS.fullmatch(PurePosixPath(path).name) for path in labels)


def cross_the_folders(names: Mapping[str, str], folders: Mapping[str, str]) -> bool:
    """Tell whether each folder holds pictures of several labels, so that names and folders say different things.

    Only words count: numbers in names are those of patients or scenes, and a subset's name says nothing of the label.

    Args:
        names: the labels that names give.
        folders: the labels that folders give.
    """
    inside: dict[str, set[str]] = defaultdict(set)
    for path, label in names.items():
        if path in folders and not re.search(r"\d", label) and not subset_in(label):
            inside[folders[path]].add(label)
    sets = list(inside.values())
    return len(sets) > 1 and len(set.intersection(*sets)) > 1
