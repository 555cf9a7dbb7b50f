"""A model that calls tools from a script, behind the HTTP APIs of Gemini and OpenAI."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DONE = "That is all."


class FakeModel:
    """Answers each request with the next call of the script, and then with a text.

    `requests` are the bodies of what the SDK has sent.
    """

    def __init__(self, script):
        self.script = script
        self.requests = []
        self.url = None

    def answer(self, path, body):
        number = len(self.requests)
        self.requests.append(body)
        call = self.script[number] if number < len(self.script) else None
        if path.endswith(":generateContent"):
            return gemini(call)
        if path.endswith("/chat/completions"):
            return chat_completion(call, number)
        if path.endswith("/responses"):
            return response(call, number)
        raise ValueError(f"unknown path {path}")


def gemini(call):
    part = {"functionCall": {"name": call[0], "args": call[1]}} if call else {"text": DONE}
    return {"candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}]}


def chat_completion(call, number):
    message = {"role": "assistant", "content": None if call else DONE}
    if call:
        function = {"name": call[0], "arguments": json.dumps(call[1])}
        message["tool_calls"] = [{"id": f"call_{number}", "type": "function", "function": function}]
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if call else "stop"}
    return {"id": f"c{number}", "object": "chat.completion", "created": 0, "model": "fake", "choices": [choice]}


def response(call, number):
    if call:
        item = {"type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}"}
        item |= {"name": call[0], "arguments": json.dumps(call[1]), "status": "completed"}
    else:
        content = [{"type": "output_text", "text": DONE, "annotations": []}]
        item = {"type": "message", "id": f"m{number}", "role": "assistant", "status": "completed", "content": content}
    about = {"id": f"r{number}", "object": "response", "created_at": 0, "model": "fake", "status": "completed"}
    return about | {"output": [item], "parallel_tool_calls": False, "tool_choice": "auto", "tools": []}


@contextmanager
def serving(model):
    """Serves a model on a port of its own; sets its `url`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = json.dumps(model.answer(self.path.partition("?")[0], body)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    model.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield model
    finally:
        server.shutdown()
        server.server_close()
