"""A picture is known by its name or by its first bytes, also one in a format that is not supported."""

import io
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from smallvision.data.sources.picture_files import FIRST_BYTES, format_of, has_picture_suffix, is_hidden, is_picture
from tests.conftest import make_picture


@pytest.mark.parametrize(
    ("name", "expected"),
    [("1.jpg", True), ("a/1.JPEG", True), ("1.heic", True), ("1.PPM", True), ("1.tar.gz", False), ("jpg", False),
     (".jpg", False)],
)  # fmt: skip
def test_a_picture_is_known_by_its_suffix(name, expected):
    assert has_picture_suffix(PurePosixPath(name)) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [("a/1.jpg", False), ("a/._1.jpg", True), (".thumbnails/1.jpg", True), ("a/.b/1.jpg", True), ("a.b/1..jpg", False)],
)
def test_a_path_is_hidden_if_any_part_of_it_is(path, expected):
    assert is_hidden(PurePosixPath(path)) == expected


def encoded(form: str, mode: str = "RGB", **options: object) -> bytes:
    data = io.BytesIO()
    make_picture(1).convert(mode).save(data, form, **options)
    return data.getvalue()


@pytest.mark.parametrize(
    ("form", "mode", "kind"),
    [("JPEG", "RGB", "JPEG"), ("JPEG", "CMYK", "JPEG"), ("MPO", "RGB", "JPEG"), ("PNG", "RGB", "PNG"),
     ("GIF", "P", "GIF"), ("WEBP", "RGB", "WebP"), ("WEBP", "RGBA", "WebP"), ("BMP", "RGB", "BMP"), ("BMP", "1", "BMP"),
     ("BMP", "RGBA", "BMP"), ("TIFF", "RGB", "TIFF"), ("PPM", "RGB", "PPM"), ("PPM", "L", "PPM"), ("PPM", "1", "PPM"),
     ("JPEG2000", "RGB", "JPEG 2000"), ("AVIF", "RGB", "AVIF")],
)  # fmt: skip
def test_what_pillow_writes_is_known_by_its_first_bytes(form, mode, kind):
    Image.init()
    if form not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {form}")
    data = encoded(form, mode)
    assert format_of(data[:FIRST_BYTES]) == kind
    assert is_picture(PurePosixPath("bare"), lambda: data[:FIRST_BYTES])
    assert not is_picture(PurePosixPath("labels.csv"), lambda: data[:FIRST_BYTES])


@pytest.mark.parametrize(
    ("first", "kind"),
    [(b"MM\0*\0\0\0\x08", "TIFF"), (b"MM\0+\0\x08\0\0", "TIFF"), (b"\xff\x4f\xff\x51\0\x2f", "JPEG 2000"),
     (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"), (b"\0\0\0\x18ftypheic", "HEIC"), (b"\0\0\0\x1cftypmif1", "HEIC"),
     (b"P6 # by hand\n2 2\n", "PPM"), (b"P5\n2 2\n255\n", "PPM")],
)  # fmt: skip
def test_formats_that_no_test_can_write(first, kind):
    assert format_of(first) == kind


@pytest.mark.parametrize(
    "first",
    [b"", b"B", b"BM" + bytes(30), b"P", b"P6", b"BM is no bitmap, it is a text.....", b"P3 stands for a protein",
     b"P7\n332", b"GIF, a format", b"\0\0\0\x20ftypisom", b"\0\0\0\x18ftypcrx ", b"RIFF\x24\0\0\0WAVEfmt ",
     b"PK\x03\x04", b"%PDF-1.7", b"image_id,label\n0,cat\n", b"\xff\xd8", b"II*", b"\xd0\xcf\x11\xe0"],
)  # fmt: skip
def test_what_is_no_picture(first):
    assert format_of(first[:FIRST_BYTES]) is None


@given(st.text(min_size=4))
def test_a_text_is_no_picture_unless_it_says_it_is_a_pixmap(text):
    data = text.encode()
    assert format_of(data[:FIRST_BYTES]) in ((None, "PPM") if text.startswith("P") else (None,))
