"""Variable image size: buckets from headers, padding, batches of one bucket; and masks whose sizes do not fit."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from convnets import data
from convnets.data.decoding import Picture, upright_size
from convnets.data.picture_options import PictureOptions
from convnets.data.pictures import serve
from convnets.data.pipeline import EvaluationBatches, read_ahead
from convnets.data.records import UNREADABLE, Record, buckets_of
from convnets.data.source import Splits
from convnets.data.statistics import pixel_statistics
from convnets.data.views import Subset, class_subset, train_validation_split
from convnets.errors import InvalidValue
from convnets.training.setup import check_masks
from tests.data.examples import FewRecords, broken, noise, png, write

SIZES = [(30, 40), (128, 129), (128, 128), (200, 90), (129, 128), (256, 256)]
BUCKETS = [[128, 128], [128, 256], [128, 128], [256, 128], [256, 128], [256, 256]]


def levels(height, width):
    return noise(height, width, 1, seed=height)[..., 0] % 3


def records():
    return [
        Record(png(noise(*size)), f"picture {i}", i % 2, boxes(*size), np.array([1, 0], np.int32), png(levels(*size)))
        for i, size in enumerate(SIZES)
    ]


def boxes(height, width):
    """One of a part, and one of the whole picture."""
    return np.array([[1, 2, 9, 8.5], [0, 0, height, width]], np.float32)


def source(some=None, fields=("label", "boxes", "mask"), **options):
    options = {"size": 24, "evaluation_size": 0, "bucket": 128, "boxes": 2, "mask_classes": ("a", "b", "c")} | options
    return serve(FewRecords(records() if some is None else some, fields=fields), PictureOptions(**options), "test")


def test_the_info_says_that_sizes_are_the_pictures_own():
    info = source().info
    assert info.variable_size and info.image_shape == info.training_shape == (24, 24, 3)
    one_size = source(evaluation_size=32)
    assert not one_size.info.variable_size and one_size.buckets is None and one_size.buckets is None
    assert info.mask_classes == one_size.info.mask_classes == ("a", "b", "c")


def test_buckets_are_sizes_rounded_up_also_through_views():
    pictures = source()
    assert pictures.buckets.tolist() == BUCKETS and pictures.buckets.dtype == np.int32
    view = Subset(Subset(pictures, [5, 3, 1]), [2, 0])
    assert view.buckets.tolist() == [BUCKETS[1], BUCKETS[5]]
    some = class_subset(pictures, "train", ("b",))
    assert some.buckets.tolist() == BUCKETS[1::2]


def test_without_a_bucket_pictures_of_one_size_share_batches_that_are_not_padded():
    pictures = source(bucket=1)
    assert pictures.buckets.tolist() == [list(size) for size in SIZES]
    sizes = [(pictures[i]["image"].shape[:2], tuple(pictures[i]["extent"])) for i in range(len(SIZES))]
    assert sizes == [(size, size) for size in SIZES]
    np.testing.assert_array_equal(pictures[4]["image"], noise(129, 128))
    with pytest.raises(InvalidValue, match=r"data\.bucket is 0, and must be 1 or more"):
        source(bucket=0)


def test_images_and_masks_are_padded_to_the_largest_bucket_of_the_batch():
    batch = source().batch(np.array([0, 4]))
    assert batch["image"].shape == (2, 256, 128, 3) and batch["mask"].shape == (2, 256, 128)
    assert batch["extent"].tolist() == [[30, 40], [129, 128]] and batch["extent"].dtype == np.int32
    for row, i in enumerate((0, 4)):
        height, width = SIZES[i]
        image, mask = np.zeros((256, 128, 3), np.uint8), np.full((256, 128), 255)
        image[:height, :width], mask[:height, :width] = noise(height, width), levels(height, width)
        np.testing.assert_array_equal(batch["image"][row], image)
        np.testing.assert_array_equal(batch["mask"][row], mask)
    # In the picture's own pixels.
    assert batch["boxes"].tolist() == [[[1, 2, 9, 8.5], [0, 0, 30, 40]], [[1, 2, 9, 8.5], [0, 0, 129, 128]]]
    example = source()[0]
    assert example["image"].shape == (128, 128, 3) and example["extent"].tolist() == [30, 40]
    np.testing.assert_array_equal(example["mask"][:30, :40], levels(30, 40))


def test_no_picture_is_decoded_for_its_bucket(monkeypatch, tmp_path):
    for form, name in (("JPEG", "a.jpg"), ("PNG", "b.png"), ("WEBP", "c.webp"), ("BMP", "d.bmp")):
        Image.fromarray(noise(50, 140)).save(tmp_path / name, form)
    some = [Record(path, str(path)) for path in sorted(tmp_path.iterdir())]
    monkeypatch.setattr(Image.Image, "convert", None)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)
    assert buckets_of(FewRecords(some), 128).tolist() == [[128, 256]] * 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_size_is_that_of_the_upright_picture(form, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    Image.fromarray(noise(20, 30)).save(stream, form, exif=exif)
    picture = Picture(stream.getvalue(), "picture")
    assert upright_size(stream.getvalue()) == (picture.height, picture.width)


def test_an_orientation_behind_a_pngs_pixels_counts():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
    content, end = png(noise(20, 30)), -12
    chunk = struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    content = content[:end] + chunk + content[end:]
    picture = Picture(content, "picture")
    assert upright_size(content) == (picture.height, picture.width) == (30, 20)


def test_unreadable_pictures_have_a_bucket_and_are_passed_over():
    some = records()
    some[1], some[5] = broken(some[1]), broken(some[5])
    pictures = source(some, unreadable=2)
    assert pictures.buckets[[1, 5]].tolist() == [[UNREADABLE, UNREADABLE]] * 2
    batch = pictures.batch(np.array([0, 1, 2]))
    assert batch["weight"].tolist() == [1, 0, 1] and batch["extent"].tolist() == [[30, 40], [128, 128], [128, 128]]
    assert not batch["image"][1].any() and (batch["mask"][1] == 255).all()
    counted = [batch["weight"].sum() for batch in read_ahead(EvaluationBatches(pictures, batch_size=2))]
    assert sum(counted) == 4
    with pytest.raises(InvalidValue, match=r"raise data\.unreadable above 1"):
        source(some, unreadable=1).batch(np.arange(6))


def test_a_picture_that_grew_since_its_header_was_read_is_passed_over(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png(noise(20, 30)))
    pictures = source([Record(path, "a.png", 0)], fields=("label",), mask_classes=(), unreadable=1)
    assert pictures.batch(np.array([0]))["weight"].tolist() == [1]
    path.write_bytes(png(noise(20, 130)))
    assert pictures.batch(np.array([0]))["weight"].tolist() == [0]
    with pytest.raises(InvalidValue, match=r"has 20 x 130 pixels, and its header said at most 128 x 128"):
        pictures[0]


def of_sizes(sizes):
    return source([Record(np.zeros((*size, 1), np.uint8), "zeros") for size in sizes], (), mask_classes=(), channels=1)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 260), st.integers(1, 260)), min_size=1, max_size=20),
    st.integers(1, 3),
    st.integers(1, 3),
)
def test_every_example_is_in_one_batch_of_its_bucket_whatever_the_processes(sizes, share, processes):
    pictures = of_sizes(sizes)
    parts = [
        EvaluationBatches(pictures, batch_size=share * processes, process=p, process_count=processes)
        for p in range(processes)
    ]
    kinds = sorted({(-(-h // 128), -(-w // 128)) for h, w in sizes})
    of_kind = [[i for i, (h, w) in enumerate(sizes) if (-(-h // 128), -(-w // 128)) == kind] for kind in kinds]
    assert {len(part) for part in parts} == {sum(-(-len(places) // (share * processes)) for places in of_kind)}
    found = []
    for number in range(len(parts[0])):
        batches = [part[number] for part in parts]
        [shape] = {batch["image"].shape[1:3] for batch in batches}
        place = np.concatenate([batch["place"] for batch in batches])
        weight = np.concatenate([batch["weight"] for batch in batches])
        index = np.concatenate([batch["index"] for batch in batches])
        extent = np.concatenate([batch["extent"] for batch in batches])
        assert place.dtype == np.int32 and weight.tolist() == (place >= 0).tolist()
        assert index[place >= 0].tolist() == place[place >= 0].tolist()
        assert (-(-extent // 128) * 128 == shape).all() and [tuple(e) for e in extent] == [sizes[i] for i in index]
        found += place[place >= 0].tolist()
    assert found == [i for places in of_kind for i in places]


def test_statistics_are_of_the_pictures_and_not_of_what_pads_them():
    found = pixel_statistics(source())
    pixels = np.concatenate([noise(*size).reshape(-1, 3) for size in SIZES]) / 255
    assert (found.images, found.pixels) == (len(SIZES), len(pixels))
    np.testing.assert_allclose(found.mean, pixels.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.std, pixels.std(0), rtol=1e-12)
    some = [broken(record) for record in records()]
    with pytest.raises(InvalidValue, match="none of 'few' can be decoded"):
        pixel_statistics(source(some, unreadable=9))


NAMES = ("a", "b", "c", "d")


@pytest.fixture
def folder(tmp_path, user_cache):
    """Four images a split with masks that fit, one of them turned by its EXIF orientation."""
    top = tmp_path / "streets"
    turned = Image.Exif()
    turned[0x0112] = 6
    for split in ("train", "val"):
        for name in NAMES:
            write(top / split / "images" / f"{name}.jpg", noise(30, 40))
            write(top / split / "masks" / f"{name}.png", np.zeros((40, 30) if name == "a" else (30, 40), np.uint8))
        Image.fromarray(noise(30, 40)).save(top / split / "images" / "a.jpg", exif=turned)
    return top


def streets(folder, split="train", **options):
    options = {"size": 16, "mask_classes": ("ground", "road")} | options
    return data.create("segmentation_folder", split, data_dir=str(folder), **options)


def spoil(folder, split, name):
    return write(folder / split / "masks" / f"{name}.png", np.zeros((20, 40), np.uint8))


def test_masks_that_fit_are_found_to_from_headers_alone(folder, monkeypatch):
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)
    (folder / "train/masks/b.png").write_bytes(b"no picture, which is said where it is decoded")
    streets(folder).check_masks()


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_mask_of_another_size_is_named_with_both_sizes_in_whatever_split_it_is(folder, split):
    mask = spoil(folder, split, "c")
    train, validation = train_validation_split(streets(folder), 1, 0)
    with pytest.raises(InvalidValue) as refused:
        check_masks(Splits(train, validation, streets(folder, "test")))
    sentence = f"the mask {mask} has 20 x 40 pixels, and the picture 30 x 40, and none is to be passed over: replace it"
    assert str(refused.value).startswith(sentence)


def test_as_many_may_be_passed_over_as_pictures_that_are_unreadable(folder):
    for name in ("b", "d"):
        spoil(folder, "train", name)
    source = streets(folder, unreadable=2)
    source.check_masks()
    assert source.unreadable.places == {1, 3}
    with pytest.raises(InvalidValue, match=r"d\.png has 20 x 40 .* and 1 were passed over before it"):
        streets(folder, unreadable=1).check_masks()


def test_only_the_examples_of_a_view_count(folder):
    spoil(folder, "train", "b")
    for part in train_validation_split(streets(folder), 2, 0):
        if 1 in part.indices:
            with pytest.raises(InvalidValue, match=r"b\.png has 20 x 40"):
                part.check_masks()
        else:
            part.check_masks()
