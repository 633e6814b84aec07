"""Files that PyTorch writes, in both of its formats, read without it: every number, in its place."""

import pickle
import re
import struct
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from good_files import assert_same, refused
from torch_arrays import torch
from torch_pickles import in_a_row, state, tensor, text

from convnets.pretrained.files import read_weights

ZIP_AND_OLD = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old"])
FLOATS = ("float64", "float32", "float16", "bfloat16")


def saved(tmp_path: Path, what: Any, zipped: bool = True, **options: Any) -> str:
    path = tmp_path / "weights.pth"
    torch.save(what, path, _use_new_zipfile_serialization=zipped, **options)
    return str(path)


def network() -> Any:
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Linear(16, 5)]
    return torch.nn.Sequential(OrderedDict(zip(("conv", "norm", "flat", "fc"), layers, strict=True)))


@ZIP_AND_OLD
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_state_dict_comes_back_number_by_number(tmp_path, zipped, protocol):
    expected = network().state_dict()
    assert expected._metadata, "an attribute, which does no harm"
    weights = read_weights(saved(tmp_path, expected, zipped, pickle_protocol=protocol))
    assert list(weights.arrays) == list(expected) and weights.notes == ()
    assert_same(weights, {name: given.numpy() for name, given in expected.items()})


@ZIP_AND_OLD
def test_views_shared_storages_and_parameters_are_the_numbers_that_torch_sees(tmp_path, zipped):
    base = torch.arange(60.0).reshape(3, 4, 5)
    tensors = {
        "whole": base,
        "permuted": base.permute(2, 0, 1),
        "every_second": base[:, ::2, 1:4],
        "behind": base[2],
        "one": base[1, 1, 1],
        "parameter": torch.nn.Parameter(base[:2].clone()),
        "empty": torch.zeros(0, 3),
    }
    weights = read_weights(saved(tmp_path, tensors, zipped))
    assert_same(weights, {name: given.detach().numpy() for name, given in tensors.items()})
    assert np.shares_memory(weights.arrays["whole"], weights.arrays["behind"])


@ZIP_AND_OLD
@pytest.mark.parametrize("dtype", [*FLOATS, "int64", "int32", "int16", "int8", "uint8", "bool", "uint16", "uint32"])
def test_every_type_of_numbers(tmp_path, zipped, dtype):
    numbers = torch.tensor([0, 1, 100, 3]).to(getattr(torch, dtype))
    (array,) = read_weights(saved(tmp_path, {"x": numbers}, zipped)).arrays.values()
    np.testing.assert_array_equal(array, [0, 1, 1, 1] if dtype == "bool" else [0, 1, 100, 3])
    assert array.dtype == ("float32" if "float" in dtype else dtype)


def test_halves_are_rounded_as_torch_rounds_them_and_counted(tmp_path):
    state = {name: given.half() for name, given in network().state_dict().items()}
    state["more"] = torch.rand(3).bfloat16()
    weights = read_weights(saved(tmp_path, state))
    assert weights.notes == ("9 arrays of float16, as float32", "1 array of bfloat16, as float32")
    assert_same(weights, {name: given.float().numpy() for name, given in state.items()})


@ZIP_AND_OLD
@pytest.mark.parametrize("name", ["state_dict", "model", "model_state_dict", "state_dict_ema"])
def test_a_state_dict_beside_the_optimizer_and_a_schedule_is_found_and_the_rest_is_not(tmp_path, zipped, name):
    net = network()
    optimizer = torch.optim.Adam(net.parameters())
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5])
    net(torch.ones(2, 3, 4, 4)).sum().backward()
    optimizer.step()
    checkpoint = {
        "epoch": 3,
        "best": torch.tensor(0.5),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "config": {
            "lr": 0.1,
            "size": torch.Size([3]),
            "type": torch.float32,
            "none": None,
            "tags": ["a", (1, 2, 3, 4)],
        },
        name: net.state_dict(),
    }
    weights = read_weights(saved(tmp_path, checkpoint, zipped))
    assert list(weights.arrays) == list(net.state_dict())
    assert weights.notes == (f"under {name!r}",)


