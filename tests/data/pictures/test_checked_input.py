"""Pictures that people bring for a prediction are decoded as in training, and damage is found."""

import io

import numpy as np
import pytest

from smallvision.core.errors import UserError
from smallvision.data.pictures.decoding import decode, to_checked_input, to_input
from tests.conftest import jpeg, make_picture


def test_a_good_jpeg_becomes_what_it_is_in_training_without_a_second_full_decoding(monkeypatch):
    data = jpeg(1, width=300, height=200)
    expected = to_input(data, 46)
    monkeypatch.setattr("smallvision.data.pictures.decoding.decode", None)
    assert np.array_equal(to_checked_input(data, 46), expected)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_damage_is_found_where_decode_finds_it(kind):
    """A picture that is cut, or whose bytes are changed, is refused if `decode` refuses it, and only then."""
    whole = io.BytesIO()
    make_picture(1).save(whole, kind)
    data, rng = whole.getvalue(), np.random.default_rng(1)
    harmed = [data[:length] for length in rng.integers(0, len(data), 40)]
    for _ in range(40):
        flipped = bytearray(data)
        flipped[rng.integers(len(data))] ^= 1 << rng.integers(8)
        harmed.append(bytes(flipped))
    for bad in harmed:
        results = []
        for read in (decode, lambda data: to_checked_input(data, 46)):
            try:
                read(bad)
                results.append("read")
            except UserError as error:
                results.append(str(error))
        assert results[0] == results[1]
