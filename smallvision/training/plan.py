"""The plan of a training: everything that the parameters decide about it, typed, without TensorFlow."""

from dataclasses import dataclass, fields, replace
from typing import Literal

from smallvision.core.params import OF_BACKBONES, OF_EPOCHS, Augment, Params, Recipe
from smallvision.models import backbones

Device = Literal["auto", "cpu", "gpu"]
Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class Plan:
    """How a network is trained. A training, and each of the two phases of fine-tuning, follows one plan.

    The other fields hold what follows from several parameters, or differs between the two phases of fine-tuning. They
    replace the fields of `recipe` with the same name; all else is read from `recipe`, whose docstring explains it. With
    `head: logistic` there is one epoch, and `batch_size`, `lr` and `seed` are 0, because they mean nothing there.

    Attributes:
        name: the recipe's key in `params.yaml`.
        recipe: the recipe.
        image_size: side of the network's square input, pixels.
        epochs: passes over the training pictures.
        batch_size: pictures in each training step.
        lr: step size.
        augment: random changes of the training pictures; None leaves them as they are.
        seed: the seed of the weights, the order of the pictures, dropout and augmentation.
        train_limit: how many training pictures of each class are used; None uses all.
        class_weights: `balanced` makes all classes count alike, however many pictures they have.
        precision: the arithmetic; `auto` until `hardware.settle` has replaced it by one of the other two.
        device: where to compute; `auto` until `hardware.settle` has replaced it.
    """

    name: str
    recipe: Recipe
    image_size: int
    epochs: int
    batch_size: int
    lr: float
    augment: Augment | None
    seed: int
    train_limit: int | None
    class_weights: Literal["none", "balanced"]
    precision: Precision
    device: Device

    def second_phase(self) -> "Plan":
        """Return the plan by which unfrozen layers of a base are trained further.

        Raises:
            ValueError: the recipe unfreezes none.
        """
        recipe = self.recipe
        if recipe.finetune_lr is None or recipe.finetune_epochs is None:
            raise ValueError(f"{self.name} has no second phase")
        return replace(self, lr=recipe.finetune_lr, epochs=recipe.finetune_epochs)

    def facts(self) -> dict[str, object]:
        """Return the whole plan as values that JSON can hold; the name of the checkpoints is made from it."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        augment = self.augment.model_dump(mode="json") if self.augment else None
        return plain | {"recipe": self.recipe.model_dump(mode="json"), "augment": augment}

    def parameters(self) -> dict[str, object]:
        """Return the parameters for `model.json` and the model card, without those of other kinds of training."""
        without = {"name", "recipe"} | ({"network"} if self.recipe.backbone else OF_BACKBONES)
        if self.recipe.head == "logistic":
            without |= {"seed"} | OF_EPOCHS
        found = self.recipe.model_dump(mode="json") | self.facts()
        return {name: value for name, value in found.items() if name not in without}


def resolve(params: Params) -> Plan:
    """Return the plan that the parameters ask for.

    Raises:
        ParameterError: the recipe's base or its weights cannot be found.
    """
    recipe = params.recipes[params.recipe]
    image_size = recipe.image_size
    if recipe.backbone:
        backbones.require_known(recipe.backbone, recipe.weights)
        image_size = image_size or backbones.default_image_size(recipe.backbone)
    plan = Plan(
        name=params.recipe,
        recipe=recipe,
        image_size=image_size or params.image_size,
        epochs=recipe.epochs or 1,
        batch_size=recipe.batch_size or params.batch_size,
        lr=recipe.lr or params.lr,
        augment=recipe.augment,
        seed=params.seed,
        train_limit=params.train_limit,
        class_weights=params.class_weights,
        # A pretrained base computes in the arithmetic that its weights are kept in.
        precision="float32" if recipe.backbone else params.precision,
        device=params.device,
    )
    return replace(plan, batch_size=0, lr=0.0, seed=0) if recipe.head == "logistic" else plan
