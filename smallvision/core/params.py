"""The parameters of `params.yaml`, typed and checked before anything heavy is imported."""

import math
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, model_validator

from smallvision.core.validators import as_classes, as_group, as_layers, as_number, as_size, as_whole

Whole = Annotated[int, BeforeValidator(as_whole)]
Size = Annotated[int | float, PlainValidator(as_size)]
# Four convolutions, each with a pooling, leave nothing of a picture whose side is below 46 pixels.
ImageSize = Annotated[Whole, Field(ge=46, le=1024)]
BatchSize = Annotated[Whole, Field(ge=1, le=65_536)]
LearningRate = Annotated[float, BeforeValidator(as_number), Field(gt=0)]
Epochs = Annotated[Whole, Field(ge=1, le=100_000)]
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[Whole, Field(ge=0, lt=2**32)]


class _Section(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Split(_Section):
    """How many pictures each subset gets, and which pictures are good enough.

    `train`, `validation` and `test` are either all numbers of pictures per class, or all shares of the good pictures of
    each class. If the shares add up to less than 1, the rest of the pictures is not used. A picture is rejected if it
    does not decode or if one of its sides is under `min_side` pixels. If more than the share `max_rejected` of the
    pictures is rejected, something is wrong with the archive, and `split` refuses it.

    Subsets that come with the pictures, as folders or as a column of a table, are kept with all their pictures, unless
    `subsets` is `new`. The numbers then apply only to a subset that is missing, which is taken from the training
    pictures. Copies of a picture are never in two subsets, and neither is a group: a patient, a scene, a burst.
    `group` says what a group is: `folder` (the highest folder besides that of the class; a year or a magnification only
    if there is no other), a column of the table, or a regular expression with one group in parentheses, whose text the
    paths of such pictures have in common, such as `^(.+)_`.

    `order` says which pictures come first and go to training: `name` in the order of their names, `random` in an order
    by `seed` and the bytes of each picture, so that names do not matter. `null` means `name` for Dogs vs. Cats and for
    drawn pictures, as in the book, and `random` for all others.
    """

    train: Size
    validation: Size
    test: Size
    subsets: Literal["given", "new"] = "given"
    group: Annotated[str | None, BeforeValidator(as_group)] = None
    order: Literal["name", "random"] | None = None
    seed: Seed = 0
    min_side: Annotated[Whole, Field(ge=1, le=10_000)] = 8
    max_rejected: Share = 0.05

    @model_validator(mode="after")
    def _of_one_kind(self) -> "Split":
        if len({type(size) for size in self.sizes.values()}) > 1:
            raise ValueError(
                "train, validation and test are all pictures per class or all shares, received "
                f"{', '.join(str(size) for size in self.sizes.values())}"
            )
        if self.by_share and (total := math.fsum(self.sizes.values())) > 1 + 1e-9:
            raise ValueError(f"the shares of train, validation and test are {total:g} in all, expected at most 1")
        return self

    @property
    def sizes(self) -> dict[str, int | float]:
        """What each subset gets, as written in the file."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def counts(self) -> dict[str, int]:
        """The number of pictures per class in each subset. It makes sense only if the sizes are not shares."""
        return {subset: int(size) for subset, size in self.sizes.items()}

    @property
    def by_share(self) -> bool:
        """Whether `train`, `validation` and `test` are shares."""
        return isinstance(self.train, float)


class Augment(_Section):
    """How far training pictures are changed at random; 0 turns a transformation off.

    `rotation` (degrees), `shift` (a share of the side), `shear` (sides per side) and `zoom` (a share) are drawn
    uniformly between minus and plus the value. `flip` mirrors half of the pictures. `crop` is the smallest share of the
    area that is kept. `fill` says how the area beyond the edge is filled.

    Changes of colour are drawn alike: `brightness` is a share of the range from black to white, `contrast` of the
    distance to the picture's mean colour, `saturation` of the distance to grey. `erase` is the share of pictures that
    lose a square. `mixup` mixes each picture with another of its batch; it is alpha of the Beta distribution that their
    shares are drawn from, and training accuracy then means nothing.

    `size` is the side of the training pictures in pixels, if it is not `image_size`. A crop enlarges what it shows, so
    objects look larger in training than they will later. Smaller training pictures can make up for that, and are faster
    (Touvron et al., "Fixing the train-test resolution discrepancy", NeurIPS 2019). With a smaller `first_size`, the
    pictures begin with that side and grow to the other during the training, which is faster still on a CPU (Tan and Le,
    "EfficientNetV2", ICML 2021); a larger one has no effect.
    """

    rotation: Annotated[float, Field(ge=0, le=180)] = 0
    shift: Share = 0
    shear: Share = 0
    zoom: Annotated[float, Field(ge=0, lt=1)] = 0
    flip: bool = False
    crop: Share = 0
    fill: Literal["nearest", "reflect"] = "nearest"
    brightness: Share = 0
    contrast: Share = 0
    saturation: Share = 0
    erase: Share = 0
    mixup: Annotated[float, Field(ge=0, le=10)] = 0
    size: ImageSize | None = None
    first_size: ImageSize | None = None

    @property
    def resizes(self) -> bool:
        """Whether the side of training pictures may differ from `image_size`."""
        return bool(self.size or self.first_size)


# Keys of a recipe that mean nothing without a `backbone`, so that a recipe which has them needs one.
OF_BACKBONES = frozenset(
    {"weights", "pooling", "head", "units", "mirror", "unfreeze", "finetune_lr", "finetune_epochs"}
)
# Keys that mean nothing with `head: logistic`, which is not trained in epochs.
OF_EPOCHS = frozenset(
    {"epochs", "lr", "batch_size", "schedule", "warmup", "optimizer", "weight_decay", "patience", "label_smoothing",
     "units", "dropout", "augment", "unfreeze", "finetune_lr", "finetune_epochs"}
)  # fmt: skip


class Recipe(_Section):
    """How to train. `image_size`, `batch_size` and `lr` override the general ones.

    `network` is trained from scratch: the book's `convnet`, or a `residual` one. `dropout` is the share of units that
    is dropped in training. With `backbone`, a head is trained on a pretrained base instead (see
    `smallvision/models/backbones.py`), whose features are pooled as `pooling` says; `mirror` trains on the mirror
    images too. `head: dense` has `units` hidden units and is trained in epochs. `head: logistic` is a logistic
    regression whose L2 penalty is chosen by cross-validation (see `smallvision/training/logistic.py`): it has no
    epochs, and none of the keys that go with them. `unfreeze` says which layers of the base are then trained further,
    for `finetune_epochs` at `finetune_lr`: a number of last layers, the name of the first such layer, or `all`.

    `optimizer: muon` is Muon (Jordan et al. 2024) for the convolutions and AdamW for all other weights. `weight_decay`
    is decoupled (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019). `schedule` says whether
    `lr` stays constant or falls to 0 along a cosine (Loshchilov and Hutter, "SGDR", ICLR 2017, without restarts), after
    it has risen from 0 during the share `warmup` of the steps. With `patience`, each phase of the training ends after
    that many epochs in a row that were no better than its best. `label_smoothing` is the share of each label that is
    spread over all classes (Szegedy et al., "Rethinking the Inception Architecture", CVPR 2016).

    With `mirror_test`, the answer of the trained network is the mean of its answers for a picture and its mirror image.
    """

    epochs: Epochs | None = None
    network: Literal["convnet", "residual"] = "convnet"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0
    augment: Augment | None = None
    backbone: str | None = None
    weights: str = "imagenet"
    pooling: Literal["average", "flatten"] = "average"
    head: Literal["dense", "logistic"] = "dense"
    units: Annotated[Whole, Field(ge=0, le=65_536)] = 256
    mirror: bool = False
    unfreeze: Annotated[int | str | None, PlainValidator(as_layers)] = None
    finetune_lr: LearningRate | None = None
    finetune_epochs: Epochs | None = None
    image_size: ImageSize | None = None
    batch_size: BatchSize | None = None
    lr: LearningRate | None = None
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0
    optimizer: Literal["rmsprop", "adamw", "muon"] = "rmsprop"
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = 0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0
    patience: Epochs | None = None
    mirror_test: bool = False

    @model_validator(mode="after")
    def _complete(self) -> "Recipe":
        if self.backbone is None and (lone := sorted(OF_BACKBONES & self.model_fields_set)):
            raise ValueError(f"{lone[0]} needs a backbone")
        if self.head == "logistic":
            if idle := sorted(key for key in OF_EPOCHS & self.model_fields_set if getattr(self, key) is not None):
                raise ValueError(f"{idle[0]} has no effect with head: logistic; head: dense is trained in epochs")
        elif self.epochs is None:
            remedy = "; docs/howto.md, Train another head, has such a recipe" if self.backbone else ""
            raise ValueError(f"epochs is missing{remedy}")
        if self.backbone is not None and "network" in self.model_fields_set:
            raise ValueError("network and backbone exclude each other")
        if self.augment and self.augment.resizes and self.network != "residual":
            raise ValueError("augment.size and first_size need network: residual, which takes pictures of any size")
        together = [self.unfreeze, self.finetune_lr, self.finetune_epochs]
        if None in together and together != [None] * 3:
            raise ValueError("unfreeze, finetune_lr and finetune_epochs go together")
        if self.warmup and self.schedule != "cosine":
            raise ValueError("warmup needs schedule: cosine")
        if self.weight_decay and self.optimizer == "rmsprop":
            raise ValueError("weight_decay needs optimizer: adamw or muon")
        return self


class Params(_Section):
    """The whole of `params.yaml`.

    `labels` says where the label of a picture stands: in the `top` folder that has more than one name, in the `parent`
    folder, the innermost one that may be a class, in the `name` of its file (`cat.0.jpg`), or in a table that comes
    with the pictures, named by its path and, after a colon, its column (`labels.csv:species`). `auto` finds out, and
    asks where two are possible.
    With `classes`, pictures of all other classes are left out.

    With `train_limit`, only that many training pictures of each class are used, the first ones. The validation and test
    pictures stay the same, so that results can be compared.
    """

    seed: Seed
    source: Annotated[str, Field(min_length=1)]
    labels: Annotated[str, Field(min_length=1)] = "auto"
    classes: Annotated[list[str] | None, BeforeValidator(as_classes)] = None
    split: Split
    image_size: ImageSize
    recipe: str
    lr: LearningRate
    batch_size: BatchSize
    precision: Literal["auto", "float32", "bfloat16"]
    device: Literal["auto", "cpu", "gpu"] = "auto"
    tensorboard: bool = False
    train_limit: Annotated[Whole, Field(ge=1)] | None = None
    class_weights: Literal["none", "balanced"] = "none"
    recipes: dict[str, Recipe]
