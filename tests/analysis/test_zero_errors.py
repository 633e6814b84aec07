"""Learning curves of a data set that is learned without any error."""

from pathlib import Path

from convnets.analysis.learning_curves import plot_learning_curves


def test_errors_of_zero_are_drawn_on_a_linear_axis(tmp_path: Path):
    records = []
    for epoch, (train, validation) in enumerate([(0.5, 0.9), (0.9, 1.0), (1.0, 1.0)], 1):
        common = {"step": epoch, "epoch": float(epoch), "learning_rate": 0.1 / 10**epoch}
        records.append({"kind": "train", **common, "loss": 0.5**epoch, "top1": train})
        records.append({"kind": "evaluation", "split": "validation", **common, "loss": 0.4**epoch, "top1": validation})
    plot_learning_curves(records, tmp_path / "curves.png", metrics=["top1"])
    assert (tmp_path / "curves.png").stat().st_size > 10_000
