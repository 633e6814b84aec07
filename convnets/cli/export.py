"""`launch.py export`: a run's network for use elsewhere, as weights or as a program."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from convnets.analysis.summary_table import short_bytes
from convnets.cli.command_line import Arguments
from convnets.cli.experiments import override, refuse_rest
from convnets.cli.export_formats import Exported, Trained, as_npz, as_safetensors, as_stablehlo
from convnets.cli.export_onnx import as_onnx, check_installed
from convnets.cli.runtime import prepare
from convnets.errors import InvalidValue, nearest
from convnets.files import write_atomically
from convnets.training.run import load_run
from convnets.training.workdir import Workdir


@dataclass(frozen=True)
class Format:
    """How a network is written.

    Attributes:
      holds_about: whether the file itself says what it is of; beside another, a JSON file does.
      check: refuses what can't be written, before any work.
    """

    export: Callable[[Trained], Exported]
    holds_about: bool
    check: Callable[[], None] = lambda: None


FORMATS = {
    "safetensors": Format(as_safetensors, holds_about=True),
    "npz": Format(as_npz, holds_about=False),
    "stablehlo": Format(as_stablehlo, holds_about=False),
    "onnx": Format(as_onnx, holds_about=True, check=check_installed),
}


def run(arguments: Arguments) -> int:
    """Writes the file, and a JSON file beside it where it can't say itself what it is of."""
    refuse_rest(arguments)
    workdir = Workdir(arguments.required("workdir"))
    if arguments.overrides:
        raise InvalidValue("export takes no --config fields: the run's own are used")
    out, form = _out(arguments["out"]), _format(arguments["out"], arguments["format"])
    description = out.with_name(f"{out.name}.json")
    for path in [out] if form.holds_about else [out, description]:
        if path.exists():
            raise InvalidValue(f"{path} is there already: remove it, or name another file by --out")
    form.check()
    config = override(workdir.config(), [])
    prepare(config)
    found = load_run(workdir, arguments["checkpoint"], config)
    trained = Trained(config, found.model, found.variables, found.step)

    exported = form.export(trained)
    try:
        if not form.holds_about:
            write_atomically(description, json.dumps(trained.about(), indent=2))
        write_atomically(out, exported.content)
    except OSError as error:
        raise InvalidValue(f"--out is {str(out)!r}, which can't be written: {error.strerror}") from None
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(
        f"{out}: {trained.architecture} at step {trained.step:,}, {exported.inside}, {short_bytes(out.stat().st_size)}"
    )
    mean, std = trained.model.normalize
    console.print(f"trained on images normalized by the mean {mean} and the std {std} (white is 1)")
    return 0


def _format(out: str, name: str) -> Format:
    """The format of that name, or else of the ending of the file's."""
    if name and name not in FORMATS:
        raise InvalidValue(f"--format is {name!r}, and there is no such format: {nearest(name, FORMATS)}")
    name = name or Path(out).suffix[1:].lower()
    if name not in FORMATS:
        endings = ", ".join(f".{ending}" for ending in FORMATS)
        raise InvalidValue(f"--out is {out!r}, and must end in one of {endings}, or the format be named by --format")
    return FORMATS[name]


def _out(out: str) -> Path:
    if not out:
        raise InvalidValue(f"--out is missing: name the file to write, such as network.{next(iter(FORMATS))}")
    path = Path(out)
    if not path.parent.is_dir():
        raise InvalidValue(f"--out is {out!r}, and there is no folder {path.parent}: make it, or name another")
    return path
