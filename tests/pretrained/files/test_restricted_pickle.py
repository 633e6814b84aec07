"""Pickles that would run code, take memory or reach outside: refused in a sentence, and nothing of them was run."""

import copyreg
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from good_files import refused
from torch_pickles import ROW, in_a_row, integer, state, tensor, zipped

from convnets.pretrained.files import read_weights


class Evil:
    """Runs a command as soon as it is unpickled by Python."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


FORMATS = pytest.mark.parametrize("write", [zipped, in_a_row])


@FORMATS
def test_the_pickles_of_these_tests_are_read_where_nothing_is_wrong_with_them(tmp_path, write):
    weights = read_weights(write(tmp_path / "good.pth", state(tensor())))
    np.testing.assert_array_equal(weights.arrays["w"], np.zeros((2, 2), np.float32), strict=True)


def attacks(mark: Path) -> dict[str, tuple[bytes, str]]:
    """Pickles that make the file `mark` when Python unpickles them, and what each is refused for."""
    command, expression = f"touch {mark}", f"__import__('os').mknod({str(mark)!r})"
    system = f"{os.system.__module__}.system"
    made = {f"reduce of protocol {n}": (pickle.dumps(Evil(command), n), repr(system)) for n in range(6)}
    nested = pickle.dumps({"state_dict": {"x": [{"deep": Evil(command)}]}, "epoch": 3}, 2)
    quoted = expression.encode()
    text = b"V" + quoted + b"\n"
    return made | {
        "nested in a state dict": (nested, repr(system)),
        "global of protocol 0": (b"cbuiltins\neval\n(" + text + b"tR.", "'builtins.eval'"),
        "instance": (b"(" + text + b"ibuiltins\neval\n.", "'builtins.eval'"),
        "object": (b"(cbuiltins\neval\n" + text + b"o.", "'builtins.eval'"),
        "name from the stack": (b"\x80\x04Vbuiltins\nVeval\n\x93" + text + b"\x85R.", "'builtins.eval'"),
        "extension": (b"\x80\x02\x82\xf0V" + command.encode() + b"\n\x85R.", "EXT1"),
        "new object": (b"\x80\x02cbuiltins\nmap\ncbuiltins\neval\n](" + text + b"e\x86\x81cbuiltins\nlist\n0.", "map"),
        "behind allowed ones": (
            b"\x80\x02}(Vw\n" + tensor() + b"Vx\ncbuiltins\neval\n" + text + b"\x85Ru.",
            "'builtins.eval'",
        ),
    }


@FORMATS
@pytest.mark.parametrize("attack", list(attacks(Path("mark"))))
def test_code_is_refused_by_name_and_not_run(tmp_path, write, attack):
    mark = tmp_path / "run"
    pickled, named = attacks(mark)[attack]
    copyreg.add_extension(os.system.__module__, "system", 240)
    try:
        if attack not in ("new object", "behind allowed ones"):
            pickle.loads(pickled)
            assert mark.exists(), "the attack would do nothing"
            mark.unlink()
        sentence = refused(write(tmp_path / "evil.pth", pickled))
    finally:
        copyreg.remove_extension(os.system.__module__, "system", 240)
    assert not mark.exists()
    assert named in sentence and "nothing of it was run" in sentence


@pytest.mark.parametrize("place", range(3))
def test_code_in_the_pickles_before_that_of_an_older_file_is_refused(tmp_path, place):
    mark = tmp_path / "run"
    row, evil = list(ROW), pickle.dumps(Evil(f"touch {mark}"), 2)
    row[place] = row[0][:-1] + evil[2:] if place == 0 else evil
    path = tmp_path / "evil.pth"
    path.write_bytes(b"".join(row) + state(tensor()))
    assert "besides tensors" in refused(str(path))
    assert not mark.exists()


@pytest.mark.parametrize(
    "name",
    [
        "torch._utils\n_rebuild_tensor_v2.__globals__",
        "collections\nOrderedDict.__init__.__globals__",
        "torch\nload",
        "torch.hub\nload",
        "collections\nnamedtuple",
        "torch\nFloatStorage.__class__",
        "numpy.core.multiarray\nscalar",
        "argparse\nNamespace",
        "builtins\ngetattr",
        "",
    ],
)
def test_names_beside_the_allowed_ones_are_refused(tmp_path, name):
    module, _, rest = name.partition("\n")
    expected = f"besides tensors: {f'{module}.{rest}'!r}"
    assert expected in refused(zipped(tmp_path / "a.pth", b"\x80\x02c" + f"{module}\n{rest}\n".encode() + b"."))
    by_stack = b"\x80\x04V" + f"{module}\nV{rest}\n".encode() + b"\x93."
    assert expected in refused(zipped(tmp_path / "b.pth", by_stack))


@pytest.mark.parametrize("attributes", [b"}Vbuild\nK\x05s", b"N}Vbuild\nK\x05s\x86"])
def test_attributes_that_a_pickle_gives_to_what_it_may_call_are_not_set(tmp_path, attributes):
    for name in (b"ctorch._utils\n_rebuild_tensor_v2\n", b"ccollections\nOrderedDict\n", b"ctorch\nFloatStorage\n"):
        pickled = b"\x80\x02" + name + attributes + b"b0" + state(tensor())[2:]
        # 0 is POP, which no file of tensors has either.
        assert "POP" in refused(zipped(tmp_path / "evil.pth", pickled))
        inside = b"\x80\x02}(Vw\n" + tensor() + b"Vx\n" + name + attributes + b"bu."
        assert list(read_weights(zipped(tmp_path / "odd.pth", inside)).arrays) == ["w"]
    assert read_weights(zipped(tmp_path / "good.pth", state(tensor()))).arrays["w"].shape == (2, 2)


@FORMATS
@pytest.mark.parametrize(
    ("identity", "sentence"),
    [
        (b"K\x05Q", "no storage of numbers"),
        (b"(Vmodule\nVtorch.nn.Linear\nVfile\nVsource\ntQ", "no storage of numbers"),
        (b"(Vstorage\nK\x05V0\nVcpu\nK\x04tQ", "no storage of numbers"),
        (b"(Vstorage\nctorch\nFloatStorage\nK\x00Vcpu\nK\x04tQ", "no storage of numbers"),
        (b"(Vstorage\nctorch\nFloatStorage\nV0\nVcpu\n" + integer(-4) + b"tQ", "no storage of numbers"),
        (b"(Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nK\x04(Vview\nK\x01K\x02ttQ", "no storage of numbers"),
        (b"Pstorage\n", "PERSID"),
        (b"]2aQ", "DUP"),
        (b"(Vstorage\ncos\nsystem\nV0\nVcpu\nK\x04tQ", "'os.system'"),
    ],
)
def test_garbage_for_what_is_kept_outside_the_pickle_is_refused(tmp_path, write, identity, sentence):
    assert sentence in refused(write(tmp_path / "bad.pth", state(identity)))


@FORMATS
@pytest.mark.parametrize(
    ("view", "sentence"),
    [
        ({"shape": (2**40, 2**20), "strides": (2**20, 1)}, "which has not so many"),
        ({"shape": (2**40,), "strides": (0,)}, "which has not so many"),
        ({"shape": (2, 2), "strides": (3, 1)}, "which has not so many"),
        ({"shape": (2, 2), "strides": (2**62, 2**62)}, "which has not so many"),
        ({"offset": 1}, "which has not so many"),
        ({"offset": 2**62, "shape": (1,), "strides": (1,)}, "which has not so many"),
        ({"offset": -1}, "offset of -1"),
        ({"strides": (-2, 1)}, "offset of -2"),
        ({"shape": (-2, -2)}, "offset of -2"),
        ({"shape": (4,)}, "is not made as tensors are"),
        ({"shape": (1,) * 65, "strides": (1,) * 65}, "can't be read as a PyTorch file"),
    ],
)
def test_a_tensor_that_reaches_out_of_its_storage_is_refused(tmp_path, write, view, sentence):
    assert sentence in refused(write(tmp_path / "bad.pth", state(tensor(**view))))


@pytest.mark.parametrize("held", [5, 2**33, 2**62])
def test_a_storage_larger_than_the_file_is_refused_before_memory_is_asked_for(tmp_path, held):
    assert "is damaged" in refused(zipped(tmp_path / "bad.pth", state(tensor(held=held))))
    assert "is cut short" in refused(in_a_row(tmp_path / "bad.pth", state(tensor(held=held))))


@FORMATS
@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02K\x01r\xff\xff\xff\x7f.",
        b"\x80\x02" + b")" + b"\x85" * 200_000 + b"}" + b".",
        b"\x80\x02})" + b"\x85" * 200_000 + b"K\x01s.",
        b"\x80\x02ccollections\nOrderedDict\n]])" + b"\x85" * 200_000 + b"aK\x01aa\x85R.",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x.",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**64 - 1) + b"x.",
        b"\x80\x02X\xff\xff\xff\xffx.",
        b"\x80\x02I" + b"9" * 5000 + b"\n.",
        b"\x80\x02}(K\x01t.",
        b"\x80\x02}K\x01K\x02a.",
        b"\x80\x02]K\x01K\x02s.",
        b"\x80\x02K\x01K\x02R.",
        b"\x80\x02ctorch\nSize\nK\x05R.",
        b"\x80\x02ctorch\nFloatStorage\n)R.",
        b"\x80\x02Vprint\n)R.",
        b"\x80\x02\x85.",
        b"\x80\x02h\x05.",
        b"\x80\x02s.",
        b"\x80\x02t.",
        b"\x80\x02.",
        b"\x80\x02}",
        b"",
        b"\xff",
        b"\x80\x02\x8d\x01.",
    ],
)
def test_pickles_that_take_memory_or_make_no_sense_are_refused(tmp_path, write, pickled):
    refused(write(tmp_path / "bad.pth", pickled))
