"""A small server on this machine that answers like an OpenAI-compatible one."""

import contextlib
import http.server
import json
import threading

FILTERED = (
    400,
    {
        "error": {
            "message": "The response was filtered\x1b[2J due to the prompt",
            "code": "content_filter",
        }
    },
)


def message(content, finish="stop"):
    """The body of an answer."""
    choice = {"index": 0, "finish_reason": finish}
    return {"choices": [{**choice, "message": {"role": "assistant", "content": content}}]}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as `server.rule(number of the request, prompt)` says: (status, reply or body)."""

    def log_message(*_):
        return None

    def do_GET(self):
        self.answer(200, {"object": "list", "data": [{"id": "toy"}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        status, reply = self.server.rule(len(self.server.asked), body["messages"][-1]["content"])
        self.answer(status, reply if isinstance(reply, dict) else message(reply))

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("retry-after-ms", "1")  # no need to wait long in a test
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


@contextlib.contextmanager
def chat_server():
    """A running server with `url`, `rule` and `asked`, the bodies of the requests so far."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.handle_error = lambda *_: None  # a client that hangs up is what we test
        server.url = f"http://127.0.0.1:{server.server_port}/v1"
        server.asked = []
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()