def entries_of(path: str) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewritten(path: str, entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> str:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def test_storages_of_the_optimizer_are_not_read(tmp_path):
    path = saved(tmp_path, {"optimizer": torch.ones(1000), "model": {"w": torch.ones(3)}})
    rewritten(path, {name: content for name, content in entries_of(path).items() if not name.endswith("data/0")})
    np.testing.assert_array_equal(read_weights(path).arrays["w"], [1, 1, 1])


def test_the_prefix_of_dataparallel_is_taken_off_where_all_names_have_it(tmp_path):
    parallel = torch.nn.DataParallel(network())
    weights = read_weights(saved(tmp_path, {"state_dict": parallel.state_dict()}))
    assert list(weights.arrays) == list(network().state_dict())
    assert weights.notes == ("under 'state_dict'", "'module.' taken off the names")
    some = read_weights(saved(tmp_path, {"module.a": torch.ones(1), "b": torch.ones(1)}))
    assert list(some.arrays) == ["module.a", "b"] and some.notes == ()


def test_entries_besides_tensors_are_left_out_and_named(tmp_path):
    weights = read_weights(saved(tmp_path, {"w": torch.ones(1), "epoch": 3, "more": {"v": torch.ones(1)}}))
    assert list(weights.arrays) == ["w"]
    assert weights.notes == ("left out what is no tensor: 'epoch', 'more'",)


@ZIP_AND_OLD
def test_a_whole_module_is_refused_by_the_name_of_its_class_with_advice(tmp_path, zipped):
    sentence = refused(saved(tmp_path, network(), zipped))
    assert "besides tensors: 'torch.nn.modules.container.Sequential'; nothing of it was run" in sentence
    assert "torch.save(model.state_dict(), path)" in sentence


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        (torch.ones(2), "holds a tensor and no named tensors"),
        ([torch.ones(2)], "holds a list and no named tensors"),
        (
            {"netG": {"w": torch.ones(1)}, "epoch": 1},
            "holds no tensors at its top or .*, only 'netG', 'epoch'",
        ),
        ({}, "holds no tensors"),
        ({"x": torch.ones(2, dtype=torch.complex64)}, "besides tensors: 'torch.ComplexFloatStorage'"),
        ({"x": torch.ones(1).expand(1000)}, r"shape \[1000\], strides \[0\] .* storage of 1 numbers"),
    ],
)
def test_what_holds_no_named_tensors_of_known_numbers_is_refused(tmp_path, what, sentence):
    assert re.search(sentence, refused(saved(tmp_path, what)))


def test_the_other_order_of_bytes_as_torch_reads_it(tmp_path):
    """PyTorch swaps what a machine with the other order has written; the file says which that is."""
    state = {"x": torch.rand(5), "d": torch.rand(2).double(), "h": torch.rand(3).bfloat16(), "i": torch.arange(4)}
    swapped = {"0": 4, "1": 8, "2": 2, "3": 8}
    entries = {"another_top/byteorder": b"big"}
    for name, content in entries_of(saved(tmp_path, state)).items():
        rest = name.partition("/")[2]
        if rest.startswith("data/"):
            content = np.frombuffer(content, f"u{swapped[rest[5:]]}").byteswap().tobytes()
        entries.setdefault(f"another_top/{rest}", content)
    path = rewritten(str(tmp_path / "big.pth"), entries)
    weights = read_weights(path)
    for name, given in torch.load(path).items():
        np.testing.assert_array_equal(weights.arrays[name], given.float().numpy() if name != "i" else given.numpy())
    torch.testing.assert_close(torch.load(path), state, rtol=0, atol=0)


