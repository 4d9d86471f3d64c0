"""`smallvision demo`: a web page on this machine that says what a picture shows, how surely, and why."""

import argparse
import importlib.util
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from smallvision.core.errors import InputError, SurroundingsError, printable
from smallvision.data.pictures.decoding import PictureError, decode, to_input
from smallvision.data.sources.archives import MAX_PICTURE_BYTES
from smallvision.models.facts import ModelFacts, read_facts, read_metrics
from smallvision.models.inference import predict_probabilities
from smallvision.models.keras_file import load_model
from smallvision.models.quiet_tensorflow import import_tensorflow

if TYPE_CHECKING:
    import keras
    from nicegui.events import UploadEventArguments

HOST = "127.0.0.1"  # only this machine can reach the page
SHOWN = 480  # pixels of the longer side of a picture on the page
BARS = 10  # classes that get a bar of their own


@dataclass(frozen=True)
class Answer:
    """What the network says about one picture.

    `probabilities` maps each class to its probability, the most probable class first. `picture` is the picture,
    upright. `heat` has the same size and shows the picture in grey, bright where it spoke for the most probable class.
    """

    probabilities: dict[str, float]
    picture: Image.Image
    heat: Image.Image


def classify(data: bytes, network: "keras.Model", facts: ModelFacts) -> Answer:
    """Classify the content of a picture file.

    Raises:
        PictureError: the picture cannot be used, with the reason.
    """
    from smallvision.evaluation.gallery import lay_over
    from smallvision.evaluation.gradcam import gradcam

    picture = decode(data)
    pixels = to_input(data, facts.image_size)[np.newaxis]
    row = predict_probabilities(network, pixels)[0]
    order = np.argsort(-row, kind="stable")
    heat = gradcam(network, pixels, order[:1])[0]
    picture.thumbnail((SHOWN, SHOWN))
    lit = lay_over(np.asarray(picture), cv2.resize(heat, picture.size))
    return Answer({facts.classes[index]: float(row[index]) for index in order}, picture, Image.fromarray(lit))


def describe_model(facts: ModelFacts, metrics: Path) -> str:
    """Return a sentence on the model, and its test accuracy if the file `metrics` belongs to this model."""
    what = f"Recipe {facts.recipe}, trained on pictures of the source {facts.source}."
    try:
        found = read_metrics(metrics, facts)
        interval = f"95% interval {found['acc_low']:.1%} to {found['acc_high']:.1%}"
        return f"{what} Right on {found['acc']:.1%} of {found['n']} test pictures ({interval})."
    except (InputError, KeyError):
        return f"{what} How good it is was not measured: {metrics} is not the test of this model."


class Page:
    """The page of one visitor. Each answer replaces the one before."""

    def __init__(self, network: "keras.Model", facts: ModelFacts, description: str) -> None:
        from nicegui import ui

        self._network, self._facts = network, facts
        ui.add_css(".q-uploader__subtitle { display: none }")  # hides "0.0B / 0.00%"
        with ui.column().classes("w-full max-w-3xl mx-auto p-4 gap-4"):
            ui.label("What does this picture show?").classes("text-3xl font-bold")
            ui.label(f"The network knows {', '.join(facts.classes)}. {description}").classes("text-gray-700")
            self._upload = ui.upload(
                label="Drop a picture here, or press +",
                auto_upload=True,
                max_file_size=MAX_PICTURE_BYTES,
                on_begin_upload=self._wait,
                on_upload=self._receive,
                on_rejected=lambda: self._complain(f"The file is larger than {MAX_PICTURE_BYTES // 2**20} MiB."),
            )
            self._upload.props("flat bordered").classes("w-full")
            self._result = ui.column().classes("w-full gap-4").props("id=result aria-live=polite")
            ui.label(
                "Whatever a picture shows, the answer is one of these classes. "
                "Pictures stay on this machine and are not kept."
            ).classes("text-sm text-gray-600")

    def _wait(self) -> None:
        from nicegui import ui

        self._result.clear()
        with self._result:
            ui.spinner(size="lg")

    async def _receive(self, event: "UploadEventArguments") -> None:
        from nicegui import run as thread

        try:
            data = await event.file.read()
            answer = await thread.io_bound(classify, data, self._network, self._facts)
        except PictureError as error:
            self._complain(f"{event.file.name}: {error}")
        except Exception:
            self._complain(f"{event.file.name}: no answer, because of an error of this program; see the terminal")
            raise
        else:
            if answer:  # it is None when the server is ending
                self._show(answer)

    def _complain(self, message: str) -> None:
        from nicegui import ui

        self._upload.reset()
        self._result.clear()
        with self._result:
            ui.label(printable(message)).classes("text-red-800 bg-red-50 p-4 rounded w-full break-all").props(
                "role=alert"
            )

    def _show(self, answer: Answer) -> None:
        from nicegui import ui

        best, *_ = answer.probabilities
        self._upload.reset()
        self._result.clear()
        with self._result:
            ui.label(f"{best} {answer.probabilities[best]:.1%}").classes("text-2xl font-bold").props("id=answer")
            with ui.grid(columns="auto 1fr auto").classes("w-full items-center gap-x-4 gap-y-1"):
                for name, probability in list(answer.probabilities.items())[:BARS]:
                    ui.label(name)
                    ui.linear_progress(probability, show_value=False, size="1rem").props("instant-feedback")
                    ui.label(f"{probability:.1%}").classes("text-right")
            if len(answer.probabilities) > BARS:
                ui.label(f"and {len(answer.probabilities) - BARS} classes that are less likely")
            with ui.row().classes("w-full gap-4 no-wrap"):
                for image, caption in (
                    (answer.picture, "the picture"),
                    (answer.heat, f"bright is what spoke for {best}"),
                ):
                    with ui.column().classes("flex-1 gap-1"):
                        ui.image(image).classes("w-full rounded").props["alt"] = caption
                        ui.label(caption).classes("text-sm text-gray-700")


def require_port(port: int) -> None:
    """Check that the port is free. The server itself would report a port that is taken with a traceback.

    Raises:
        SurroundingsError: the port is taken, or this user may not have it.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise SurroundingsError(f"port {port} on {HOST}: {error.strerror}; choose another with --port") from None


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="smallvision demo", description="A web page on this machine.")
    parser.add_argument("--model", type=Path, default=Path("data/models/model.keras"), help="default: %(default)s")
    parser.add_argument("--metrics", type=Path, default=Path("metrics/test.json"), help="default: %(default)s")
    parser.add_argument("--port", type=int, default=8080, help="default: %(default)s")
    chosen = parser.parse_args(arguments)
    if not importlib.util.find_spec("nicegui"):
        raise SurroundingsError("the page needs the package nicegui; `make demo` installs it")
    facts = read_facts(chosen.model)
    require_port(chosen.port)
    import_tensorflow()
    network = load_model(chosen.model, facts)
    description = describe_model(facts, chosen.metrics)

    from nicegui import ui

    print(f"demo: http://{HOST}:{chosen.port}  (Ctrl-C ends it)", flush=True)
    ui.run(
        lambda: Page(network, facts, description),
        host=HOST,
        port=chosen.port,
        title="smallvision",
        favicon="🔍",
        reload=False,
        show=False,
        show_welcome_message=False,
    )
