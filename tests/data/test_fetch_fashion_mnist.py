"""Fetching Fashion-MNIST: the order of the ways, and that only verified files are put in place.

The tools and the publisher are stand-ins on this machine.
"""

import functools
import gzip
import http.server
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from convnets.data import fashion_mnist, fetch_fashion_mnist

PACKAGE = "dataset-fashion-mnist"
IMAGES = "t10k-images-idx3-ubyte.gz"

APT = """#!/bin/sh
echo "$*" >> {log}
for word; do last=$word; case $word in Dir::State::lists=*) lists=${{word#*=}};; esac; done
case $last in
  update) test -d "$lists" && echo x > "$lists/fresh" ;;
  *) {condition} || {{ echo "E: Unable to locate package $last" >&2; exit 100; }}; echo deb > "$last.deb" ;;
esac
"""
DPKG = """#!/bin/sh
test "$1" = -x && test -s "$2" || exit 2
{mkdir} -p "$3{target}" && {cp} {data}/* "$3{target}"
"""


def complete(folder: Path, contents: dict[str, bytes]) -> bool:
    return all(gzip.decompress((folder / f"{n}.gz").read_bytes()) == content for n, content in contents.items())


def check_sentence(text: str) -> None:
    assert text and "\n" not in text and ". " not in text


@pytest.fixture
def tools(tmp_path, published, monkeypatch) -> Callable[..., Path]:
    """Makes an `apt-get` and a `dpkg` all there is on the PATH; gives the log of the calls of apt-get."""
    folder, log = tmp_path / "bin", tmp_path / "apt.log"
    folder.mkdir()
    log.touch()
    cp, mkdir = shutil.which("cp"), shutil.which("mkdir")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(fetch_fashion_mnist, "PUBLISHER_URLS", ())

    def install(*, available: str = "true", data: Path = published) -> Path:
        target = fashion_mnist.SYSTEM_FOLDER
        (folder / "apt-get").write_text(APT.format(log=log, condition=available))
        (folder / "dpkg").write_text(DPKG.format(mkdir=mkdir, cp=cp, data=data, target=target))
        for tool in folder.iterdir():
            tool.chmod(0o755)
        return log

    return install


