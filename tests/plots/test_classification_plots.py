"""The confusion matrix and the sheet of mistakes, read back from the figures."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from convnets.plots.classification import plot_confusion_matrix, plot_mistakes

CLASSES = ["T-shirt/top", "Trouser", "$5 and $10"]
MATRIX = np.array([[8, 1, 1], [0, 5, 5], [0, 0, 20]])


def cell_texts(figure: Figure) -> set[str]:
    return {text.get_text() for text in figure.axes[0].texts}


def test_the_confusion_matrix_has_counts_names_and_accuracies(tmp_path: Path) -> None:
    figure = plot_confusion_matrix(MATRIX, CLASSES, tmp_path / "matrix.png")
    axes, bars = figure.axes
    parts = np.asarray(axes.images[0].get_array())
    np.testing.assert_allclose(parts, [[0.8, 0.1, 0.1], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]])
    assert {"8", "1", "5", "20"} <= cell_texts(figure) and "0" not in cell_texts(figure)
    [text] = [text for text in axes.texts if text.get_text() == "8"]
    assert text.get_position() == (0, 0)
    right_of_it = {text.get_position() for text in axes.texts if text.get_text() == "1"}
    assert right_of_it == {(1, 0), (2, 0)}, "a true class is a row"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert any("40 examples, top-1 accuracy 82.50 %" in text for text in cell_texts(figure))
    assert [label.get_text() for label in axes.get_yticklabels()][:2] == CLASSES[:2]
    assert [text.get_text() for text in bars.texts] == ["mean 76.67 %\n", "80.0 %", "50.0 %", "100.0 %"]
    with Image.open(tmp_path / "matrix.png") as picture:
        assert picture.format == "PNG" and 1.0 < picture.width / picture.height < 1.6


def test_a_class_without_examples_has_no_accuracy_and_is_not_in_the_mean(tmp_path: Path) -> None:
    figure = plot_confusion_matrix(np.array([[3, 1], [0, 0]]), ["a", "b"], tmp_path / "matrix.png")
    assert [text.get_text() for text in figure.axes[1].texts] == ["mean 75.00 %\n", "75.0 %", "no examples"]
    plain = plot_confusion_matrix(np.zeros((2, 2), int), ["a", "b"], tmp_path / "matrix.png")
    assert any("0 examples" in text for text in cell_texts(plain))


def test_one_confusion_among_a_thousand_classes_is_still_drawn(tmp_path: Path) -> None:
    matrix = np.zeros((998, 998), int)
    matrix[3, 997] = 5
    axes = plot_confusion_matrix(matrix, [str(i) for i in range(998)], tmp_path / "matrix.png").axes[0]
    cells = np.asarray(axes.images[0].get_array())
    assert cells.shape == (250, 250)
    assert np.argwhere(cells > 0).tolist() == [[0, 249]] and cells[0, 249] == 1.0
    assert axes.get_xlim() == (-0.5, 997.5)
    assert axes.images[0].get_extent()[1] == 999.5, "the last block is cut, not squeezed"
    assert len(axes.texts) == 1 and 10 <= len(axes.get_xticks()) <= 40, "no counts and few names"


def mistakes(count: int, shape: tuple[int, ...] = (28, 28, 1)) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    return {
        "images": generator.integers(0, 256, (count, *shape), dtype=np.uint8),
        "labels": np.arange(count) % 3,
        "predicted": (np.arange(count) + 1) % 3,
        "probabilities": np.linspace(0.987, 0.5, count),
        "indices": np.arange(count) * 10 + 7,
        "classes": CLASSES,
    }


def written(figure: Figure) -> list[str]:
    return [text.get_text().replace(r"\$", "$") for axes in figure.axes for text in axes.texts]


def test_each_mistake_is_its_image_with_what_was_predicted_what_is_true_and_which_it_is(tmp_path: Path) -> None:
    given = mistakes(2)
    figure = plot_mistakes(**given, path=tmp_path / "mistakes.png")
    assert written(figure) == [
        "Trouser (98.7 %)", "T-shirt/top", "#7", "$5 and $10 (50.0 %)", "Trouser", "#17",
    ]  # fmt: skip
    predicted, true, _ = figure.axes[0].texts
    assert predicted.get_color() != true.get_color()
    for axes, image in zip(figure.axes, given["images"], strict=False):
        np.testing.assert_array_equal(axes.images[0].get_array()[..., :1], image)


def test_at_most_forty_are_shown_the_first_ones_with_long_names_cut(tmp_path: Path) -> None:
    given = mistakes(41) | {"classes": ["W" * 40, "great white shark, man-eater", "b"]}
    figure = plot_mistakes(**given, path=tmp_path / "mistakes.png")
    assert sum(bool(axes.images) for axes in figure.axes) == 40
    assert figure.get_suptitle() == "The 40 most confident mistakes (of 41)"
    assert "#7" in written(figure) and "#407" not in written(figure)
    assert "great white sh… (98.7 %)" in written(figure)
    none = plot_mistakes(**mistakes(0, (500, 2, 3)), path=tmp_path / "mistakes.png")
    assert "No mistakes" in none.get_suptitle()
