"""`launch.py slide`: a classifier over a larger image, by a sliding window and as one fully convolutional pass."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict
from rich.console import Console
from rich.table import Table

from convnets.analysis.sliding_window import SlidingWindow, slide
from convnets.analysis.summary_table import short_count
from convnets.analysis.timing import Timing, alternate
from convnets.cli.command_line import Arguments
from convnets.cli.experiments import config_of_run
from convnets.cli.printing import new_table, picture_path, print_tables
from convnets.cli.runtime import prepare
from convnets.data.decoding import Picture
from convnets.data.folder_scan import find_images
from convnets.data.resampling import Part, resized_exactly
from convnets.errors import InvalidValue
from convnets.evaluation.protocols import views_of
from convnets.evaluation.sliding_window import Agreement, SlidingClassifier, agreement
from convnets.evaluation.views import crop, scaled
from convnets.plots.sliding_window import Shown, plot_sliding_window
from convnets.tasks.model import Model, unit_range
from convnets.training.checkpoints import find_step, restore_variables
from convnets.training.setup import build_model, load_splits
from convnets.training.workdir import Workdir

SMALLEST = 128
"""Side of the image where none is given and the window is small, in pixels."""


@dataclass(frozen=True)
class Slid:
    """What came of it.

    Attributes:
      image: that the window was slid over, in words.
      step: of the checkpoint.
      work: multiply-adds both ways.
      agreement: of the logits of the windows and those of the one pass.
      times: of the windows and of the one pass; empty if they were not measured.
    """

    image: str
    step: int
    work: SlidingWindow
    agreement: Agreement
    times: tuple[Timing, ...]

    @property
    def title(self) -> str:
        """Of the table and the picture."""
        (height, width), (rows, columns) = self.work.image, self.work.window
        return f"{self.work.network}: a window of {rows} × {columns} slid over {height} × {width} pixels, and one pass"

    @property
    def counts(self) -> tuple[str, str]:
        """Multiply-adds of the windows and of the one pass."""
        return short_count(self.work.windows_multiply_adds), short_count(self.work.pass_multiply_adds)


def run(arguments: Arguments) -> int:
    """Prints the comparison as a table or as JSON, and draws it where --out says."""
    workdir, out = Workdir(arguments.required("workdir")), picture_path(arguments["out"])
    if arguments["seconds"] < 0:
        raise InvalidValue(f"--seconds is {arguments['seconds']}: give 0 to measure nothing, or more")
    if arguments["batch"] < 1:
        raise InvalidValue(f"--batch is {arguments['batch']}: give at least one window to classify at once")
    config = config_of_run(workdir, replace(arguments, rest=[]))
    prepare(config)
    model = build_model(config, workdir.info())
    merger = model.task.view_merger(model.network, model.image_shape, config.evaluation.average)
    if not hasattr(merger, "scores"):
        raise InvalidValue(
            f"the run in {workdir.folder} learned {config.task.name}, which gives no class scores of a whole image to "
            "compare: name a classifier's run"
        )
    step = find_step(workdir, config, model, arguments["checkpoint"] or config.evaluation.checkpoint)
    with Console(stderr=True).status(f"sliding {config.network.name}"):
        pixels, name = larger_image(arguments.rest, config, model, workdir, arguments["size"])
        work = slide(model.network, model.image_shape, pixels.shape[:2], config.network.name)
        _, variables = restore_variables(workdir, config, model, str(step))
        classifier = SlidingClassifier(
            model.network,
            variables,
            model.normalize(unit_range({"image": jnp.asarray(pixels)})["image"]),
            window=work.window,
            stride=work.stride,
            batch=arguments["batch"],
        )
        windows, one_pass = np.asarray(classifier.one_by_one()), np.asarray(classifier.one_pass())
        times: tuple[Timing, ...] = ()
        if arguments["seconds"]:
            ways = {"windows": classifier.one_by_one, "pass": classifier.one_pass}
            times = tuple(alternate(ways, seconds=arguments["seconds"]).values())
    slid = Slid(name, step, work, agreement(windows, one_pass), times)
    if out:
        said = windows.argmax(-1), one_pass.argmax(-1)
        shown = Shown(pixels, *said, model.info.classes, work.window, work.stride)
        plot_sliding_window(shown, slid.title, _headings(slid), out)
    if arguments["json"]:
        print(json.dumps(_record(slid), indent=2))
        return 0
    lines = _lines(slid, f"{workdir.folder} at step {step:,}")
    print_tables([_table(slid)], lines + ([f"picture: {out}"] if out else []))
    return 0


def larger_image(
    paths: Sequence[str], config: ConfigDict, model: Model, workdir: Workdir, size: int
) -> tuple[np.ndarray, str]:
    """The image of the one file that `paths` name, with its short side brought to `size` pixels, or a mosaic.

    Args:
      size: in pixels; 0 for two windows, and 128 at least.

    Returns:
      uint8 `[H, W, C]`, and in words where it comes from.

    Raises:
      InvalidValue: several images, none, or a size smaller than the window.
      UnreadableImage: a file that can't be decoded.
    """
    *window, channels = model.image_shape
    size = size or max(SMALLEST, 2 * max(window))
    if size < max(window):
        raise InvalidValue(
            f"--size is {size} pixels, and the window of {config.network.name} is {window[0]} x {window[1]}: give "
            f"{max(window)} or more"
        )
    if not paths:
        return _mosaic(config, model, workdir, size)
    files = find_images(paths)
    if len(files) > 1:
        raise InvalidValue(f"a window is slid over one image, and {len(files)} were given: name one file")
    picture = Picture(files[0], str(files[0]), channels)
    whole = picture.height, picture.width
    return resized_exactly(picture.pixels(), Part(0, 0, *whole), scaled(whole, (size, size), 1.0)), files[0].name


def _mosaic(config: ConfigDict, model: Model, workdir: Workdir, size: int) -> tuple[np.ndarray, str]:
    """As many test images as fit, from all over the split, each as the network sees it when it is evaluated."""
    splits = load_splits(config)
    workdir.check_data(splits.train.info)
    height, width, channels = model.image_shape
    rows, columns = size // height, size // width
    indices = np.linspace(0, len(splits.test) - 1, rows * columns).round().astype(int)
    images = splits.test.batch(indices)["image"]
    if images.shape[1:3] != (height, width):
        [view] = views_of("centre_crop", images.shape[1:3], (height, width)).crops
        cut = crop(jnp.asarray(images, jnp.float32), jnp.array(view[:4], jnp.float32), view.mirrored, (height, width))
        images = np.asarray(cut).round().clip(0, 255).astype(np.uint8)
    grid = images.reshape(rows, columns, height, width, channels).transpose(0, 2, 1, 3, 4)
    return grid.reshape(rows * height, columns * width, channels), f"{len(indices)} test images"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:,.1f} ms"


def _headings(slid: Slid) -> tuple[tuple[str, str], ...]:
    """Title and note of each panel of the picture."""
    work, found = slid.work, slid.agreement
    notes = [f"{count} multiply-adds" for count in slid.counts]
    if slid.times:
        notes = [f"{note}, {_milliseconds(time.median)}" for note, time in zip(notes, slid.times, strict=True)]
    differ = found.places - found.equal
    crossed = f"{differ:,} of {found.places:,} differ (×)" if differ else "no prediction differs"
    return (
        (slid.image, f"a window every {work.stride[0]} × {work.stride[1]} pixels"),
        (f"{found.places:,} windows, one by one", notes[0]),
        (f"One pass: {crossed}", notes[1]),
    )


def _table(slid: Slid) -> Table:
    """The windows against the pass."""
    columns = ("", f"{slid.agreement.places:,} windows", "one pass", "saved")
    table = new_table(slid.title, columns, left=("",))
    table.add_row("multiply-adds", *slid.counts, f"× {slid.work.saved:.1f}")
    if slid.times:
        for name, saved in zip(("median", "minimum"), slid.times[0].over(slid.times[1]).values(), strict=True):
            head = {"median": "time, medians", "minimum": "time, minima"}[name]
            table.add_row(head, *(_milliseconds(getattr(time, name)) for time in slid.times), f"× {saved:.1f}")
    return table


def _lines(slid: Slid, origin: str) -> list[str]:
    """How far both ways agree."""
    work, found = slid.work, slid.agreement
    lines = [
        f"{origin}; {slid.image}; windows every {work.stride[0]} × {work.stride[1]} pixels, the stride of the map of "
        "logits",
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


def _record(slid: Slid) -> dict[str, Any]:
    """Ready for JSON."""
    work, found, times = slid.work, asdict(slid.agreement), slid.times
    medians = {name: time.median for name, time in zip(("windows", "pass"), times, strict=False)}
    return {
        "network": work.network,
        "checkpoint": slid.step,
        "image": slid.image,
        "image_size": work.image,
        "window": work.window,
        "stride": work.stride,
        "windows": found.pop("places"),
        **found,
        "share_equal": slid.agreement.share,
        "padded": work.padded,
        "windows_multiply_adds": work.windows_multiply_adds,
        "pass_multiply_adds": work.pass_multiply_adds,
        "saved": work.saved,
        "times": medians | times[0].over(times[1]) if times else None,
    }
