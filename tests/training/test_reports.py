"""What TensorBoard reads is the history."""

import pytest

from smallvision.training.reports import log_to_tensorboard
from tests.conftest import PARAMS, Project, kaggle_members, write_zip


def logged(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})  # keep all of them
    events.Reload()
    return {
        name: [(event.step, float(tensor_util.make_ndarray(event.tensor_proto))) for event in events.Tensors(name)]
        for name in events.Tags()["tensors"]
    }


def test_every_epoch_is_logged_once(tmp_path):
    rows = [{"acc": 0.5, "loss": 0.75}, {"acc": 0.625, "loss": 0.5}]
    log_to_tensorboard(tmp_path)(rows[:1])
    log_to_tensorboard(tmp_path)(rows)  # stands for another process, in which the training goes on
    assert logged(tmp_path) == {"acc": [(1, 0.5), (2, 0.625)], "loss": [(1, 0.75), (2, 0.5)]}


@pytest.mark.slow
def test_the_parameter_turns_it_on(project: Project):
    write_zip(project.archive, kaggle_members(8))
    project.write_params(text=PARAMS + "tensorboard: true\n")
    assert project.split().returncode == 0
    result = project.train()
    assert result.returncode == 0, result.stderr
    (folder,) = (project.folder / "data/tensorboard").iterdir()
    assert folder.name.startswith("baseline-")
    assert set(logged(folder)) == {"acc", "loss", "val_acc", "val_loss"}
