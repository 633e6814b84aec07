"""`launch.py slide`: a classifier over a larger image, by a sliding window and as one fully convolutional pass."""

import json
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from convnets.analysis.human_units import short_count
from convnets.analysis.sliding_window import SlidingWindow, slide
from convnets.analysis.timing import Timing, alternate
from convnets.cli.command_line import Arguments
from convnets.cli.experiments import config_of_run
from convnets.cli.larger_image import LargerImage, larger_image
from convnets.cli.printing import new_table, picture_path, print_tables
from convnets.cli.runtime import prepare
from convnets.errors import InvalidValue
from convnets.evaluation.sliding_window import Agreement, SlidingClassifier, agreement
from convnets.plots.sliding_window import Heading, Shown, plot_sliding_window
from convnets.tasks.model import Model, unit_range
from convnets.training.checkpoints import find_step, restore_variables
from convnets.training.setup import build_model
from convnets.training.workdir import Workdir

TASK = "classification"


@dataclass(frozen=True)
class Slid:
    """What came of it.

    Attributes:
      image: that the window was slid over.
      origin: of the network: its run and step.
      work: multiply-adds both ways.
      agreement: of the logits of the windows and those of the one pass.
      times: of the windows and of the one pass; None if they were not measured.
    """

    image: LargerImage
    origin: str
    work: SlidingWindow
    agreement: Agreement
    times: tuple[Timing, Timing] | None


def run(arguments: Arguments) -> int:
    """Prints the comparison as a table or as JSON, and draws it where --out says."""
    workdir, out = Workdir(arguments.required("workdir")), picture_path(arguments["out"])
    if arguments["seconds"] < 0:
        raise InvalidValue(f"--seconds is {arguments['seconds']}: give 0 to measure nothing, or more")
    if arguments["batch"] < 1:
        raise InvalidValue(f"--batch is {arguments['batch']}: give at least one window to classify at once")
    config = config_of_run(workdir, replace(arguments, rest=[]))
    if config.task.name != TASK:
        raise InvalidValue(
            f"the run in {workdir.folder} learned {config.task.name}, and a window is slid for {TASK}: name a "
            "classifier's run"
        )
    prepare(config)
    model = build_model(config, workdir.info())
    step = find_step(workdir, config, model, arguments["checkpoint"] or config.evaluation.checkpoint)
    with Console(stderr=True).status(f"sliding {config.network.name}"):
        image = larger_image(arguments.rest, config, model, workdir, arguments["size"])
        work = slide(model.network, model.image_shape, image.pixels.shape[:2], config.network.name)
        _, variables = restore_variables(workdir, config, model, str(step))
        classifier = SlidingClassifier(
            model.network,
            variables,
            _normalized(model, image.pixels),
            window=work.window,
            stride=work.stride,
            batch=arguments["batch"],
        )
        windows, one_pass = np.asarray(classifier.one_by_one()), np.asarray(classifier.one_pass())
        times = _times(classifier, arguments["seconds"])
    slid = Slid(image, f"{workdir.folder} at step {step:,}", work, agreement(windows, one_pass), times)
    if out:
        shown = Shown(
            image.pixels, windows.argmax(-1), one_pass.argmax(-1), model.info.classes, work.window, work.stride
        )
        plot_sliding_window(shown, _title(work), _headings(slid), out)
    if arguments["json"]:
        print(json.dumps(_record(slid, step), indent=2))
        return 0
    print_tables([_table(slid)], _lines(slid) + ([f"picture: {out}"] if out else []))
    return 0


def _normalized(model: Model, pixels: np.ndarray) -> jax.Array:
    return model.normalize(unit_range({"image": jnp.asarray(pixels)})["image"])


def _times(classifier: SlidingClassifier, seconds: float) -> tuple[Timing, Timing] | None:
    if not seconds:
        return None
    found = alternate({"windows": classifier.one_by_one, "pass": classifier.one_pass}, seconds=seconds)
    return found["windows"], found["pass"]


def _title(work: SlidingWindow) -> str:
    (height, width), (rows, columns) = work.image, work.window
    return f"{work.network}: a window of {rows} × {columns} slid over {height} × {width} pixels, and one pass"


def _headings(slid: Slid) -> tuple[Heading, Heading, Heading]:
    """Of the panels of the picture."""
    work, found = slid.work, slid.agreement
    counts = short_count(work.windows_multiply_adds), short_count(work.pass_multiply_adds)
    windows, one_pass = (f"{count} multiply-adds" for count in counts)
    if slid.times:
        windows, one_pass = f"{windows}, {_milliseconds(slid.times[0])}", f"{one_pass}, {_milliseconds(slid.times[1])}"
    differ = found.places - found.equal
    crossed = f"{differ:,} of {found.places:,} differ (×)" if differ else "no prediction differs"
    return (
        (slid.image.name, f"a window every {work.stride[0]} × {work.stride[1]} pixels"),
        (f"{found.places:,} windows, one by one", windows),
        (f"One pass: {crossed}", one_pass),
    )


def _milliseconds(timing: Timing) -> str:
    return f"{timing.median * 1e3:,.1f} ms"


def _table(slid: Slid) -> Table:
    """The windows against the pass, and how far they agree."""
    work, found = slid.work, slid.agreement
    table = new_table(_title(work), ("", f"{found.places:,} windows", "one pass", "saved"), left=("",))
    counts = short_count(work.windows_multiply_adds), short_count(work.pass_multiply_adds)
    table.add_row("multiply-adds", *counts, f"× {work.saved:.1f}")
    if slid.times:
        ratios = slid.times[0].over(slid.times[1])
        table.add_row("time, medians", *map(_milliseconds, slid.times), f"× {ratios['ratio_of_medians']:.1f}")
        fastest = (f"{timing.minimum * 1e3:,.1f} ms" for timing in slid.times)
        table.add_row("time, minima", *fastest, f"× {ratios['ratio_of_minima']:.1f}")
    return table


def _lines(slid: Slid) -> list[str]:
    work, found = slid.work, slid.agreement
    lines = [
        f"{slid.origin}; {slid.image.name}; windows every {work.stride[0]} × {work.stride[1]} pixels, the stride of "
        "the map of logits",
        f"equal predictions: {found.equal:,} of {found.places:,} ({found.share:.2%}); logits differ by "
        f"{found.largest_difference:.1e} at most, of numbers up to {found.largest_logit:.1f}",
    ]
    if work.padded:
        lines.append(
            f"{work.network} pads its maps: a window cut out has zeros around it where the pass has the image, and so "
            "the logits differ; those of the pass are the classifier's of each window of the last map"
        )
    else:
        lines.append(f"{work.network} pads no map, so that both ways give the same logits but for rounding")
    return lines


def _record(slid: Slid, step: int) -> dict[str, Any]:
    """Ready for JSON."""
    work, found = slid.work, slid.agreement
    return {
        "network": work.network,
        "checkpoint": step,
        "image": slid.image.name,
        "image_size": work.image,
        "window": work.window,
        "stride": work.stride,
        "windows": found.places,
        "equal": found.equal,
        "share_equal": found.share,
        "largest_difference": found.largest_difference,
        "largest_logit": found.largest_logit,
        "padded": work.padded,
        "windows_multiply_adds": work.windows_multiply_adds,
        "pass_multiply_adds": work.pass_multiply_adds,
        "saved": work.saved,
        "times": slid.times
        and {
            "windows": slid.times[0].median,
            "pass": slid.times[1].median,
            **slid.times[0].over(slid.times[1]),
        },
    }
