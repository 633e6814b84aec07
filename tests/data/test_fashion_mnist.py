"""Fashion-MNIST: reading its files, and refusing others. Most tests use a tiny stand-in for the files."""

import gzip
import shutil

import numpy as np
import pytest

from convnets.data import fashion_mnist
from convnets.errors import InvalidValue

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


def check_sentence(text: str) -> None:
    assert text and "\n" not in text and ". " not in text


@pytest.mark.parametrize(
    ("split", "images", "labels"), [("train", TRAIN_IMAGES, TRAIN_LABELS), ("test", TEST_IMAGES, TEST_LABELS)]
)
def test_images_are_framed_with_zeros_and_labels_are_int32(published, arrays, split, images, labels):
    source = fashion_mnist.load(split, data_dir=str(published))
    batch = source.batch(np.arange(len(source)))
    expected = np.pad(arrays[images], ((0, 0), (2, 2), (2, 2)))[..., None]
    np.testing.assert_array_equal(batch["image"], expected)
    np.testing.assert_array_equal(batch["label"], arrays[labels])
    assert (batch["image"].dtype, batch["label"].dtype) == (np.uint8, np.int32)
    assert source.info.image_shape == (9, 8, 1) and source.info.splits == {"train": 6, "test": 3}


def test_raw_files_are_read_as_well_as_gzipped_ones(published, arrays, contents):
    for name, content in contents.items():
        (published / f"{name}.gz").unlink()
        (published / name).write_bytes(content)
    assert int(fashion_mnist.load("test", data_dir=str(published))[2]["label"]) == arrays[TEST_LABELS][2]


def test_folders_are_tried_in_order_and_passed_over_if_they_lack_a_file(published, cache, tmp_path):
    shutil.copytree(published, cache)
    assert fashion_mnist.find() == cache
    shutil.copytree(published, tmp_path / "system")
    assert fashion_mnist.find() == tmp_path / "system"
    assert fashion_mnist.find(str(published)) == published
    (tmp_path / "system" / f"{TEST_LABELS}.gz").unlink()
    assert fashion_mnist.find() == cache


def test_a_given_folder_is_never_replaced_by_another(published, cache, tmp_path):
    shutil.copytree(published, cache)
    with pytest.raises(fashion_mnist.DataNotFound, match="elsewhere") as error:
        fashion_mnist.load("train", data_dir=str(tmp_path / "elsewhere"))
    assert str(cache) not in str(error.value)


def test_not_found_says_where_it_looked_and_what_to_do(cache, tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        fashion_mnist.load("train")
    said = str(error.value)
    check_sentence(said)
    for part in (str(tmp_path / "system"), str(cache), "make train", "--data_dir", "dataset-fashion-mnist"):
        assert part in said


def damaged(good: bytes) -> dict[str, bytes]:
    """Wrong versions of a gzipped idx file, by what is wrong."""
    content = gzip.decompress(good)
    return {
        "empty": b"",
        "truncated": good[:-9],
        "another checksum": good[:-8] + bytes(4) + good[-4:],
        "a web page": b"<html>not found</html>",
        "a byte less": gzip.compress(content[:-1]),
        "a byte more": gzip.compress(content + b"\0"),
        "another header": gzip.compress(content[:3] + b"\2" + content[4:]),
        "another byte": gzip.compress(content[:-1] + bytes([content[-1] ^ 1])),
    }


@pytest.mark.parametrize("what", damaged(gzip.compress(b"123456")))
@pytest.mark.parametrize("name", [TEST_LABELS, TEST_IMAGES])
def test_a_damaged_file_is_refused_by_name(published, name, what):
    path = published / f"{name}.gz"
    path.write_bytes(damaged(path.read_bytes())[what])
    with pytest.raises(
        fashion_mnist.CorruptData, match=rf"^{path} (is damaged|has .* bytes and the SHA-256).*: replace"
    ):
        fashion_mnist.load("test", data_dir=str(published))
    fashion_mnist.load("train", data_dir=str(published))  # the other split is not read


@pytest.mark.parametrize("options", [{"split": "validation"}, {"split": "train", "padding": -1}])
def test_other_splits_and_negative_paddings_are_refused(published, options):
    with pytest.raises(InvalidValue) as error:
        fashion_mnist.load(**options, data_dir=str(published))
    check_sentence(str(error.value))


def test_the_real_data_are_what_the_paper_and_others_report():
    try:
        folder = fashion_mnist.find()
    except fashion_mnist.DataNotFound as error:
        pytest.skip(str(error))
    train, test = fashion_mnist.load("train"), fashion_mnist.load("test")
    assert (len(train), len(test)) == (60000, 10000) and train.info.image_shape == (32, 32, 1)
    images, labels = (train.batch(np.arange(60000))[name] for name in ("image", "label"))
    # 6,000 of each class (paper, section 2); the first is an ankle boot, the second a T-shirt.
    np.testing.assert_array_equal(np.bincount(labels), [6000] * 10)
    assert [train.info.classes[label] for label in labels[:2]] == ["Ankle boot", "T-shirt/top"]
    # The mean and std that everybody normalizes with.
    counts = np.bincount(images[:, 2:-2, 2:-2].ravel(), minlength=256)
    values = np.arange(256) / 255
    mean = np.average(values, weights=counts)
    assert mean == pytest.approx(0.2860, abs=5e-5)
    assert np.average((values - mean) ** 2, weights=counts) ** 0.5 == pytest.approx(0.3530, abs=5e-5)
    assert images[:, [0, 1, -2, -1]].max() == images[:, :, [0, 1, -2, -1]].max() == 0
    fashion_mnist.verify(folder)
