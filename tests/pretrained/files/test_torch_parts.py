"""Files of PyTorch whose parts contradict each other."""

import pickle
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
from torch_pickles import in_a_row, state, tensor, text

from convnets.errors import InvalidValue
from convnets.pretrained.files import read_weights


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
    with pytest.raises(InvalidValue, match=sentence):
        read_weights(str(path))


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
    with pytest.raises(InvalidValue, match="its tensors take more bytes than the file has"):
        read_weights(str(path))
