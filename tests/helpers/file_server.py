"""A real web server for the download tests: it serves a folder and misbehaves on request."""

import contextlib
import hashlib
import http.server
import pathlib
import re
import threading


class FileServer(http.server.ThreadingHTTPServer):
    """Serves a folder, with ranges and ETags unless told otherwise.

    troubles: taken one by one, one a GET request: ("status", code, headers), ("redirect", address),
    ("break", bytes after which the line is cut), or None.
    """

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = pathlib.Path(folder)
        self.troubles = []
        self.asked = []  # (method, path, Range) of every request
        self.conditions = []  # If-Range of every request
        self.sends_etag = self.ranges = self.heeds_conditions = True

    def handle_error(self, *_):
        pass  # a client that hangs up early is what we test

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):  # quiet
        pass

    def do_HEAD(self):
        self.do_GET(body=False)

    def do_GET(self, body=True):
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append((self.command, self.path, wanted))
        server.conditions.append(self.headers.get("If-Range"))
        trouble = server.troubles.pop(0) if body and server.troubles else None
        if trouble and trouble[0] == "status":
            return self.answer(trouble[1], trouble[2])
        if trouble and trouble[0] == "redirect":
            return self.answer(302, {"Location": trouble[1]})
        path = server.folder / self.path.lstrip("/")
        if not path.is_file():
            return self.answer(404, {})
        content = path.read_bytes()
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        headers = {"ETag": etag} if server.sends_etag else {}
        kinds = {".png": "image/png", ".jpg": "image/jpeg", ".html": "text/html"}
        headers["Content-Type"] = kinds.get(path.suffix, "application/octet-stream")
        start, status = 0, 200
        if (
            wanted
            and server.ranges
            and (not server.heeds_conditions or self.headers.get("If-Range", etag) == etag)
        ):
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            if start >= len(content):
                return self.answer(416, {**headers, "Content-Range": f"bytes */{len(content)}"})
            status = 206
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content) - start)}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content[start : start + trouble[1]] if trouble else content[start:])
            if trouble:
                self.wfile.flush()
                self.connection.close()
        return None

    def answer(self, status, headers):
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()


@contextlib.contextmanager
def serving(folder):
    """A server for the folder, in a thread of its own; stopped at the end."""
    server = FileServer(folder)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
