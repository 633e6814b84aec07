"""Writes small data sets as TensorFlow Datasets prepares them, without TensorFlow."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordWriter
from PIL import Image
from tensorflow_datasets.proto import tf_example_pb2

Example = Mapping[str, Any]

SYNSETS = ("n01440764", "n01443537", "n02102040")


def write_dataset(
    folder: Path,
    name: str,
    version: str,
    features: Any,
    splits: Mapping[str, Sequence[Example]],
    shards: int = 2,
) -> Path:
    """Writes a prepared data set and returns its folder, `folder/name/version`.

    Args:
      name: "name" or "name/configuration".
      features: `tfds.features.FeaturesDict`.
      splits: the examples of each split: encoded pictures as bytes, labels as numbers, boxes as floats `[n, 4]` in
        TFDS's order (ymin, xmin, ymax, xmax) as fractions, all as deep as `features` has them.
      shards: files that a split is spread over.
    """
    builder, _, configuration = name.partition("/")
    target = folder / name / version
    target.mkdir(parents=True)
    features.save_config(target)
    infos = []
    for split, examples in splits.items():
        places = np.array_split(np.arange(len(examples)), shards)
        parts = [[serialize(examples[place]) for place in part] for part in places]
        for shard, part in enumerate(parts):
            path = target / f"{builder}-{split}.array_record-{shard:05d}-of-{shards:05d}"
            write_array_record(path, part)
        infos.append(
            {
                "name": split,
                "shardLengths": [str(len(part)) for part in parts],
                "numBytes": str(sum(len(record) for part in parts for record in part)),
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            }
        )
    info = {"name": builder, "version": version, "fileFormat": "array_record", "splits": infos}
    if configuration:
        info |= {"configName": configuration}
    (target / "dataset_info.json").write_text(json.dumps(info))
    return target


def serialize(example: Example) -> bytes:
    """An example as `tf.train.Example`, the features of a feature under `outer/inner`."""
    proto = tf_example_pb2.Example()
    for key, value in flatten(example):
        feature = proto.features.feature[key]
        values = np.asarray(value).reshape(-1).tolist() if not isinstance(value, (bytes, str)) else [value]
        if isinstance(value, (bytes, str)):
            feature.bytes_list.value.append(value if isinstance(value, bytes) else value.encode())
        elif np.asarray(value).dtype.kind == "f":
            feature.float_list.value.extend(values)
        else:
            feature.int64_list.value.extend(values)
    return proto.SerializeToString()


def flatten(example: Example, prefix: str = "") -> list[tuple[str, Any]]:
    pairs = []
    for key, value in example.items():
        pairs += flatten(value, f"{prefix}{key}/") if isinstance(value, Mapping) else [(prefix + key, value)]
    return pairs


def write_array_record(path: Path, records: Sequence[bytes]) -> None:
    writer = ArrayRecordWriter(str(path), "group_size:1")
    for record in records:
        writer.write(record)
    writer.close()


def encode(pixels: np.ndarray, suffix: str, **options: Any) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, suffix, **options)
    return content.getvalue()


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def imagenet_examples(number: int, first: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "image": encode(noise(i, 8 + i, 12, 3), "JPEG"),
            "label": i % 3,
            "file_name": f"{SYNSETS[i % 3]}_{i}.JPEG",
        }
        for i in range(first, first + number)
    ]


def write_imagenet(folder: Path, version: str = "5.1.0") -> list[dict[str, Any]]:
    """Of imagenet2012's layout: 7 training examples, which are returned, 3 of validation, 2 without labels."""
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(names=SYNSETS),
            "file_name": tfds.features.Text(),
        }
    )
    train = imagenet_examples(7)
    splits = {
        "train": train,
        "validation": imagenet_examples(3, 50),
        "test": [example | {"label": -1} for example in imagenet_examples(2, 90)],
    }
    write_dataset(folder, "imagenet2012", version, features, splits)
    return train


def write_cifar10(folder: Path) -> np.ndarray:
    """Of cifar10's layout: 5 training examples, whose pixels are returned; the label of number i is 9 - i."""
    features = tfds.features.FeaturesDict(
        {
            "id": tfds.features.Text(),
            "image": tfds.features.Image(shape=(32, 32, 3), encoding_format="png"),
            "label": tfds.features.ClassLabel(num_classes=10),
        }
    )
    pixels = noise(0, 5, 32, 32, 3)
    train = [{"id": f"train_{i}", "image": encode(pixels[i], "PNG"), "label": 9 - i} for i in range(5)]
    write_dataset(folder, "cifar10", "3.0.2", features, {"train": train, "test": train[:2]})
    return pixels


def write_scenes(folder: Path, image: bytes, mask: np.ndarray) -> None:
    """Pictures with none, one and two boxes, a mask, and no class of their own."""
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(),
            "image/filename": tfds.features.Text(),
            "objects": tfds.features.Sequence(
                {"bbox": tfds.features.BBoxFeature(), "label": tfds.features.ClassLabel(names=["cat", "dog"])}
            ),
            "segmentation_mask": tfds.features.Image(shape=(None, None, 1)),
        }
    )
    boxes = np.array([[0.1, 0.25, 0.5, 0.75], [0.0, 0.0, 1.0, 1.0]], np.float32)
    examples = [
        {
            "image": image,
            "image/filename": f"{n}.jpg",
            "objects": {"bbox": boxes[:n], "label": np.arange(1, 1 + n) % 2},
            "segmentation_mask": encode(mask, "PNG"),
        }
        for n in range(3)
    ]
    write_dataset(folder, "scenes/2007", "4.0.0", features, {"train": examples}, shards=1)


def write_pets(folder: Path, image: bytes, mask: np.ndarray) -> None:
    """Of oxford_iiit_pet's layout: one picture a split, of the class 1."""
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(),
            "label": tfds.features.ClassLabel(names=["Abyssinian", "beagle"]),
            "file_name": tfds.features.Text(),
            "segmentation_mask": tfds.features.Image(shape=(None, None, 1)),
        }
    )
    example = {"image": image, "label": 1, "file_name": "beagle_1.jpg", "segmentation_mask": encode(mask, "PNG")}
    write_dataset(folder, "oxford_iiit_pet", "4.0.0", features, {"train": [example], "test": [example]}, shards=1)
