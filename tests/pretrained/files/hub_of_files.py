"""A server that answers as the hub does: files by repository and revision, and the errors of its documentation."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves `files`, contents by "owner/name/file"; `asked` lists what was asked for, "HEAD file" or "GET file".

    A repository whose name ends in "gated" is gated; there is the revision "main", and "v1" with the same files. What
    `cut` names breaks off in the middle, and while `busy` is set everything is answered by "503 Service Unavailable".
    """

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]):
        super().__init__(("127.0.0.1", 0), _Answers)
        self.files = files
        self.asked: list[str] = []
        self.cut: set[str] = set()
        self.busy = False
        self.endpoint = f"http://127.0.0.1:{self.server_port}"
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Answers(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        try:
            owner, name, _, revision, file = self.path.lstrip("/").split("/", 4)
        except ValueError:
            # The library asks for other things than files as well, such as who its users are.
            return self._refuse(404, "")
        repository = f"{owner}/{name}"
        self.server.asked.append(f"{self.command} {file}")
        content = self.server.files.get(f"{repository}/{file}")
        if self.server.busy:
            self._refuse(503, "")
        elif name.endswith("gated"):
            self._refuse(403, "GatedRepo")
        elif not any(known.startswith(f"{repository}/") for known in self.server.files):
            self._refuse(401, "RepoNotFound")
        elif revision not in ("main", "v1", COMMIT):
            self._refuse(404, "RevisionNotFound")
        elif content is None:
            self._refuse(404, "EntryNotFound")
        else:
            self._send(file, content)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, file: str, content: bytes) -> None:
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[: len(content) // 2] if file in self.server.cut else content)
