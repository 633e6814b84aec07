"""`evaluate`: a run's checkpoint on a split by the config's protocol, every example once."""

import contextlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from rich.console import Console

from convnets.cli.command_line import Arguments
from convnets.cli.experiments import config_of_run, refuse_rest
from convnets.cli.results import print_result, result_of
from convnets.cli.runtime import prepare
from convnets.errors import InvalidValue, nearest
from convnets.evaluation.evaluator import Evaluation, evaluate
from convnets.evaluation.inference import Inference, check_smallest, check_views
from convnets.files import write_atomically
from convnets.parallel import Devices
from convnets.progress import Screen
from convnets.training.checkpoints import find_step, restore_variables
from convnets.training.setup import build_model, load_splits
from convnets.training.workdir import Workdir

KEPT = ("scores", "label", "index")


def run(arguments: Arguments) -> int:
    """Prints the metrics and writes them to `evaluation_<split>_<protocol>.json` in the workdir."""
    refuse_rest(arguments)
    workdir = Workdir(arguments.required("workdir"))
    config = config_of_run(workdir, arguments)
    prepare(config)
    scored = ScoredRun(workdir, config, arguments["split"], arguments["checkpoint"])
    console = Console(stderr=arguments["json"])
    with Screen(console) as screen:
        evaluation = scored.evaluate(screen, keep_scores=arguments["scores"])
    result = result_of(evaluation, scored.split, scored.step) | scored.protocol() | {"seconds": evaluation.seconds}
    write_atomically(workdir.folder / f"evaluation_{scored.name}.json", json.dumps(result, indent=2))
    if arguments["json"]:
        print(json.dumps(result))
        return 0
    more = {"protocol": scored.in_words(), "images/s": f"{evaluation.examples / evaluation.seconds:,.0f}"}
    title = f"{scored.split}, checkpoint of step {scored.step}"
    print_result(console, evaluation.metrics, evaluation.examples, title, more, evaluation.tables)
    return 0


class ScoredRun:
    """A checkpoint of a run, and the split that it is evaluated on.

    Args:
      config: the run's, with the evaluation that is asked for.
      split: "train", "validation" or "test".
      checkpoint: "best", "last", a step, or empty for what the run tested.

    Raises:
      InvalidValue: a split that there is not, a protocol that does not fit, or pictures too small for the network.
    """

    def __init__(self, workdir: Workdir, config: ConfigDict, split: str, checkpoint: str):
        self.workdir, self.config, self.split = workdir, config, split
        splits = vars(load_splits(config))
        workdir.check_data(splits["train"].info)
        if split not in splits:
            raise InvalidValue(f"unknown split {split!r}: {nearest(split, splits)}")
        if splits[split] is None:
            raise InvalidValue(f"the run in {workdir.folder} holds out no validation split: use --split=test or train")
        self.source = splits[split]
        self.model = build_model(config, splits["train"].info)
        self.views = check_views(self.model, config.evaluation)
        check_smallest(self.model, config.evaluation, self.source)
        self.step = find_step(workdir, config, self.model, checkpoint or config.evaluation.checkpoint)

    @property
    def name(self) -> str:
        """Of the files of its results: the split, the protocol, and what of it is not the default."""
        evaluation = self.config.evaluation
        served, usual = self.model.info.image_shape, self.workdir.info().image_shape
        special = [f"of{served[0]}"] if served != usual else []
        special += [f"{scale:g}" for scale in evaluation.scales] + ["logits"] * (evaluation.average == "logits")
        return "_".join([self.split, evaluation.protocol, *special])

    def protocol(self) -> dict[str, Any]:
        """What was scored, ready for JSON."""
        evaluation = self.config.evaluation
        return {
            "protocol": evaluation.protocol,
            "scales": list(evaluation.scales),
            "image_shape": list(self.model.info.image_shape),
            "average": evaluation.average,
            "views": len(self.views),
        }

    def in_words(self) -> str:
        """The same for a table."""
        evaluation = self.config.evaluation
        count = "1 view" if len(self.views) == 1 else f"{len(self.views)} views"
        scales = f" at {', '.join(f'{scale:g}' for scale in evaluation.scales)}" if evaluation.scales else ""
        return f"{evaluation.protocol}{scales}, {count} an image, mean of {evaluation.average}"

    def evaluate(self, screen: Screen, *, keep_scores: bool) -> Evaluation:
        """Every example of the split once; `keep_scores` writes the class scores of each into the workdir."""
        devices = Devices(self.config.train.wrapper)
        _, variables = restore_variables(self.workdir, self.config, self.model, str(self.step))
        evaluation = evaluate(
            Inference(self.model, devices, self.config.evaluation, keep_scores=keep_scores),
            devices.replicate(variables),
            self.source,
            self.model.task.evaluator(len(self.source)),
            devices,
            self.config,
            title=f"{self.workdir.folder.name} {self.split}",
            screen=screen,
        )
        assert evaluation is not None
        if keep_scores:
            content = io.BytesIO()
            kept = {name: evaluation.records[name] for name in KEPT}
            np.savez_compressed(content, facts=json.dumps(self._facts()), **kept)  # type: ignore[arg-type]
            write_atomically(self.scores_file, content.getvalue())
        return evaluation

    @property
    def scores_file(self) -> Path:
        """Where the scores are kept."""
        return self.workdir.folder / f"scores_{self.name}_step{self.step}.npz"

    def scores(self, screen: Screen) -> dict[str, np.ndarray]:
        """`scores [N, classes]`, `label [N]` and `index [N]`: those kept, if of this checkpoint, or new ones."""
        # A damaged file is made anew, as one of another checkpoint is.
        with (
            contextlib.suppress(OSError, ValueError, KeyError, zipfile.BadZipFile),
            open(self.scores_file, "rb") as stream,
            np.load(stream) as saved,
        ):
            if json.loads(str(saved["facts"])) == self._facts():
                return {name: saved[name] for name in KEPT}
        records = self.evaluate(screen, keep_scores=True).records
        return {name: records[name] for name in KEPT}

    def _facts(self) -> dict[str, Any]:
        """What scores depend on; a checkpoint that was written again is another one."""
        return self.protocol() | {
            "checkpoint": self.step,
            "written": (self.workdir.checkpoints / str(self.step)).stat().st_mtime_ns,
            "split": self.split,
            "examples": len(self.source),
            "digest": self.source.info.digest,
            "classes": list(self.model.info.classes),
        }
