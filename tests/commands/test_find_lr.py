"""The learning-rate finder, on a problem whose answer is known."""

import numpy as np
import pytest

from smallvision.commands.find_lr import measure_losses, range_test, suggest_lr
from smallvision.core.errors import DivergedError
from smallvision.core.params_file import read_params
from smallvision.training.plan import resolve
from tests.conftest import PARAMS, Project, assert_one_line, jpeg, kaggle_members, write_zip

FIND_LR = "smallvision.commands.find_lr"


def descent(curvature, noise=0.0):
    """Gradient descent on curvature * w**2 / 2. The best step is 1 / curvature; from twice that on it diverges."""
    state, rng = {"w": 1.0}, np.random.default_rng(0)

    def step(rate):
        loss = curvature * state["w"] ** 2 / 2
        state["w"] -= rate * curvature * state["w"]
        return loss * (1 + noise * rng.normal()) + 1e-3

    return step


@pytest.mark.parametrize("curvature", [0.3, 10, 1000, 1e5])
@pytest.mark.parametrize("noise", [0, 0.1])
def test_on_a_parabola_the_suggestion_is_within_a_decade_of_the_best_step_and_does_not_diverge(curvature, noise):
    rates, losses = range_test(descent(curvature, noise), 200)
    assert 0.1 / curvature <= suggest_lr(rates, losses) < 2 / curvature
    assert len(rates) == len(losses)
    assert rates[-1] < 100 / curvature  # it stopped soon after the loss ran away


def test_a_loss_that_is_no_number_ends_the_test():
    losses = iter([2.0, 1.0, np.nan])
    assert len(range_test(lambda _: next(losses), 10)[0]) == 2
    with pytest.raises(DivergedError, match="no number at lr 1e-07"):
        range_test(lambda _: np.nan, 10)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["epochs: 1", "epochs: 1, lr: 1.0e-3, network: residual, optimizer: adamw"])
def test_the_command_names_the_parameter_to_set(project: Project, recipe, monkeypatch):
    monkeypatch.setattr("smallvision.models.residual.WIDTHS", (8, 16))  # fewer blocks take less time
    write_zip(project.archive, kaggle_members(8))
    project.write_params(text=PARAMS.replace("baseline: {{epochs: 1}}", f"baseline: {{{{{recipe}}}}}"))
    assert project.split().returncode == 0
    result = project.call(FIND_LR, "--steps", "20")
    assert (result.returncode, result.stderr) == (0, "")
    key = "recipes.baseline.lr" if "lr:" in recipe else "lr"
    assert f"try `dvc exp run -S {key}=" in result.stdout
    assert (project.folder / "data/find_lr.png").read_bytes().startswith(b"\x89PNG")


def test_pictures_that_are_not_there_and_too_few_steps_are_refused(project: Project):
    assert_one_line(project.call(FIND_LR, "--pictures", "nowhere"), 3, "nowhere", "not found")
    result = project.call(FIND_LR, "--steps", "9")
    assert (result.returncode, "--steps: expected at least 10, received 9" in result.stderr) == (2, True)


def test_a_logistic_head_has_no_learning_rate_to_find(project: Project):
    logistic = "baseline: {{backbone: efficientnet_lite0, head: logistic}}"
    project.write_params(text=PARAMS.replace("baseline: {{epochs: 1}}", logistic))
    result = project.call(FIND_LR)
    assert_one_line(result, 2, "params.yaml: recipe baseline has head: logistic, which has no learning rate")


@pytest.mark.slow
def test_the_loss_is_that_of_the_training_weights_included(project: Project):
    write_zip(
        project.archive,
        {f"{label}/{n}.jpg": jpeg(100 * count + n) for label, count in (("cat", 20), ("dog", 5)) for n in range(count)},
    )
    shares = PARAMS.replace("train: 4, validation: 2, test: 2", "train: 0.6, validation: 0.2, test: 0.2")
    project.write_params(text=shares)
    assert project.split().returncode == 0
    losses = []
    for weights in ("none", "balanced"):
        project.write_params(text=f"{shares}class_weights: {weights}\n")
        plan = resolve(read_params(project.folder / "params.yaml"))
        losses.append(measure_losses(plan, project.pictures, 2)[1])
    assert losses[0][0] != pytest.approx(losses[1][0], rel=0.01)