def test_a_file_of_the_first_versions_with_parameters_and_strings_of_python_2(tmp_path):
    """By hand, as no PyTorch of today writes it: an OrderedDict of a list of pairs, with parameters of tensors by
    `_rebuild_tensor`. PyTorch itself still reads it."""
    storage = b"(U\x07storagectorch\nFloatStorage\nU\x017U\x03cpuK\x06tQ"
    of_tensor = b"ctorch._utils\n_rebuild_tensor\n(" + storage + b"K\x00K\x02K\x03\x86K\x03K\x01\x86tR"
    parameter = b"ctorch.nn.parameter\nParameter\n" + of_tensor + b"\x85R"
    pickled = b"\x80\x02ccollections\nOrderedDict\n](](U\x06weight" + parameter + b"ee\x85R."
    path = in_a_row(tmp_path / "old.pth", pickled, {"7": np.arange(6, dtype=np.float32).tobytes()})
    expected = torch.load(path)["weight"].detach().numpy()
    np.testing.assert_array_equal(expected, np.arange(6).reshape(2, 3))
    np.testing.assert_array_equal(read_weights(path).arrays["weight"], expected, strict=True)


@ZIP_AND_OLD
def test_a_file_cut_short_anywhere_is_refused(tmp_path, zipped):
    path = Path(saved(tmp_path, {"a": torch.ones(20), "b": torch.zeros(4)}, zipped))
    content = path.read_bytes()
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        refused(path)


def test_a_flipped_bit_of_the_numbers_is_found_by_the_checksum_of_the_zip_file(tmp_path):
    path = Path(saved(tmp_path, {"a": torch.full((100,), 3.0)}))
    content = bytearray(path.read_bytes())
    content[content.index(struct.pack("<f", 3.0) * 9) + 1] ^= 1
    path.write_bytes(content)
    assert "CRC" in refused(path)


def test_a_compressed_archive_is_refused_before_it_unfolds(tmp_path):
    path = saved(tmp_path, {"a": torch.zeros(1000)})
    assert "compressed, as torch.save does not" in refused(rewritten(path, entries_of(path), zipfile.ZIP_DEFLATED))


@pytest.mark.parametrize(
    ("part", "otherwise", "sentence"),
    [
        (struct.pack("<q", 4), struct.pack("<q", 5), "the storage '0' says that it has 5 numbers"),
        (pickle.dumps(["0"], 2), pickle.dumps([], 2), "lacks the storage '0'"),
        (pickle.dumps(["0"], 2), pickle.dumps(["1"], 2), "can't be read as a PyTorch file"),
        (pickle.dumps(1001, 2), pickle.dumps(1002, 2), "of the protocol 1002"),
    ],
)
def test_an_older_file_whose_parts_do_not_fit_is_refused(tmp_path, part, otherwise, sentence):
    path = Path(in_a_row(tmp_path / "old.pth", state(tensor())))
    before, _, behind = path.read_bytes().rpartition(part)
    path.write_bytes(before + otherwise + behind)
    assert sentence in refused(path)


def test_storages_that_overlap_in_the_zip_file_are_refused(tmp_path):
    """So that a file of some megabytes can't become one of gigabytes: one storage lies within the other."""
    inner, numbers = zipfile.ZipInfo("archive/data/1"), bytes(4000)
    inner.file_size = inner.compress_size = len(numbers)
    inner.CRC = zlib.crc32(numbers)
    outer = inner.FileHeader() + numbers
    pickled = b"\x80\x02}(" + b"".join(
        text(key) + tensor(0, (2,), (1,), len(data) // 4, key) for key, data in (("0", outer), ("1", numbers))
    )
    path = tmp_path / "overlap.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled + b"u.")
        archive.writestr("archive/data/0", outer)
        inner.header_offset = archive.getinfo("archive/data/0").header_offset + len(inner.FileHeader())
        archive.filelist.append(inner)
    assert "its tensors take more bytes than the file has" in refused(path)
