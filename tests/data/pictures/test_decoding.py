"""Any picture file becomes upright RGB, or a reason."""

import io
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from smallvision.data.pictures.decoding import PictureError, decode, to_input
from tests.conftest import ROOT, jpeg, make_picture


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def mean(data: bytes):
    return np.asarray(decode(data), float).mean(axis=(0, 1))


def test_input_is_uint8_rgb_of_the_size_asked_for():
    pixels = to_input(jpeg(1, width=500, height=375), 150)
    assert pixels.shape == (150, 150, 3)
    assert pixels.dtype == np.uint8


def test_stretching_to_the_square_keeps_the_left_left_and_the_red_red():
    wide = Image.new("RGB", (200, 50), "blue")
    wide.paste("red", (0, 0, 100, 50))
    pixels = to_input(encoded(wide, "PNG"), 64)
    assert pixels[:, :30].tolist() == [[[255, 0, 0]] * 30] * 64
    assert pixels[:, 34:].tolist() == [[[0, 0, 255]] * 30] * 64


def with_pillow(data, size):
    return np.asarray(decode(data).resize((size, size), Image.Resampling.BOX)).astype(int)


@pytest.mark.parametrize("times", [1, 2, 4, 8])
def test_a_jpeg_decoded_at_reduced_scale_looks_the_same(times):
    large = encoded(make_picture(3, 100 * times, 120 * times), "JPEG", quality=95)
    assert np.abs(to_input(large, 100) - with_pillow(large, 100)).mean() < 2.5


def test_a_side_that_shrinks_is_averaged_though_the_other_grows():
    stripes = np.zeros((50, 1000, 3), np.uint8)
    stripes[:, ::2] = 255  # their mean is grey
    pixels = to_input(encoded(Image.fromarray(stripes), "PNG"), 100)
    assert 126 < pixels.min() <= pixels.max() < 129


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpegs_of_every_colour_space_look_as_pillow_decodes_them(mode):
    data = encoded(make_picture(2, 80, 80).convert(mode), "JPEG", quality=95)
    assert np.abs(to_input(data, 80) - with_pillow(data, 80)).mean() < 0.5


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "BMP", "JPEG"])
def test_formats_are_told_by_content(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    assert np.allclose(
        mean(encoded(Image.new("RGB", (20, 20), (200, 100, 50)), kind, **options)), (200, 100, 50), atol=3
    )


def test_cmyk_is_converted():
    assert np.allclose(
        mean(encoded(Image.new("CMYK", (20, 20), (0, 255, 255, 0)), "JPEG", quality=95)), (255, 0, 0), atol=5
    )


@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_grey_and_palette_pictures_keep_their_light(mode):
    white = Image.new("L", (20, 20), 255).convert(mode)
    assert mean(encoded(white, "PNG")).tolist() == [255, 255, 255]


def test_sixteen_bit_grey_is_scaled_not_clipped():
    grey = Image.fromarray(np.full((20, 20), 32896, np.uint16))
    assert mean(encoded(grey, "PNG")).tolist() == [128, 128, 128]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_parts_are_white(mode):
    assert mean(encoded(Image.new(mode, (20, 20), 0), "PNG")).tolist() == [255, 255, 255]


def test_an_animation_shows_its_first_frame():
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert mean(data).tolist() == [255, 0, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_eight_exif_orientations_are_one_picture(orientation):
    upright = make_picture(5, 64, 48)
    undo = {
        2: 0,
        3: 3,
        4: 1,
        5: 5,
        6: 2,
        7: 6,
        8: 4,
    }  # the operation that stores a picture with this orientation
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(decode(encoded(stored, "PNG", exif=exif)), upright)
    data = encoded(stored, "JPEG", quality=95, exif=exif)
    assert np.abs(to_input(data, 48) - with_pillow(data, 48)).mean() < 2


def test_an_orientation_in_xmp_counts_too():
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6"/></x:xmpmeta>'
    data = encoded(make_picture(5, 48, 48), "JPEG", quality=95, xmp=xmp)
    assert np.abs(to_input(data, 48) - with_pillow(data, 48)).mean() < 2
    assert np.abs(to_input(data, 48) - np.asarray(make_picture(5, 48, 48)).astype(int)).mean() > 20


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_is_ignored():
    data = encoded(make_picture(1), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert decode(data).size == (60, 50)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "an empty file"),
        (b"<html>no picture</html>", "no picture in a supported format"),
        (b"\0\0\0\x18ftypheic" + bytes(50), "format HEIC or AVIF is not supported; convert"),
        (encoded(make_picture(1), "TIFF"), "format TIFF is not supported; convert"),
        (jpeg(1)[:-200], "damaged"),
        (jpeg(1)[: len(jpeg(1)) // 2], "damaged"),
        (encoded(make_picture(1, 7, 100), "PNG"), "7x100 pixels, a side under 8"),
        # This is only the header of a picture that would unpack to 10 GB.
        (
            b"BM" + bytes(8) + b"\x36\0\0\0\x28\0\0\0\x50\xc3\0\0\x50\xc3\0\0\1\0\x18\0" + bytes(24),
            "50000x50000 pixels",
        ),
    ],
)
def test_what_cannot_be_used_gives_its_reason(data, reason):
    with pytest.raises(PictureError, match=reason):
        decode(data, min_side=8)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "I;16"])
def test_the_largest_picture_takes_less_than_a_gigabyte(tmp_path, mode):
    path = tmp_path / "large.png"
    Image.new(mode, (8900, 8900)).save(path, compress_level=1)
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom smallvision.data.pictures.decoding import decode\n"
        "decode(Path(sys.argv[1]).read_bytes())\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    # The peak of a process counts that of the one that starts it, unless there is another process between them.
    command = ["sh", "-c", '"$0" -c "$1" "$2"; true', sys.executable, code, str(path)]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert 200_000 < int(output) < 1_000_000  # kilobytes


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@given(st.data())
def test_any_damage_gives_a_picture_or_a_reason(data):
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "BMP"]))
    damaged = bytearray(encoded(make_picture(1, 16, 16), kind))
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode(bytes(damaged))
        assert to_input(bytes(damaged), 46).shape == (46, 46, 3)
    except PictureError as error:
        assert str(error)
