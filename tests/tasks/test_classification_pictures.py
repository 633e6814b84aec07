from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from convnets.plots.classification import (
    confusion_matrix_figure,
    mistakes_figure,
    plot_confusion_matrix,
    plot_mistakes,
)

CLASSES = ["T-shirt/top", "Trouser", "$5 and $10"]
MATRIX = np.array([[8, 1, 1], [0, 5, 5], [0, 0, 20]])


def cell_texts(figure: Figure) -> set[str]:
    return {text.get_text() for text in figure.axes[0].texts}


def test_the_confusion_matrix_has_counts_names_and_accuracies(tmp_path: Path) -> None:
    figure = confusion_matrix_figure(MATRIX, CLASSES)
    axes, bars = figure.axes
    parts = np.asarray(axes.images[0].get_array())
    np.testing.assert_allclose(parts, [[0.8, 0.1, 0.1], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]])
    assert {"8", "1", "5", "20"} <= cell_texts(figure) and "0" not in cell_texts(figure)
    assert any("40 examples, top-1 accuracy 82.50 %" in text for text in cell_texts(figure))
    assert [label.get_text() for label in axes.get_yticklabels()][:2] == CLASSES[:2]
    assert [text.get_text() for text in bars.texts] == ["mean 76.67 %\n", "80.0 %", "50.0 %", "100.0 %"]

    plot_confusion_matrix(MATRIX, CLASSES, tmp_path / "matrix.png")
    with Image.open(tmp_path / "matrix.png") as picture:
        assert picture.format == "PNG" and 1.0 < picture.width / picture.height < 1.6


def test_another_matrix_gives_another_picture(tmp_path: Path) -> None:
    plot_confusion_matrix(MATRIX, CLASSES, tmp_path / "a.png")
    plot_confusion_matrix(MATRIX, CLASSES, tmp_path / "b.png")
    plot_confusion_matrix(MATRIX.T, CLASSES, tmp_path / "c.png")
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c


def test_a_true_class_is_a_row() -> None:
    matrix = np.diag([30, 30, 30])
    true, predicted = 0, 2
    matrix[true, predicted] = 7
    axes = confusion_matrix_figure(matrix, CLASSES).axes[0]
    [text] = [text for text in axes.texts if text.get_text() == "7"]
    assert text.get_position() == (predicted, true)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")


def test_a_class_without_examples_has_no_accuracy_and_is_not_in_the_mean() -> None:
    figure = confusion_matrix_figure(np.array([[3, 1], [0, 0]]), ["a", "b"])
    assert [text.get_text() for text in figure.axes[1].texts] == ["mean 75.00 %\n", "75.0 %", "no examples"]
    plain = confusion_matrix_figure(np.zeros((2, 2), int), ["a", "b"])
    assert any("0 examples" in text for text in cell_texts(plain))


def test_many_classes_have_no_counts_and_few_names(tmp_path: Path) -> None:
    matrix = np.eye(100, dtype=int) * 50
    figure = confusion_matrix_figure(matrix, [f"class {i}" for i in range(100)])
    assert len(figure.axes[0].texts) == 1, "only the line under the title"
    assert 10 <= len(figure.axes[0].get_xticks()) <= 40
    plot_confusion_matrix(matrix, [f"class {i}" for i in range(100)], tmp_path / "matrix.png")


def test_one_confusion_among_a_thousand_classes_is_still_drawn() -> None:
    matrix = np.zeros((998, 998), int)
    matrix[3, 997] = 5
    figure = confusion_matrix_figure(matrix, [str(i) for i in range(998)])
    image = figure.axes[0].images[0]
    cells = np.asarray(image.get_array())
    assert cells.shape == (250, 250)
    assert np.argwhere(cells > 0).tolist() == [[0, 249]] and cells[0, 249] == 1.0
    assert figure.axes[0].get_xlim() == (-0.5, 997.5)
    assert image.get_extent()[1] == 999.5, "the last block is cut, not squeezed"


