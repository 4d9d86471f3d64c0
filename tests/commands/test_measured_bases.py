"""What is recommended, how bases are timed, and which pictures they are judged by."""

import pytest

from smallvision.commands.measured_bases import Measured, gather_material, rank, recommend, time_in_turns
from smallvision.commands.named_bases import Candidate
from smallvision.core.errors import InputError
from smallvision.data.pictures.manifest import Entry, Manifest, write_manifest


def measured(name, milliseconds, *scores, size=224):
    return Measured(Candidate(name, image_size=size), 13.5, milliseconds, scores)


BEST = measured("best", 30.0, 0.98, 0.99, 1.0, 0.99, 0.98)
WORSE = measured("worse", 5.0, 0.90, 0.91, 0.92, 0.91, 0.90)  # by 0.08 in every fold
NEAR = measured("near", 10.0, 0.97, 0.99, 1.0, 0.98, 0.98)  # by 0.01 in two folds
ALIKE = measured("alike", 20.0, *BEST.scores)
TWO_FOLDS = measured("one fold", 50.0, 0.9, 0.9), measured("another", 1.0, 0.4, 0.8)  # 0.1 to 0.5 worse: no proof


@pytest.mark.parametrize(
    ("bases", "expected"),
    [
        ([BEST], BEST),
        ([BEST, WORSE], BEST),
        ([WORSE, NEAR, BEST], NEAR),
        ([BEST, ALIKE, WORSE], ALIKE),
        ([BEST, NEAR, ALIKE], NEAR),
        ([WORSE, measured("slower", 40.0, *NEAR.scores), BEST], BEST),
        (TWO_FOLDS, TWO_FOLDS[1]),
    ],
)
def test_the_fastest_base_that_is_not_worse_is_recommended(bases, expected):
    assert recommend(bases) is expected


def test_bases_are_ranked_by_accuracy_then_by_time():
    assert rank([WORSE, BEST, NEAR, ALIKE]) == [ALIKE, BEST, NEAR, WORSE]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([60.0, 6.0, 3.0, 9.0], [0.1, 8.0, 7.0, 7.5], [3.0, 7.0]),  # the first calls do not count
        ([0.1, 0.6, 0.7, 0.9, 0.5], [0.1, 1.2, 1.2, 1.2, 1.1], [0.5, 1.1]),  # three rounds are less than 3 s for each
    ],
)
def test_bases_are_timed_in_turns_and_the_fastest_round_counts(monkeypatch, first, second, expected):
    clock, order = [0.0], []

    def runner(name, seconds):
        def run():
            order.append(name)
            clock[0] += seconds.pop(0)

        return run

    def timeit(run, number):
        start = clock[0]
        for _ in range(number):
            run()
        return clock[0] - start

    monkeypatch.setattr("smallvision.commands.measured_bases.timeit", timeit)
    rounds = len(first)
    assert time_in_turns([runner("a", first), runner("b", second)]) == pytest.approx(expected)
    assert order == ["a", "b"] * rounds


def entry(subset, number, group=None):
    label = "cat" if number % 2 else "dog"
    return Entry(subset, label, f"{subset}{number}.jpg", f"{subset}{number}", "0" * 64, "JPEG", group)


def test_a_group_is_in_one_fold_and_both_subsets_are_used(tmp_path):
    entries = [entry("train", n, f"t{n // 4}") for n in range(20)]
    entries += [entry("validation", n, f"v{n // 4}") for n in range(12)] + [entry("test", n) for n in range(9)]
    manifest = Manifest("s", "", "folders", [], ["cat", "dog"], entries, [], [], [], [], [])
    write_manifest(tmp_path / "manifest.json", manifest)
    material = gather_material(tmp_path, None)
    assert material.labels.tolist() == [1, 0] * 16
    assert len(set(material.groups.tolist())) == 8  # five of training, three of validation
    assert material.groups.tolist() == [group for group in dict.fromkeys(material.groups.tolist()) for _ in range(4)]
    for group in set(material.groups.tolist()):
        assert len(set(material.folds[material.groups == group].tolist())) == 1
    assert set(material.folds.tolist()) == set(range(5))
    assert len(gather_material(tmp_path, 4).labels) == 8 + 12
    lone = [entry("train", n, "one") for n in range(20)] + [entry("validation", n, "two") for n in range(1)]
    write_manifest(tmp_path / "manifest.json", Manifest("s", "", "", [], ["cat", "dog"], lone, [], [], [], [], []))
    with pytest.raises(InputError, match="too few groups of pictures for a cross-validation"):
        gather_material(tmp_path, None)
