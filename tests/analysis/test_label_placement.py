import numpy as np

from convnets.plots.label_placement import GAP, place_labels

BOUNDS = (0.0, 0.0, 800.0, 600.0)


def boxes(places: list[tuple[float, float] | None], sizes: np.ndarray) -> list[np.ndarray]:
    return [
        np.concatenate([place - size / 2, place + size / 2])
        for place, size in zip(places, sizes, strict=True)
        if place is not None
    ]


def overlap(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a[:2] < b[2:]).all() and (b[:2] < a[2:]).all())


def test_a_lonely_label_stands_above_its_blob() -> None:
    [place] = place_labels(np.array([[400.0, 300.0]]), np.array([20.0]), np.array([[60.0, 10.0]]), BOUNDS)
    assert place == (400.0, 300.0 + 20.0 + GAP + 5.0)


def test_no_two_labels_of_a_crowd_overlap_and_none_leaves_the_plot() -> None:
    random = np.random.default_rng(0)
    centres = random.uniform((50, 50), (750, 550), (40, 2))
    sizes = np.stack([random.uniform(30, 90, 40), np.full(40, 12.0)], axis=1)
    places = place_labels(centres, random.uniform(3, 30, 40), sizes, BOUNDS)
    found = boxes(places, sizes)
    assert len(found) == 40
    assert not any(overlap(a, b) for i, a in enumerate(found) for b in found[:i])
    assert all((box[:2] >= 0).all() and box[2] <= 800 and box[3] <= 600 for box in found)


def test_labels_keep_clear_of_blobs_and_of_what_stands_there_already() -> None:
    centres, radii = np.array([[400.0, 300.0], [400.0, 340.0]]), np.array([10.0, 10.0])
    sizes = np.array([[60.0, 14.0], [60.0, 14.0]])
    obstacle = (320.0, 340.0, 480.0, 400.0)
    for place, size in zip(place_labels(centres, radii, sizes, BOUNDS, [obstacle]), sizes, strict=True):
        assert place is not None
        box = np.concatenate([place - size / 2, place + size / 2])
        assert not overlap(box, np.array(obstacle))
        for centre, radius in zip(centres, radii, strict=True):
            nearest = np.clip(centre, box[:2], box[2:])
            assert np.hypot(*(nearest - centre)) >= radius


def test_a_label_without_a_place_is_given_up() -> None:
    sizes = np.array([[60.0, 14.0]] * 3)
    places = place_labels(np.full((3, 2), 40.0), np.full(3, 5.0), sizes, (0.0, 0.0, 80.0, 65.0))
    assert places[0] is not None
    assert places[-1] is None