@pytest.mark.parametrize(
    ("matrix", "sentence"),
    [
        (np.zeros((2, 3)), r"must be \[3, 3\]"),
        (np.zeros((2, 2)), r"must be \[3, 3\]"),
        (-np.eye(3), "counts >= 0"),
    ],
)
def test_what_is_no_confusion_matrix_is_refused(matrix: np.ndarray, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        confusion_matrix_figure(matrix, CLASSES)


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
    return [text.get_text().replace(r"\$", "$") for text in figure.texts]


def test_each_mistake_says_what_was_predicted_what_is_true_and_which_it_is() -> None:
    figure = mistakes_figure(**mistakes(2))
    assert written(figure)[-6:] == [
        "Trouser (98.7 %)", "T-shirt/top", "#7", "$5 and $10 (50.0 %)", "Trouser", "#17",
    ]  # fmt: skip
    predicted, true = figure.texts[-6:-4]
    assert predicted.get_color() != true.get_color()


def test_small_images_are_enlarged_by_a_whole_factor_and_untouched_otherwise() -> None:
    given = mistakes(3)
    images = mistakes_figure(**given).images
    assert len(images) == 3
    for image, original in zip(images, given["images"], strict=True):
        pixels = np.asarray(image.get_array())
        assert pixels.shape == (196, 196, 3)
        np.testing.assert_array_equal(pixels[3::7, 3::7, :1], original)
        np.testing.assert_array_equal(pixels[:7, :7], np.broadcast_to(original[0, 0], (7, 7, 3)))


def test_the_images_are_in_the_picture_pixel_by_pixel(tmp_path: Path) -> None:
    given = mistakes(1)
    plot_mistakes(**given, path=tmp_path / "mistakes.png")
    with Image.open(tmp_path / "mistakes.png") as picture:
        pixels = np.asarray(picture.convert("L"))
    expected = given["images"][0, :, :, 0].repeat(7, axis=0).repeat(7, axis=1)
    tops, lefts = range(pixels.shape[0] - 195), range(60)
    assert any(
        np.array_equal(pixels[top : top + 196, left : left + 196], expected)
        for top in tops
        for left in lefts
        if pixels[top, left] == expected[0, 0]
    )


@pytest.mark.parametrize("shape", [(224, 160, 3), (100, 300, 3), (120, 120, 1), (1, 1, 1), (1000, 2, 3)])
def test_large_and_odd_images_fit_their_place(shape: tuple[int, ...], tmp_path: Path) -> None:
    figure = mistakes_figure(**mistakes(2, shape))
    for image in figure.images:
        assert max(np.asarray(image.get_array()).shape) == 196
    plot_mistakes(**mistakes(2, shape), path=tmp_path / "mistakes.png")


def test_at_most_forty_are_shown_the_first_ones_and_the_heading_says_of_how_many() -> None:
    figure = mistakes_figure(**mistakes(41))
    assert len(figure.images) == 40
    assert written(figure)[0] == "The 40 most confident mistakes (of 41)"
    assert "#7" in written(figure) and "#407" not in written(figure)


def test_long_names_are_cut_before_the_next_image() -> None:
    given = mistakes(2) | {"classes": ["W" * 40, "great white shark, man-eater", "b"]}
    figure = mistakes_figure(**given)
    names = [text for text in figure.texts if "…" in text.get_text()]
    assert len(names) == 3 and names[0].get_text().endswith("… (98.7 %)")
    assert all(text.get_window_extent().width <= 196 + 22 for text in names)


def test_no_mistake_is_said_in_a_picture(tmp_path: Path) -> None:
    assert "No mistakes" in written(mistakes_figure(**mistakes(0)))
    plot_mistakes(**mistakes(0), path=tmp_path / "mistakes.png")
    with Image.open(tmp_path / "mistakes.png") as picture:
        assert picture.width > picture.height


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"labels": np.arange(3)}, "must be as many"),
        ({"images": np.zeros((2, 8, 8, 1))}, "must be uint8"),
        ({"images": np.zeros((2, 8, 8, 4), np.uint8)}, "1 or 3"),
        ({"predicted": np.array([0, 0])}, "1 of 2 predictions equal their label"),
    ],
)
def test_what_cannot_be_drawn_is_refused(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        mistakes_figure(**(mistakes(2) | change))
