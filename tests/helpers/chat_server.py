"""A small server on this machine that answers like an OpenAI-compatible one."""

import contextlib
import http.server
import json
import threading

ANSWER = "clay pot, slow stew, winter evening"
FILTERED = (
    400,
    {
        "error": {
            "message": "The response was filtered\x1b[2J due to the prompt",
            "code": "content_filter",
        }
    },
)


def message(content, finish="stop", **more):
    """The body of an answer."""
    said = {"role": "assistant", "content": content, **more}
    return {"choices": [{"index": 0, "finish_reason": finish, "message": said}]}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as `server.rule(number of the request, prompt)` says: (status, reply or whole body).

    The rule may take its time.
    """

    def log_message(*_):
        return None

    def do_GET(self):
        listed = {"object": "list", "data": [{"id": model} for model in self.server.models or ()]}
        self.answer(200, self.server.models and listed)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.keys.append(self.headers["Authorization"])
        self.server.asked.append(body)
        status, reply = self.server.rule(len(self.server.asked), body["messages"][-1]["content"])
        said = {"role": "assistant", "content": reply}
        self.answer(status, reply if isinstance(reply, dict) else {"choices": [{"message": said}]})

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("retry-after-ms", "1")  # no need to wait long in a test
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


@contextlib.contextmanager
def chat_server():
    """A running server, which answers with the prompt in capitals until its `rule` is changed.

    url: its address.  models: the ids it lists.  asked: the bodies of the requests so far.  keys:
    their Authorization headers.  over: set at the end, for rules that wait.
    """
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.handle_error = lambda *_: None  # a client that hangs up is what we test
        server.url = f"http://127.0.0.1:{server.server_port}/v1"
        server.models = ["toy"]
        server.asked = []
        server.keys = []
        server.over = threading.Event()
        server.rule = lambda number, prompt: (200, prompt.upper())
        server.prompts = lambda: [body["messages"][-1]["content"] for body in server.asked]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()


def replies_of(llm, prompts):
    """The replies in the order of the prompts."""
    found = {
        position: reply
        for positions, replies in llm.generate_batches(prompts)
        for position, reply in zip(positions, replies)
    }
    return [found[position] for position in range(len(prompts))]