@pytest.fixture
def server(published, monkeypatch) -> Iterator[str]:
    """The address of a server that has the published files, and a web page for all below `portal/`."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def send_head(self):  # type: ignore[no-untyped-def]
            if self.path.startswith("/portal/"):
                self.path = "/page.html"
            return super().send_head()

        def log_message(self, *args: object) -> None:
            pass

    (published / "page.html").write_text("<html>Please log in</html>")
    monkeypatch.setenv("no_proxy", "*")
    handler = functools.partial(Handler, directory=str(published))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()
        thread.join()


def test_what_is_there_is_not_fetched_again(published, tools, capsys):
    log = tools()
    assert fetch_fashion_mnist.main([f"--data_dir={published}"]) == 0
    assert capsys.readouterr().out == f"Fashion-MNIST is in {published}\n"
    assert log.read_text() == ""


def test_debians_package_comes_first(tools, server, cache, contents, monkeypatch, capsys):
    log = tools()
    monkeypatch.setattr(fetch_fashion_mnist, "_from_url", lambda *_: pytest.fail("asked the publisher"))
    monkeypatch.setattr(fetch_fashion_mnist, "PUBLISHER_URLS", (server,))
    assert fetch_fashion_mnist.main([]) == 0
    assert capsys.readouterr().out == f"Fashion-MNIST is in {cache}\n"
    assert complete(cache, contents) and os.listdir(cache.parent) == [cache.name]
    assert [line.split()[-2:] for line in log.read_text().splitlines()] == [["download", PACKAGE]]


def test_absent_package_lists_are_had_privately(tools, cache, contents):
    log = tools(available='test -s "$lists/fresh"')
    assert fetch_fashion_mnist.main([]) == 0
    assert complete(cache, contents)
    first, update, second = log.read_text().splitlines()
    assert [line.split()[-1] for line in (first, update, second)] == [PACKAGE, "update", PACKAGE]
    for option in (f"Dir::State::lists={cache.parent}/", f"Dir::Cache={cache.parent}/"):
        assert option not in first and option in update and option in second


@pytest.mark.parametrize("package", ["absent", "wrong"])
def test_the_publisher_follows_debian_and_the_mirror_the_publisher(
    tools, published, server, tmp_path, cache, contents, monkeypatch, capfd, package
):
    wrong = shutil.copytree(published, tmp_path / "wrong")
    (wrong / IMAGES).write_bytes(gzip.compress(b"other"))
    tools(available="false") if package == "absent" else tools(data=wrong)
    monkeypatch.setattr(fetch_fashion_mnist, "PUBLISHER_URLS", (f"{server}gone/", server))
    assert fetch_fashion_mnist.main([]) == 0
    assert complete(cache, contents) and os.listdir(cache.parent) == [cache.name]
    order = [line.split(" from ")[1] for line in capfd.readouterr().err.splitlines() if " from " in line]
    assert order == [f"Debian's package {PACKAGE}", f"{server}gone/", server]


def test_when_all_fails_one_sentence_has_each_reason(tools, server, cache, monkeypatch, capsys):
    tools(available="false")
    closed = "http://127.0.0.1:1/"
    urls = (f"{server}gone/", f"{server}portal/", closed)
    monkeypatch.setattr(fetch_fashion_mnist, "PUBLISHER_URLS", urls)
    assert fetch_fashion_mnist.main([]) == 1
    output = capsys.readouterr()
    said = output.err.splitlines()[-1]
    check_sentence(said)
    reasons = ("Unable to locate package", "HTTP Error 404", "labels-idx1-ubyte.gz is damaged", "refused")
    for part in (*urls, *reasons, "--data_dir", "install the Debian package"):
        assert part in said
    assert output.out == "" and "Traceback" not in output.err
    assert os.listdir(cache.parent) == []


def test_a_machine_without_apt_says_so(tools, cache, capsys):
    assert fetch_fashion_mnist.main([]) == 1  # nothing is on the PATH
    assert "apt-get did not start" in capsys.readouterr().err.splitlines()[-1]


def test_an_interrupted_fetch_leaves_nothing_behind(tools, server, cache, monkeypatch):
    read, calls = fashion_mnist.read_idx, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return read(*arguments)

    monkeypatch.setattr(fashion_mnist, "read_idx", interrupted)
    monkeypatch.setattr(fetch_fashion_mnist, "PUBLISHER_URLS", (server,))
    assert fetch_fashion_mnist.main([]) == 130
    assert os.listdir(cache.parent) == []


def test_damaged_and_missing_files_are_fetched_but_refused_in_debians_folder(
    tools, published, cache, contents, tmp_path, capsys
):
    log = tools()
    shutil.copytree(published, cache)
    (cache / IMAGES).write_bytes(b"damage")
    for given in ([], [f"--data_dir={tmp_path / 'given'}"]):
        assert fetch_fashion_mnist.main(given) == 0
    assert complete(cache, contents) and complete(tmp_path / "given", contents)
    system = shutil.copytree(published, tmp_path / "system")
    (system / IMAGES).write_bytes(b"damage")
    log.write_text("")
    assert fetch_fashion_mnist.main([]) == 1
    assert f"{system / IMAGES} is damaged" in capsys.readouterr().err and log.read_text() == ""


def test_a_folder_that_cannot_be_written_is_named(tools, tmp_path, capsys):
    tools()
    (tmp_path / "file").touch()
    assert fetch_fashion_mnist.main([f"--data_dir={tmp_path / 'file' / 'data'}"]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    check_sentence(said)
    assert str(tmp_path / "file" / "data") in said
