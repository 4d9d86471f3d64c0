"""What an archive holds is said in a few lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallvision.core.errors import InputError
from smallvision.data.sources.files import LeftOut
from smallvision.data.sources.verifying import Contents, verify
from tests.conftest import write_zip


def test_a_common_source_is_said_in_lines_of_80_columns():
    contents = Contents(
        pictures=[f"train/cat.{number}.jpg" for number in range(4000)],
        others=["README.txt", "LICENSE.txt", "labels.csv"],
        left_out=[LeftOut(f"__MACOSX/train/._cat.{number}.jpg", "hidden") for number in range(4000)],
        notes=["followed links to 4000 files and 2 folders"],
    )
    lines = contents.lines("dogs-vs-cats.zip")
    assert lines == [
        "dogs-vs-cats.zip: 4000 pictures (4000 jpg), 3 other files (2 txt, 1 csv)",
        "left out: 4000 hidden (__MACOSX/train/._cat.0.jpg, …)",
        "followed links to 4000 files and 2 folders",
    ]
    assert all(len(f"fetch: {line}") <= 80 for line in lines)


@given(st.lists(st.text(min_size=1)), st.lists(st.builds(LeftOut, st.text(), st.sampled_from(["hidden", "damaged"]))))
def test_there_are_three_lines_at_most(paths, left_out):
    lines = Contents(paths, paths, left_out, ["one", "two"]).lines("n")
    assert len(lines) == 2 + bool(left_out)
    assert all(len(line) < 250 for line in lines)


@pytest.mark.parametrize(
    ("members", "found"),
    [({}, "no file"), ({"a.txt": b"", "b.txt": b""}, r"2 files \(2 txt\)"), ({"a.7z": b"x"}, "1 file")],
)
def test_an_archive_without_pictures_is_refused_with_what_it_holds(tmp_path, members, found):
    with pytest.raises(InputError, match=f"mine: expected pictures, found {found}"):
        verify(write_zip(tmp_path / "a.zip", members), "mine")
