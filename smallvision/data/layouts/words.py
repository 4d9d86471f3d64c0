"""What the name of a folder can mean: a subset, a container, a number, a date, a magnification, or a class."""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from functools import lru_cache
from unicodedata import normalize

# In English, German, French, Spanish and Portuguese.
_SUBSETS = {
    **dict.fromkeys(
        "train training trainval trn trainingsdaten trainingsbilder entraînement entrainement entrenamiento treino "
        "treinamento".split(), "train"
    ),
    **dict.fromkeys(
        "val valid validation validate dev development eval evaluation validierung validierungsdaten validación "
        "validacion validação validacao".split(), "validation"
    ),
    **dict.fromkeys(
        "test tests testing tst holdout heldout testdaten testbilder prueba pruebas teste".split(), "test"
    ),
}  # fmt: skip
# Words of names that say that there are pictures, but not what they show.
GENERIC = frozenset(
    "images image img imgs pictures picture pics pic photos photo data dataset datasets database files file set sets "
    "raw original originals processed resized jpg jpeg jpegs png pngs bmp gif tif tiff webp folder directory all part "
    "parts batch chunk shard split splits subset content contents input inputs archive export frames samples sample "
    "collection seg new labelled labeled public private official final my own".split()
)
_CONTAINERS = frozenset(
    "images image img imgs pictures picture pics pic photos photo data dataset datasets files jpg jpeg png".split()
)
# Words of folders whose pictures are no photographs, but belong to those in a folder beside them.
_ANNOTATIONS = frozenset(
    "annotation annotations annot mask masks label labels segmentation segmentations trimap trimaps groundtruth gt "
    "ground truth bbox bboxes boxes xml depth thumbnails thumbs".split()
)
_OF_ANNOTATIONS = frozenset("class classes object objects instance instances semantic".split())
_UNLABELLED = frozenset("unlabelled unlabeled unlabel unsup pred predict prediction predictions inference".split())
# Names that people give to a folder of what they have not sorted yet. They may be classes all the same.
_LEFTOVERS = frozenset(
    "unsorted|to sort|unsortiert|unknown|unclassified|uncategorized|uncategorised|misc|miscellaneous|other|others|"
    "rest|todo|to do|new|new folder|neuer ordner|tmp|temp|trash|junk|inbox|rejected|duplicates|review|needs review|"
    "to review|no label|none".split("|")
)
# Words that cameras, telephones and programs give to files.
_CAMERA = frozenset(
    "img dsc dscn dscf dcim image photo picture pic pxl mvimg vid video frame scan screenshot screen shot whatsapp wa "
    "snap snapshot capture cam camera untitled download file gopr imag sam cimg pict p at am pm whats app hdr "
    "pano copy edited telegram signal".split()
)
_ATTACHED = re.compile(r"(my|x|final)?(train|training|val|valid|validation|test|testing)(set|data|images|imgs|img)?")
_DATE = re.compile(r"(19|20)\d\d(\D?\d\d?){0,5}|\d\d?[-_.]\d\d?[-_.]\d{2,4}")
_MAGNIFICATION = re.compile(r"x?\d+x?|\d+x\d+", re.IGNORECASE)  # or a size in pixels
_DATE_INSIDE = re.compile(r"(?<!\d)(19|20)\d\d[-_.]?(0\d|1[0-2])[-_.]?[0-3]\d")
_SYNSET = re.compile(r"n\d{8}")  # WordNet's numbers, by which ImageNet names its classes


def folded(name: str) -> str:
    """Return the form of a name that is the same in small and capital letters, and however its accents are encoded."""
    return normalize("NFC", name).casefold()


def words_of(name: str) -> list[str]:
    """Return the words of a name in lower case: `TrainImages_2` has the words `train` and `images`."""
    parts = re.sub(r"([^\W\d_A-Z])([A-Z])|([A-Z])([A-Z][a-z])", r"\1\3 \2\4", name)
    return re.findall(r"[^\W\d_]+", parts.lower())


@lru_cache(maxsize=10_000)
def subset_in(name: str) -> tuple[str, tuple[str, ...]] | None:
    """Find the name of a subset in the name of a folder, a file or a table.

    Returns:
        `train`, `validation` or `test`, and the other words; None if no word is a subset's, or two of them are. Only
        `train_val` is what is left if the test pictures are taken away.
    """
    words = [part for word in words_of(name) for part in _detached(word)]
    found = [_SUBSETS[word] for word in words if word in _SUBSETS]
    if len(found) != 1 and found != ["train", "validation"]:
        return None
    return found[0], tuple(word for word in words if word not in _SUBSETS and not (word == "and" and len(found) > 1))


