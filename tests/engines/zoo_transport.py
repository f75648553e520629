"""Servers as they are, second part: how answers travel, and fields of other shapes. See zoo.py."""

from __future__ import annotations

import email.utils
import gzip
import json
import time

from tests.engines.specimen import ENDS, FAILS, Specimen, always, error, fails, first, unless
from tests.engines.stub import Asked, Raw, Reply, chat_answer

EVENTS = (
    b'data: {"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
    b'data: {"model":"m","choices":[{"index":0,"delta":{"content":"Anna"}}]}\n\n'
    b'data: {"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"model":"m","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\ndata: [DONE]\n\n'
)
EVENT_STREAM = {"Content-Type": "text/event-stream"}
CALLS = {"tool_calls": [{"id": "c1", "type": "function", "function": {"name": "search", "arguments": "{}"}}]}


def streaming(words: str) -> Specimen:
    """A server that answers in events alone, and says so in these words."""

    def reply(asked: Asked) -> Reply:
        return (200, EVENTS, EVENT_STREAM) if asked.body.get("stream") else (400, error(words))

    return Specimen("DashScope, some models", f"400: {words}", "asks for events from then on", reply, "Anna", 2, 1)


def dated(asked: Asked) -> Reply:
    when = email.utils.formatdate(time.time() + 1, usegmt=True)
    return (200, chat_answer()) if asked.number else (429, error("Too many requests"), {"Retry-After": when})


def chunked(asked: Asked) -> Reply:
    data = json.dumps(chat_answer()).encode()
    pieces = [data[place : place + 40] for place in range(0, len(data), 40)]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    return Raw([*(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces), b"0\r\n\r\n"], head=head)


def compressed(asked: Asked) -> Reply:
    return 200, gzip.compress(json.dumps(chat_answer()).encode()), {"Content-Encoding": "gzip"}


def slow(asked: Asked) -> Reply:
    def pieces():
        time.sleep(0.3)
        yield json.dumps(chat_answer()).encode()

    return Raw(pieces(), {"Content-Type": "application/json"})


def cut(asked: Asked) -> Reply:
    data = json.dumps(chat_answer()).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data)
    return (200, data) if asked.number else Raw([data[:50]], head=head)


