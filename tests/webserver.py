"""A small server of files for tests of downloads: ranges, tags, cuts, and listings of a bucket."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


class FileServer:
    """Serves ``files``; tests change them, and how it behaves, as they go.

    Attributes
    ----------
    files : dict of str to bytes
        By path, without the first "/".
    cut : dict of str to int
        Path to bytes after which the connection breaks off.
    cuts : int
        How often it does.
    asked : list of (str, str)
        Path and range of each request.
    tags, status : whether files have ETags; an answer for all but listings
    page : int
        Keys of a page of a bucket's listing.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut: dict[str, int] = {}
        self.cuts = 0
        self.asked: list[tuple[str, str]] = []
        self.tags, self.status, self.page = True, 200, 1000
        self.url = ""

    def sums(self, folder: str) -> None:
        """Write the folder's SHA256SUMS.txt."""
        lines = [f"{hashlib.sha256(v).hexdigest()} {k.removeprefix(f'{folder}/')}"
                 for k, v in self.files.items()
                 if k.startswith(f"{folder}/") and not k.endswith("SHA256SUMS.txt")]
        self.files[f"{folder}/SHA256SUMS.txt"] = "\n".join(lines).encode()

    def listing(self, bucket: str, prefix: str, after: str) -> bytes:
        """A page of the keys of a bucket, as S3 gives it."""
        keys = sorted(k.removeprefix(f"{bucket}/") for k in self.files)
        keys = [k for k in keys if k.startswith(prefix) and k > after]
        shown, more = keys[: self.page], len(keys) > self.page
        items = "".join(f"<Contents><Key>{k}</Key><Size>{len(self.files[f'{bucket}/{k}'])}</Size>"
                        "</Contents>" for k in shown)
        token = f"<NextContinuationToken>{shown[-1]}</NextContinuationToken>" if more else ""
        return ('<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
                f"{items}{token}</ListBucketResult>").encode()


def _handler(server: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            path = unquote(parts.path).strip("/")
            query = parse_qs(parts.query, keep_blank_values=True)
            wanted = self.headers.get("Range", "")
            server.asked.append((path, wanted))
            if "list-type" in query:
                after = query.get("continuation-token", [""])[0]
                return self.send(200, server.listing(path, query["prefix"][0], after), {})
            status = server.status if not path.endswith("SHA256SUMS.txt") else 200
            if path not in server.files or status != 200:
                return self.send(status if status != 200 else 404, b"no", {})
            content = server.files[path]
            tag = f'"{hashlib.md5(content).hexdigest()}"'
            headers = {"ETag": tag} if server.tags else {}
            begin = 0
            if wanted and self.headers.get("If-Range") in (None, tag):
                begin = int(wanted.removeprefix("bytes=").rstrip("-"))
                if begin >= len(content):
                    return self.send(416, b"", {"Content-Range": f"bytes */{len(content)}"})
                headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
            return self.send(206 if begin else 200, content[begin:], headers, path)

        def send(self, status: int, content: bytes, headers: dict[str, str], path="") -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if path in server.cut and server.cuts > 0:
                server.cuts -= 1
                self.wfile.write(content[: server.cut[path]])
                self.close_connection = True
                return
            self.wfile.write(content)

    return Handler


@contextlib.contextmanager
def serving() -> Iterator[FileServer]:
    """A server on a free port of this machine."""
    server = FileServer()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(server)) as http:
        server.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
