"""Where crops lie, against coordinates written by hand."""

import itertools

import pytest

from convnets.errors import InvalidValue
from convnets.evaluation.protocols import protocols, views_of
from convnets.evaluation.views import Crop, Map, Views, corners_and_centre, crops_at, grid, largest_windows, scaled


def test_the_short_side_gets_its_pixels_and_the_shape_stays():
    assert scaled((375, 500), (224, 224), 256 / 224) == (256, 341)
    assert scaled((500, 375), (224, 224), 256 / 224) == (341, 256)
    assert scaled((300, 300), (224, 224), 1.0) == (224, 224)
    assert scaled((28, 28), (32, 32), 8 / 7) == (37, 37)
    assert scaled((1000, 3), (1, 1), 1.0) == (333, 1)


def test_crops_that_are_not_square_are_just_covered():
    assert scaled((100, 100), (24, 32), 1.0) == (32, 32)
    assert scaled((50, 200), (24, 32), 1.5) == (36, 144)
    assert scaled((32, 24), (24, 32), 1.0) == (43, 32)


def test_corners_and_centre():
    assert corners_and_centre((256, 341), (224, 224)) == ((0, 0), (0, 117), (32, 0), (32, 117), (16, 58))


def test_a_grid_reaches_from_edge_to_edge():
    places = grid((256, 384), (224, 224), 5)
    assert sorted({top for top, _ in places}) == [0, 8, 16, 24, 32]
    assert sorted({left for _, left in places}) == [0, 40, 80, 120, 160]
    assert len(places) == 25


def test_squares_lie_along_the_long_side():
    assert largest_windows((256, 340), (224, 224)) == ((256, 256), ((0, 0), (0, 42), (0, 84)))
    assert largest_windows((340, 256), (224, 224)) == ((256, 256), ((0, 0), (42, 0), (84, 0)))
    assert largest_windows((60, 40), (24, 32)) == ((30, 40), ((0, 0), (15, 0), (30, 0)))


def test_a_crop_of_a_scaled_image_is_a_region_of_the_image_itself():
    """Twice as large: the lower right 20 x 20 is the last 10 x 10."""
    plain, mirrored = crops_at((16, 32), (32, 64), (20, 20), [(12, 44)])
    assert plain == Crop(6, 22, 10, 10, False)
    assert mirrored == Crop(6, 22, 10, 10, True)


def test_ten_crops_of_256_are_alexnets():
    views = views_of("ten_crop", (256, 256), (224, 224))
    places = [(0, 0), (0, 32), (32, 0), (32, 32), (16, 16)]
    assert views == Views(tuple(Crop(*place, 224, 224, m) for m in (False, True) for place in places))


def test_ten_crops_of_an_image_of_the_networks_size_are_taken_at_8_7():
    """32 x 8/7 is 36.57, so 37: five pixels remain."""
    views = views_of("ten_crop", (32, 32), (32, 32))
    unit = 32 / 37
    tops = [crop.top for crop in views.crops[:5]]
    assert tops == pytest.approx([0, 0, 5 * unit, 5 * unit, 2 * unit])
    assert all(crop.height == pytest.approx(32 * unit) for crop in views.crops)


COUNTS = {"centre_crop": 1, "ten_crop": 10, "multi_scale": 50, "googlenet_144": 144, "multi_crop": 150}


SIZES = [
    ((256, 256), (224, 224)),
    ((375, 500), (224, 224)),
    ((32, 32), (32, 32)),
    ((41, 60), (24, 36)),
    ((24, 32),) * 2,
]


@pytest.mark.parametrize(("sizes", "protocol"), list(itertools.product(SIZES, COUNTS)))
def test_crops_are_as_many_as_the_papers_count_and_lie_inside(sizes, protocol):
    image, size = sizes
    views = views_of(protocol, image, size)
    assert len(views) == len(views.crops) == COUNTS[protocol]
    for crop in views.crops:
        assert crop.top >= 0 and crop.top + crop.height <= image[0] + 1e-9
        assert crop.left >= 0 and crop.left + crop.width <= image[1] + 1e-9
    mirrored = sum(crop.mirrored for crop in views.crops)
    assert mirrored == (0 if protocol == "centre_crop" else COUNTS[protocol] // 2)


def test_the_lectures_scales_of_resnet():
    views = views_of("multi_scale", (512, 512), (224, 224))
    sides = [512 * 224 / side for side in (224, 256, 384, 480, 640)]
    assert [views.crops[10 * i].height for i in range(5)] == pytest.approx(sides)


def test_googlenets_crops_of_one_scale():
    """Of a 256 x 340 image: three squares, each with six crops, the sixth the square itself."""
    crops = views_of("googlenet_144", (256, 340), (224, 224), (8 / 7,)).crops
    assert len(crops) == 36
    plain = [tuple(crop[:4]) for crop in crops if not crop.mirrored]
    left = [(0, 0), (0, 32), (32, 0), (32, 32), (16, 16)]
    assert plain[:6] == [(*place, 224, 224) for place in left] + [(0, 0, 256, 256)]
    assert plain[6] == (0, 42, 224, 224) and plain[11] == (0, 42, 256, 256)
    assert plain[17] == (0, 84, 256, 256)


def test_dense_maps_are_whole_images():
    views = views_of("dense", (375, 500), (224, 224))
    assert views.maps[:2] == (Map(256, 341, False), Map(256, 341, True))
    assert [view.height for view in views.maps[::2]] == [256, 384, 512]


def test_two_kinds_of_views_count_half_each():
    views = views_of("multi_crop_and_dense", (256, 256), (224, 224))
    of_crop, of_map = views.shares()
    assert (len(views.crops) * of_crop, len(views.maps) * of_map) == (pytest.approx(0.5), pytest.approx(0.5))
    assert views_of("ten_crop", (256, 256), (224, 224)).shares()[0] == pytest.approx(0.1)


def test_an_image_smaller_than_the_crop_is_enlarged_to_cover_it():
    assert views_of("centre_crop", (20, 16), (32, 32)) == Views((Crop(2, 0, 16, 16),))


@pytest.mark.parametrize("protocol", list(protocols))
def test_scales_replace_the_protocols_own(protocol):
    one, two = (views_of(protocol, (64, 64), (32, 32), scales) for scales in ((1.5,), (1.5, 2.0)))
    assert len(two) == 2 * len(one)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("ten_crops", (32, 32), (32, 32)), "did you mean 'ten_crop'"),
        (("ten_crop", (32, 32), (32, 32), (0.5,)), r"must lie in \[1, 16\]"),
        (("ten_crop", (32, 32), (32, 32), (float("nan"),)), r"must lie in \[1, 16\]"),
        (("ten_crop", (32, 32), (32, 32), ("a",)), r"must lie in \[1, 16\]"),
        (("ten_crop", (32, 32), (32, 32), (True,)), r"must lie in \[1, 16\]"),
    ],
)
def test_what_cant_be_is_refused(arguments, sentence):
    with pytest.raises(InvalidValue, match=sentence):
        views_of(*arguments)