TRANSPORT = [
    streaming("This model only support stream mode, please enable the stream parameter to access the model."),
    streaming("Stream must be set to true for this model"),
    Specimen("OpenRouter", "events after lines of comments", "joins them", lambda asked: (
        200, b": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n" + EVENTS, EVENT_STREAM), "Anna", 1, 1),
    Specimen("Anthropic behind a gateway", "events with names", "joins them", lambda asked: (
        200, EVENTS.replace(b"data:", b"event: message\ndata:"), EVENT_STREAM), "Anna", 1, 1),
    Specimen("OpenRouter", "an error among events", "waits, and asks again", first(
        200, b'data: {"error":{"code":502,"message":"Provider disconnected"},"choices":[]}\n\n', EVENT_STREAM),
             "Anna", 2, 1),
    Specimen("DeepSeek under load", "empty lines before the answer", "takes the text", lambda asked: (
        200, b"\n\n\n\n" + json.dumps(chat_answer()).encode()), "Anna", 1, 1),
    Specimen("a proxy", "a byte order mark before the answer", "takes the text", lambda asked: (
        200, b"\xef\xbb\xbf" + json.dumps(chat_answer()).encode()), "Anna", 1, 1),
    Specimen("a proxy", "JSON as `text/plain`", "takes the text", lambda asked: (
        200, chat_answer(), {"Content-Type": "text/plain; charset=utf-8"}), "Anna", 1, 1),
    Specimen("a proxy", "chunks without a length", "takes the text", chunked, "Anna", 1, 1),
    Specimen("a proxy", "gzip, though it was not asked for", "takes the text", compressed, "Anna", 1, 1),
    Specimen("a proxy", "brotli, though it was not asked for", "asks once more; the same again: the request fails",
             lambda asked: (200, b"\x0b\x02\x80", {"Content-Encoding": "br"}), "RequestFailed", 2, 2, then=2,
             says="content-encoding"),
    Specimen("a proxy", "a first byte that comes late", "waits for it", slow, "Anna", 1, 1),
    Specimen("a proxy", "an answer that breaks off, once", "asks again; books the most that the first can have cost",
             cut, "Anna", 2, 2),
    Specimen("a balancer", "503 as a page", "asks again", first(
        503, b"<html><body>Service Unavailable</body></html>", {"Content-Type": "text/html"}), "Anna", 2, 1),
    Specimen("Cloudflare before a server", "403 as a page", ENDS, fails(
        403, b"<!DOCTYPE html><title>Just a moment...</title>"), "EngineError", 1, 0, then=0),
    Specimen("FastAPI", "307 to the same path with a slash", f"{ENDS}; the message says where to", lambda asked: (
        307, b"", {"Location": "/v1/chat/completions/"}), "EngineError", 1, 0, then=0, says="redirect to"),
    Specimen("FastAPI", "404 with `detail`: another path", ENDS, fails(404, {"detail": "Not Found"}),
             "ModelMissingError", 1, 0, then=0, says="check engine.model and engine.server.base_url"),
    Specimen("OpenAI", "429 with Retry-After as a date", "waits until then, and asks again", dated, "Anna", 2, 1),
    Specimen("Azure", "429 with `retry-after-ms`", "waits so long, and asks again", first(
        429, error("Requests have exceeded the rate limit", code="429"), {"retry-after-ms": "40"}), "Anna", 2, 1),
    Specimen("Anthropic behind a gateway", "529: overloaded", "asks again", first(
        529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}), "Anna", 2, 1),
    Specimen("Hugging Face", "503 with `estimated_time`", "asks again", first(
        503, {"error": "Model m is currently loading", "estimated_time": 20.0}), "Anna", 2, 1),
    Specimen("a gateway", "200 with an error that is a string", "waits, and asks again", first(
        200, {"error": "model is overloaded, try again"}), "Anna", 2, 1),
    Specimen("a gateway", "`error: null` beside a good answer", "takes the text", always(error=None), "Anna", 1, 1),
    Specimen("a gateway", "`choices: []` with usage", "asks once more; the same again: the request fails", fails(
        200, {"id": "x", "model": "m", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 0}}),
             "RequestFailed", 2, 2, then=2, says="no choices"),
    Specimen("any server with tools", "null content beside `tool_calls`",
             "asks once more; the same again: the request fails", always(
        None, message=CALLS, choice={"finish_reason": "tool_calls"}), "RequestFailed", 2, 2, then=2, says="tool_calls"),
    Specimen("vLLM with a reasoning parser", "thinking in `reasoning_content`, no text, finish `stop`",
             "asks once more; the same again: the request fails", always(
        None, message={"reasoning_content": "Ben?"}), "RequestFailed", 2, 2, then=2, says="empty"),
    Specimen("vLLM", "thinking in `reasoning` and a text", "takes the text", always(message={"reasoning": "Ben?"}),
             "Anna", 1, 1),
    Specimen("Gemini", "finish `MAX_TOKENS` in capitals", "takes the text as one that was cut", always(
        choice={"finish_reason": "MAX_TOKENS"}), "Anna", 1, 1),
    Specimen("Cohere", "finish `COMPLETE`", "takes the text", always(choice={"finish_reason": "COMPLETE"}),
             "Anna", 1, 1),
    Specimen("an old completions server", "`text` in place of a message", "takes the text", lambda asked: (
        200, {"model": "m", "choices": [{"index": 0, "text": "Anna", "finish_reason": "stop"}]}), "Anna", 1, 1),
    Specimen("a gateway", "counts of tokens as strings", "takes the text, and counts", always(
        usage={"prompt_tokens": "5", "completion_tokens": "2"}), "Anna", 1, 1),
    Specimen("SambaNova", "400: `stop` may have four members at most", "leaves it out, and cuts here", unless(
        lambda body: "stop" not in body, 400, error("stop sequences: at most 4 items are allowed", param="stop")),
             "Anna", 2, 1, ask={"stop": ("##", "@@", "%%", "&&", "~~")}),
    Specimen("Anthropic behind a gateway", "400: temperature above 1", f"{FAILS}; the message names the param", fails(
        400, error("temperature: range: 0..1. Input should be less than or equal to 1")), "RequestFailed", 1, 0,
             ask={"temperature": 1.5}, says="lower agent's or evaluate.temperatures"),
]  # fmt: skip
