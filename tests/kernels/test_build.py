"""The kernels are compiled once, whoever starts together, and what is half done never counts."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from convnets.kernels import build, library

COMPILER = """#!/bin/bash
# Stands for a compiler: writes down that it ran, and makes what it is asked for.
if [ "$1" = --version ]; then echo "stub 1.0"; exit 0; fi
echo "$*" >> "{log}"
while [ $# -gt 0 ]; do
  case "$1" in -o) to="$2"; shift;; -shared) shared=1;; esac
  shift
done
if [ -z "$shared" ]; then echo object > "$to"; exit 0; fi
{link}
"""


class Stub:
    """A compiler that does what a few lines of shell say, and counts how often it ran."""

    def __init__(self, folder: Path, link: str = 'echo library > "$to"'):
        self.path, self.log = folder / "compiler", folder / "log"
        self.write(link)

    def write(self, link: str, before: str = "") -> None:
        script = COMPILER.format(log=self.log, link=link)
        self.path.write_text(script.replace('echo "$*" >>', before + '\necho "$*" >>'))
        self.path.chmod(0o755)

    @property
    def runs(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def stub(tmp_path, monkeypatch) -> Stub:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    stub = Stub(tmp_path)
    monkeypatch.setenv("CXX", str(stub.path))
    monkeypatch.delenv(build.FLAGS_VARIABLE, raising=False)
    try:
        build.find_onednn()
    except build.Unavailable as reason:
        pytest.skip(str(reason))
    return stub


def libraries(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache" / "convnets" / "kernels").glob("**/*.so"))


def test_it_is_compiled_once_and_found_again(stub, tmp_path, capfd):
    first = build.compiled_library()
    sources = len(list(build.SOURCE.glob("*.cc")))
    assert first.read_text() == "library\n" and len(stub.runs) == sources + 1
    assert build.compiled_library() == first and len(stub.runs) == sources + 1
    assert libraries(tmp_path) == [first] and not [p for p in first.parent.iterdir() if p.is_dir()]
    assert capfd.readouterr().err.count("compiling the CPU kernels, once on this machine") == 1


def test_other_flags_another_compiler_or_other_sources_are_another_library(stub, tmp_path, monkeypatch):
    seen = [build.compiled_library()]
    monkeypatch.setenv(build.FLAGS_VARIABLE, "-g -DSOMETHING")
    seen.append(build.compiled_library())
    assert all("-g -DSOMETHING" in run for run in stub.runs[-2:])
    monkeypatch.delenv(build.FLAGS_VARIABLE)
    assert build.compiled_library() == seen[0]

    stub.path.write_text(stub.path.read_text().replace("stub 1.0", "stub 2.0"))
    seen.append(build.compiled_library())

    source = tmp_path / "source"
    shutil.copytree(build.SOURCE, source)
    monkeypatch.setattr(build, "SOURCE", source)
    assert build.compiled_library() == seen[-1]
    with open(source / "runtime.h", "a") as header:
        header.write("// another line\n")
    seen.append(build.compiled_library())
    assert len(set(seen)) == 4


def test_what_an_editor_leaves_beside_the_sources_does_not_matter(stub, tmp_path, monkeypatch):
    source = tmp_path / "source"
    shutil.copytree(build.SOURCE, source)
    monkeypatch.setattr(build, "SOURCE", source)
    expected = build.compiled_library()
    (source / "__pycache__").mkdir()
    (source / ".runtime.h.swp").write_bytes(b"\xff\xfe")
    assert build.compiled_library() == expected


def test_a_compiler_that_fails_is_reported_by_its_first_error(stub, tmp_path):
    complaint = 'echo "In file included from here:" >&2; echo "a.cc:3:1: error: no such thing" >&2; '
    stub.write("", before=complaint + 'echo "a.cc:9:1: error: nor this" >&2; exit 1')
    with pytest.raises(build.Unavailable) as refused:
        build.compiled_library()
    assert str(refused.value) == "the compiler failed: a.cc:3:1: error: no such thing"
    assert libraries(tmp_path) == []


def test_a_compiler_that_is_killed_leaves_no_library_and_the_next_one_makes_it(stub, tmp_path):
    stub.write('echo half > "$to"; kill -9 $$')
    with pytest.raises(build.Unavailable, match="the compiler failed"):
        build.compiled_library()
    assert libraries(tmp_path) == []
    stub.write('echo library > "$to"')
    assert build.compiled_library().read_text() == "library\n"


def test_no_compiler_and_a_cache_that_is_a_file_are_said(stub, tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("")
    with pytest.raises(build.Unavailable, match=r"cache.* can't be written"):
        build.compiled_library()
    monkeypatch.setenv("CXX", "/nonexistent")
    with pytest.raises(build.Unavailable, match=r"there is no C\+\+ compiler"):
        build.compiled_library()


def test_a_library_that_is_none_is_said(monkeypatch, tmp_path):
    broken = tmp_path / "kernels-0.so"
    broken.write_text("library\n")
    monkeypatch.setattr(library, "compiled_library", lambda: broken)
    with pytest.raises(build.Unavailable, match="can't be loaded"):
        library.load.__wrapped__()


def start(code: str, **environment: str) -> Any:
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


USE = """
import sys
import jax.numpy as jnp
from convnets.layers import implementation
from convnets.layers.convolution import convolution
print("ready", flush=True)
sys.stdin.readline()
with implementation.use("onednn"):
    print(float(convolution(jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 2, 1))).sum()))
"""


def test_processes_that_start_together_end_with_one_library(onednn, stub, tmp_path):
    # The real one, and slowly: whoever comes second must wait for it.
    stub.write(f'sleep 1; cp "{library.load()._name}" "$to"')
    processes = [start(USE) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    ends = [process.communicate(timeout=120) for process in processes]
    assert [out for out, _ in ends] == ["72.0\n"] * 2, ends
    assert len(stub.runs) == len(list(build.SOURCE.glob("*.cc"))) + 1
    assert sum(err.count("compiling the CPU kernels") for _, err in ends) == 1
    assert len(libraries(tmp_path)) == 1


BUILD = "from convnets.kernels.build import compiled_library; compiled_library()"


def test_a_process_that_is_killed_while_compiling_leaves_nothing_that_counts(stub, tmp_path):
    stub.write('echo half > "$to"; echo $$ > "$to.pid"; sleep 60')
    process = start(BUILD)
    deadline = time.monotonic() + 60
    while not (waiting := list(tmp_path.rglob("*.pid"))) or not waiting[0].read_text().strip():
        assert time.monotonic() < deadline and process.poll() is None, "it never came to the linker"
        time.sleep(0.05)
    process.kill()
    process.communicate()
    os.kill(int(waiting[0].read_text()), signal.SIGKILL)
    cache = tmp_path / "cache" / "convnets" / "kernels"
    assert list(cache.glob("*.so")) == [] and len(libraries(tmp_path)) == 1, "half a library, where nobody looks"
    stub.write('echo library > "$to"')
    assert build.compiled_library().read_text() == "library\n"