def _detached(word: str) -> Iterable[str]:
    match = _ATTACHED.fullmatch(word)
    return [group for group in match.groups()[1:] if group] if match else [word]


def is_generic(name: str) -> bool:
    """Tell whether a name only says that there are pictures, perhaps a part of them: `images`, `HAM10000_part_1`."""
    words = words_of(name)
    return bool(words) and (all(word in GENERIC for word in words) or (words[-1] in GENERIC and name[-1].isdigit()))


def is_container(name: str) -> bool:
    """Tell whether a folder is called after what every one of them holds: pictures, files, data."""
    words = words_of(name)
    return bool(words) and all(word in _CONTAINERS for word in words)


def is_annotation(name: str) -> bool:
    """Tell whether a folder is named after masks or other annotations of pictures."""
    words = words_of(name)
    allowed = _ANNOTATIONS | _OF_ANNOTATIONS | GENERIC
    return any(word in _ANNOTATIONS for word in words) and all(word in allowed for word in words)


def is_unlabelled(name: str) -> bool:
    """Tell whether a folder says by its name that its pictures have no labels."""
    return any(word in _UNLABELLED for word in words_of(name)) and all(
        word in _UNLABELLED | GENERIC for word in words_of(name)
    )


def is_leftover(name: str) -> bool:
    """Tell whether a class has the name of what somebody has not sorted yet: `unsorted`, `other`."""
    return " ".join(words_of(name)) in _LEFTOVERS


def is_camera(name: str) -> bool:
    """Tell whether the beginning of a file's name is a camera's or a program's: `IMG`, `WhatsApp Image 2021-05-03`."""
    words = words_of(name)  # a name without letters has none
    return all(word in _CAMERA or word in GENERIC for word in words) or bool(_DATE_INSIDE.search(name))


def is_date(name: str) -> bool:
    """Tell whether a name is a year or a date."""
    return bool(_DATE.fullmatch(name))


def is_magnification(name: str) -> bool:
    """Tell whether a name is a magnification such as `40X`."""
    return bool(_MAGNIFICATION.fullmatch(name)) and not name.isdigit()


def series_among(names: Iterable[str]) -> set[str]:
    """Return the names that are counted, as `patient00` and `patient01` are: they differ only in a last number.

    Unlike in the names of files, nothing need stand between the stem and the number. WordNet's numbers are classes.
    """
    stems = {name: re.sub(r"[\s_.(-]*\d+\)?$", "", name) for name in names if not _SYNSET.fullmatch(name)}
    counted = Counter(stem for name, stem in stems.items() if stem not in ("", name))
    return {name for name, stem in stems.items() if counted[stem] > 1}


def are_counted(names: Collection[str]) -> bool:
    """Tell whether names are mostly the same without their digits, as `person1_bacteria` and `person2_bacteria` are."""
    bare = {name if _SYNSET.fullmatch(name) else re.sub(r"\d+", "", name) for name in names}
    return 2 * len(bare) <= len(names)


def cannot_be_classes(names: Collection[str]) -> bool:
    """Tell whether names are all dates, magnifications or counted ones. Plain numbers may be classes."""
    counted = series_among(names)
    return all(is_date(name) or is_magnification(name) or name in counted for name in names)


def could_be_classes(names: Iterable[str]) -> set[str]:
    """Return those names on a level of folders that could be classes, because nothing says that they are not."""
    names = set(names)
    return {
        name
        for name in names - series_among(names)
        if words_of(name)
        and not (is_generic(name) or is_date(name) or is_magnification(name) or is_only_a_subset(name))
    }


def without_subset(name: str) -> str:
    """Return a name without the word of a subset and what divides it from the rest: `cat_test` becomes `cat`."""
    parts = [part for part in re.findall(r"[^\W_]+|[\W_]+", name) if part.lower() not in _SUBSETS]
    return "".join(parts).strip(" _-.")


def latest_subset_in(name: str) -> str | None:
    """Return the subset that a name says. Of several it is the last in use, so that no test picture is trained on."""
    found = [_SUBSETS[word] for word in words_of(name) if word in _SUBSETS]
    return max(found, key=("train", "validation", "test").index, default=None)


def is_only_a_subset(name: str) -> bool:
    """Tell whether a name says a subset and nothing else of meaning: `test`, `test_images`, but not `covid_test`."""
    found = subset_in(name)
    return found is not None and all(word in GENERIC for word in found[1])
