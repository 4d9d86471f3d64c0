"""The command `smallvision COMMAND`, which `python -m smallvision COMMAND` runs too."""

import difflib
import importlib
import sys
from collections.abc import Sequence
from functools import partial
from typing import NoReturn

from smallvision.core.errors import ParameterError, shorten
from smallvision.core.process import run

# Each command is a module of `smallvision.commands`. The text stands here, so that listing them imports none of them.
GROUPS = {
    "look at data": {
        "look": "say what a folder or an archive of pictures holds",
        "review": "list likely label errors, duplicates and rejected pictures",
    },
    "train": {
        "use": "write into params.yaml which pictures to train on",
        "choose_base": "find the pretrained base that suits the pictures",
        "estimate": "say about how long the pipeline will take on this machine",
        "find_lr": "suggest a learning rate for the recipe in params.yaml",
        "learning_curve": "measure how much more training pictures would help",
        "sweep": "search for better parameters, on this machine or a cluster",
    },
    "understand": {
        "evaluate": "score the trained model on other labelled pictures",
        "compare": "compare two revisions: is one better, or was it luck?",
    },
    "use": {
        "predict": "say what pictures show",
        "export": "write the trained model for other programs",
        "demo": "serve a page on this machine: drop a picture, see the answer",
    },
}
COMMANDS = [name for commands in GROUPS.values() for name in commands]


def format_commands() -> str:
    """Return the commands in groups, one on each line, within 80 columns."""
    width = max(map(len, COMMANDS))
    lines = ["usage: smallvision COMMAND ..."]
    for group, commands in GROUPS.items():
        lines += ["", f"{group}:", *(f"  {name:{width}}  {text}" for name, text in commands.items())]
    return "\n".join([*lines, "", "`smallvision COMMAND --help` lists the options of a command."])


def run_command(name: str, arguments: Sequence[str]) -> None:
    """Import the module of one command and run it.

    Raises:
        ParameterError: there is no such command.
    """
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the commands are {', '.join(COMMANDS)}"
        raise ParameterError(f"there is no command '{shorten(name, 40)}'; {hint}")
    importlib.import_module(f"smallvision.commands.{name}").main(arguments)


def main() -> NoReturn:
    """Run the command that the command line names, and end the process."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        run("smallvision", partial(print, format_commands()))
    run(name if name in COMMANDS else "smallvision", partial(run_command, name, arguments))


if __name__ == "__main__":
    main()
