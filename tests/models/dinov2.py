"""A tiny DINOv2 in the format of transformers, with random weights, and what transformers computes with it."""

import json
from pathlib import Path

import numpy as np

SIDE, PATCH, HIDDEN, LAYERS = 56, 14, 32, 2
MEAN, DEVIATION = [0.5, 0.4, 0.3], [0.2, 0.25, 0.3]
CONFIG = {
    "model_type": "dinov2", "image_size": SIDE, "patch_size": PATCH, "hidden_size": HIDDEN, "num_hidden_layers": LAYERS,
    "num_attention_heads": 2, "mlp_ratio": 4, "layerscale_value": 1.0, "use_swiglu_ffn": False, "layer_norm_eps": 1e-6,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "drop_path_rate": 0.0, "apply_layernorm": True,
}  # fmt: skip
# The first four channels of the patches at (0, 0), (0, 3) and (2, 1), for `np.random.default_rng(1)`'s first picture.
# `Dinov2Model` of transformers 5.24.0 on PyTorch 2.13.0 computed them with these weights.
PLACES = [(0, 0), (0, 3), (2, 1)]
EXPECTED = [
    [-0.16506, 0.05914, -0.166, 0.43293],
    [-0.06304, 0.042, -0.16966, 0.24973],
    [-0.4025, 0.13054, -0.15906, 0.32128],
]


def make_weights() -> dict[str, np.ndarray]:
    """Return random weights with the names that transformers gives them."""
    rng = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.cls_token": (1, 1, HIDDEN),
        "embeddings.mask_token": (1, HIDDEN),
        "embeddings.position_embeddings": (1, 1 + (SIDE // PATCH) ** 2, HIDDEN),
        "embeddings.patch_embeddings.projection.weight": (HIDDEN, 3, PATCH, PATCH),
        "embeddings.patch_embeddings.projection.bias": (HIDDEN,),
        "layernorm.weight": (HIDDEN,),
        "layernorm.bias": (HIDDEN,),
    }
    dense = {f"attention.attention.{name}": (HIDDEN, HIDDEN) for name in ("query", "key", "value")}
    dense |= {
        "attention.output.dense": (HIDDEN, HIDDEN),
        "mlp.fc1": (4 * HIDDEN, HIDDEN),
        "mlp.fc2": (HIDDEN, 4 * HIDDEN),
    }
    for layer in (f"encoder.layer.{index}." for index in range(LAYERS)):
        for name, shape in dense.items():
            shapes |= {f"{layer}{name}.weight": shape, f"{layer}{name}.bias": shape[:1]}
        for name in (
            "norm1.weight",
            "norm1.bias",
            "norm2.weight",
            "norm2.bias",
            "layer_scale1.lambda1",
            "layer_scale2.lambda1",
        ):
            shapes[layer + name] = (HIDDEN,)
    return {name: rng.normal(0, 0.2, shape).astype(np.float32) for name, shape in shapes.items()}


def write_dinov2(folder: Path) -> Path:
    """Write the folder; this needs safetensors, which `make setup-hub` installs."""
    from safetensors.numpy import save_file

    folder.mkdir()
    save_file(make_weights(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": MEAN, "image_std": DEVIATION}))
    return folder
