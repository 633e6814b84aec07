"""StepMetrics of steps, and the records made of them."""

import json

import numpy as np
import pytest

from convnets.training.metrics_log import Diverged, MetricsLog, StepMetrics, best_step, read_records


def figures_of(objectives, norm=1.0, parameters=1.0):
    count = len(objectives)
    return {
        "objective": np.array(objectives, np.float32),
        "gradient_norm": np.full(count, norm, np.float32),
        "parameter_norm": np.full(count, parameters, np.float32),
        "learning_rate": np.linspace(0.1, 0.2, count, dtype=np.float32),
        "weight": np.full(count, 4.0, np.float32),
        "top1": np.arange(count, dtype=np.float32),
    }


def collector():
    return StepMetrics(lambda sums: {"top1": float(sums["top1"] / sums["weight"])})


def test_a_record_is_over_all_steps_since_the_last_one():
    figures = collector()
    figures.add(0, figures_of([1.0, 2.0, 3.0]))
    figures.add(3, figures_of([4.0]))
    figures.fetch()
    record = figures.record()
    assert record == pytest.approx(
        {"top1": 3 / 16, "objective": 2.5, "gradient_norm": 1.0, "learning_rate": 0.1, "examples": 16}
    )
    assert figures.last_step == 4
    assert figures.record() is None


def test_the_last_call_can_be_left_on_the_device():
    figures = collector()
    for step in range(3):
        figures.add(step, figures_of([1.0]))
    figures.fetch(keep=1)
    assert figures.record()["examples"] == 8
    assert figures.last_step == 2


@pytest.mark.parametrize(
    "bad",
    [
        {"objectives": [1.0, np.nan, 1.0]},
        {"objectives": [1.0, 1.0], "norm": np.inf},
        {"objectives": [1.0], "parameters": np.nan},
    ],
)
def test_a_loss_or_gradient_that_is_not_finite_is_refused_with_its_step(bad):
    figures = collector()
    figures.add(7, figures_of(**bad))
    step = 9 if len(bad) == 1 else 8
    with pytest.raises(Diverged, match=f"the loss of step {step} is"):
        figures.fetch()


def record(step, kind="evaluation", split="validation", **figures):
    return {"kind": kind, "step": step, **({"split": split} if kind == "evaluation" else {}), **figures}


def test_a_resumed_log_drops_what_is_about_to_be_done_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = [record(5, "train"), record(10, "train"), record(10), record(15, "train"), record(20)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"kind": "tr')
    with MetricsLog(path, tmp_path / "events", 10) as log:
        assert log.records == lines[:2]
        log.write(record(10, top1=0.5))
    assert read_records(path) == [*lines[:2], record(10, top1=0.5)]


def test_the_same_figures_reach_tensorboard(tmp_path):
    with MetricsLog(tmp_path / "metrics.jsonl", tmp_path / "events", 0) as log:
        log.write(record(3, "train", loss=0.25))
    (events,) = (tmp_path / "events").iterdir()
    assert b"train/loss" in events.read_bytes()


def test_the_best_step_is_the_earliest_of_equal_ones_and_the_test_split_has_no_say():
    records = [record(1, top1=0.5), record(2, top1=0.7), record(3, top1=0.7), record(4, split="test", top1=0.9)]
    assert best_step(records, "top1", higher=True) == 2
    assert best_step(records, "top1", higher=False) == 1
    assert best_step([], "top1", higher=True) is None
