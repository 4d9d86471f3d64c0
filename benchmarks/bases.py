"""How fast a frozen base is: `python -m benchmarks.bases [NAME[@SIDE] …]`. Without names it takes all of them.

Each base runs in TensorFlow with its weights as constants, in LiteRT as the train stage runs it, in LiteRT with one
interpreter whose threads share a picture, and with `--onnx` in ONNX Runtime, and in OpenVINO where that is installed.
They run by turns on the same noise, and medians count. The weights are random, except those of EfficientNet-Lite: they
change no time.
"""

import argparse
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from benchmarks.kernels import by_turns
from smallvision.data.pictures.batches import EVALUATION_BATCH
from smallvision.models import backbones, efficientnet_lite
from smallvision.models.efficientnet_lite import LITE
from smallvision.models.litert import convert, rescale_input
from smallvision.models.litert_network import Network

BATCH = 8  # pictures that ONNX Runtime and OpenVINO take at a time
Run = Callable[[], np.ndarray]


def build(name: str, side: int) -> keras.Model:
    """Build a base with pooled features."""
    if name in LITE:
        base = efficientnet_lite.build(name, side)
        efficientnet_lite.load_imagenet(base, name)
    else:
        known = backbones.BASES[name]
        picture = keras.Input((side, side, 3))
        scaled = {"own": 255.0, "tf": 2.0, "caffe": 255.0}[known.scaling]
        width = {"alpha": known.alpha} if known.alpha else {}
        base = getattr(keras.applications, known.constructor)(
            include_top=False, weights=None, input_tensor=keras.layers.Rescaling(scaled)(picture), **width
        )
    return keras.Model(base.input, keras.layers.GlobalAveragePooling2D()(base.output), name=name)


class OneInterpreter(Network):
    """A network with a single interpreter whose threads share each picture."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content, name)
        self._threads, self._pool = os.cpu_count() or 1, ThreadPoolExecutor(1)


def tensorflow_runner(model: keras.Model, pictures: np.ndarray) -> Run:
    """Return what `run_model` does, but make the graph only once: it takes a second, which many pictures share."""
    side = model.input_shape[1]
    graph = tf.function(lambda batch: model(batch, training=False))
    frozen = convert_variables_to_constants_v2(graph.get_concrete_function(tf.TensorSpec((None, side, side, 3))))

    def run() -> np.ndarray:
        starts = range(0, len(pictures), EVALUATION_BATCH)
        batches = (tf.constant(pictures[start : start + EVALUATION_BATCH], tf.float32) / 255 for start in starts)
        return np.concatenate([frozen(batch)[0].numpy() for batch in batches])

    return run


def onnx_runners(model: keras.Model, pictures: np.ndarray) -> dict[str, Run]:
    """Return ONNX Runtime with a session for each core, and OpenVINO if it is installed."""
    import onnxruntime
    import tf2onnx

    side = model.input_shape[1]
    signature = [tf.TensorSpec((None, side, side, 3), tf.float32, "picture")]
    graph = tf2onnx.convert.from_keras(model, signature)[0].SerializeToString()
    cores = os.cpu_count() or 1
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    providers = ["CPUExecutionProvider"]
    sessions = [onnxruntime.InferenceSession(graph, options, providers=providers) for _ in range(cores)]
    pool, starts = ThreadPoolExecutor(cores), range(0, len(pictures), 1)

    def run_onnx() -> np.ndarray:
        def work(start: int) -> np.ndarray:
            batch = pictures[start : start + 1].astype(np.float32) / 255
            return np.asarray(sessions[start % cores].run(None, {sessions[0].get_inputs()[0].name: batch})[0])

        return np.concatenate(list(pool.map(work, starts)))

    runners: dict[str, Run] = {"ONNX Runtime": run_onnx}
    try:
        import openvino
    except ImportError:
        return runners
    compiled = openvino.Core().compile_model(graph, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"})

    def run_openvino() -> np.ndarray:
        found: dict[int, np.ndarray] = {}
        queue = openvino.AsyncInferQueue(compiled)
        queue.set_callback(lambda request, start: found.update({start: request.get_output_tensor().data.copy()}))
        for start in range(0, len(pictures), BATCH):
            queue.start_async({0: pictures[start : start + BATCH].astype(np.float32) / 255}, start)
        queue.wait_all()
        return np.concatenate([found[start] for start in sorted(found)])

    return runners | {"OpenVINO": run_openvino}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bases", description=__doc__.splitlines()[0])
    parser.add_argument("bases", nargs="*", default=backbones.NAMES)
    parser.add_argument("--pictures", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--onnx", action="store_true", help="ONNX Runtime and OpenVINO, too")
    given = parser.parse_args()
    for word in given.bases:
        name, _, side = word.partition("@")
        size = int(side or backbones.default_image_size(name) or 224)
        model = build(name, size)
        pictures = np.random.default_rng(0).integers(0, 256, (given.pictures, size, size, 3), np.uint8)
        content = convert(rescale_input(model))
        ours, one = Network(content, name), OneInterpreter(content, name)
        works: dict[str, Run] = {
            "TensorFlow": tensorflow_runner(model, pictures),
            "LiteRT": lambda ours=ours, pictures=pictures: ours.outputs(pictures),
            "LiteRT, one": lambda one=one, pictures=pictures: one.outputs(pictures),
        } | (onnx_runners(model, pictures) if given.onnx else {})
        found = {key: work() for key, work in works.items()}
        largest = max(float(np.abs(found["TensorFlow"]).max()), 1e-30)
        differs = max(float(np.abs(rows - found["TensorFlow"]).max()) for rows in found.values()) / largest
        rates = by_turns({key: lambda work=work: len(work()) for key, work in works.items()}, given.rounds)
        speeds = "  ".join(f"{key} {rate:6.1f}/s ({rate / rates['TensorFlow']:.2f})" for key, rate in rates.items())
        print(
            f"{name:20} {size:4}  {4e-6 * model.count_params():6.1f} MB  differ by {differs:.0e}  {speeds}", flush=True
        )


if __name__ == "__main__":
    main()
