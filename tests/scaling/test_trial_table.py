"""The trials of a sweep as a table, a plot and lines on the terminal."""

from pathlib import Path

from smallvision.scaling.search_space import read_space
from smallvision.scaling.trial_table import (
    FAILED,
    FINISHED,
    RUNNING,
    STOPPED,
    Trial,
    find_winner,
    format_trial,
    write_results,
)


def test_the_plot_has_a_part_for_each_parameter_and_no_other(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    figures = []

    def keep(self, path, **options):  # test_sweep.py draws it
        figures.append(self)
        Path(path).touch()

    monkeypatch.setattr(Figure, "savefig", keep)
    settings = ["lr=tag(log, interval(1e-5, 1e-2))", "batch_size=10,20", "seed=1,2", "image_size=int(interval(46, 99))"]
    space = read_space(None, settings)
    drawn = {"lr": 1e-3, "batch_size": "20", "seed": "1", "image_size": 50}
    trials = [
        Trial(1, FINISHED, space.settings(drawn), 9, 0.75, 12.0, "127.0.0.1"),
        Trial(2, STOPPED, space.settings(drawn | {"batch_size": "10"}), 1, 0.8, 3.0, "127.0.0.1"),
        Trial(3, FAILED, {}, reason="no memory"),
        Trial(4, RUNNING, space.settings(drawn), 3, 0.9),
    ]
    write_results(tmp_path / "sweep.csv", space, trials)
    (figure,) = figures
    assert [axes.get_xlabel() for axes in figure.axes if axes.axison] == list(space.free)
    assert (tmp_path / "sweep.csv").read_text().splitlines() == [
        "trial,state,epochs,val_acc,seconds,node,reason,lr,batch_size,seed,image_size",
        "1,finished,9,0.7500,12.0,127.0.0.1,,0.001,20,1,50",
        "2,stopped,1,0.8000,3.0,127.0.0.1,,0.001,10,1,50",
        "3,failed,0,,0.0,,no memory,,,,",
    ]
    assert find_winner(trials) == trials[0]  # the trial with a higher accuracy was stopped


def test_a_line_shows_the_last_part_of_each_key_or_the_reason_of_a_failure():
    trial = Trial(12, FINISHED, {"recipes.augmented.augment.zoom": "0.2", "lr": "0.001"}, 9, 0.75, 12.3, "127.0.0.1")
    assert format_trial(trial) == "   12      9   75.0%      12 finished  zoom=0.2 lr=0.001"
    assert (
        format_trial(Trial(3, FAILED, {"lr": "1"}, reason="no memory"))
        == "    3      0               0 failed    no memory"
    )
