"""Servers as they are: what each was seen to answer, as a stub, with what the engine does and what it pays.

The shapes follow public bug reports and the servers' own documents; the words are ours. docs/serving.md has this table.
"""

from __future__ import annotations

from tests.engines.specimen import ENDS, FAILS, GREEDY, Specimen, always, copies, error, fails, first, seeded, unless
from tests.engines.stub import chat_answer
from tests.engines.zoo_transport import TRANSPORT

OPENAI = [
    Specimen(
        "OpenAI",
        "for `gpt-4o` as `gpt-4o-2024-08-06`",
        "holds the server to that name",
        always(model="gpt-4o-2024-08-06"),
        "Anna",
        1,
        1,
        model="gpt-4o",
    ),
    Specimen(
        "OpenAI o-series, GPT-5",
        "400: `max_tokens` is not supported, use `max_completion_tokens`",
        "renames it",
        unless(
            lambda body: "max_tokens" not in body,
            400,
            error(
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
                "instead.",
                param="max_tokens",
                code="unsupported_parameter",
            ),
        ),
        "Anna",
        2,
        1,
    ),
    Specimen(
        "OpenAI o-series, GPT-5",
        "400: `temperature` supports only the default",
        "leaves it out, and warns",
        unless(
            lambda body: "temperature" not in body,
            400,
            error(
                "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is "
                "supported.",
                param="temperature",
                code="unsupported_value",
            ),
        ),
        "Anna",
        2,
        1,
        ask={"temperature": 0.2},
    ),
    Specimen(
        "OpenAI o1-mini",
        "400: no role `system`",
        "puts the system's words before the user's",
        unless(
            lambda body: body["messages"][0]["role"] != "system",
            400,
            error(
                "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
                param="messages[0].role",
                code="unsupported_value",
            ),
        ),
        "Anna",
        2,
        1,
        ask={"system": "be brief"},
    ),
    Specimen(
        "OpenAI reasoning models",
        "no text, finish `length`: thinking used up the tokens",
        f"{FAILS}; the message names the param to raise",
        always(
            "",
            choice={"finish_reason": "length"},
            usage={"prompt_tokens": 5, "completion_tokens": 20, "completion_tokens_details": {"reasoning_tokens": 20}},
        ),
        "RequestFailed",
        1,
        1,
        says="raise engine.max_new_tokens",
    ),
    Specimen(
        "OpenAI",
        "a refusal in place of a text",
        FAILS,
        always(None, message={"refusal": "I cannot."}),
        "RequestFailed",
        1,
        1,
        says="withheld the text (I cannot.)",
    ),
    Specimen(
        "OpenAI",
        "400: the prompt exceeds the context",
        FAILS,
        fails(
            400,
            error(
                "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens. "
                "Please reduce the length of the messages.",
                param="messages",
                code="context_length_exceeded",
            ),
        ),
        "RequestFailed",
        1,
        0,
        says="too long for the model",
    ),
    Specimen(
        "OpenAI",
        "400: the model writes fewer tokens than `max_tokens`",
        f"{ENDS}; the message names the param",
        fails(
            400,
            error(
                "max_tokens is too large: 20. This model supports at most 16 completion tokens, whereas "
                "you provided 20.",
                param="max_tokens",
                code="invalid_value",
            ),
        ),
        "EngineError",
        1,
        0,
        then=0,
        says="lower engine.max_new_tokens",
    ),
    Specimen(
        "OpenAI",
        "429 with `insufficient_quota`",
        ENDS,
        fails(
            429,
            error(
                "You exceeded your current quota, please check your plan and billing details.",
                code="insufficient_quota",
            ),
        ),
        "EngineError",
        1,
        0,
        then=0,
        says="see to the account",
    ),
    Specimen(
        "OpenAI",
        "429 with a time in words",
        "waits so long, and asks again",
        first(429, error("Rate limit reached. Please try again in 40ms.", code="rate_limit_exceeded")),
        "Anna",
        2,
        1,
    ),
]
CLOUDS = [
    Specimen(
        "Azure",
        "for a deployment under its model's name",
        f"{ENDS}; the message has the line for `engine.server.aliases`",
        always(model="gpt-4o-2024-08-06"),
        "EngineError",
        1,
        1,
        then=0,
        model="my-own",
        says='engine.server.aliases: {"my-own": "gpt-4o-2024-08-06"}',
    ),
    Specimen(
        "Azure",
        "the same, where `aliases` names it",
        "takes the text",
        always(model="gpt-4o-2024-08-06"),
        "Anna",
        1,
        1,
        model="my-own",
        aliases={"my-own": "gpt-4o"},
    ),
    Specimen(
        "Azure",
        "400 with `content_filter`",
        FAILS,
        fails(
            400,
            error(
                "The response was filtered due to the prompt triggering the content management policy.",
                code="content_filter",
                innererror={"code": "ResponsibleAIPolicyViolation"},
            ),
        ),
        "RequestFailed",
        1,
        0,
        says="withheld",
    ),
    Specimen(
        "Azure",
        "finish `content_filter`",
        FAILS,
        always("", choice={"finish_reason": "content_filter"}),
        "RequestFailed",
        1,
        1,
        says="withheld",
    ),
    Specimen(
        "Gemini",
        "lists models as `models/…`",
        "takes it for the asked one",
        always(model="gemini-2.0-flash-001"),
        "Anna",
        1,
        1,
        model="gemini-2.0-flash",
        models=(200, {"data": [{"id": "models/gemini-2.0-flash"}]}),
    ),
    Specimen(
        "Gemini",
        "400: the key is not valid, in a list",
        ENDS,
        fails(
            400,
            [
                {
                    "error": {
                        "code": 400,
                        "message": "API key not valid. Please pass a valid API key.",
                        "status": "INVALID_ARGUMENT",
                    }
                }
            ],
        ),
        "EngineError",
        1,
        0,
        then=0,
        says="give a valid one",
    ),
    Specimen(
        "Anthropic behind a gateway",
        "finish `end_turn`, and counts `input_tokens`",
        "takes text and counts",
        always(choice={"finish_reason": "end_turn"}, usage={"input_tokens": 5, "output_tokens": 2}),
        "Anna",
        1,
        1,
    ),
    Specimen(
        "Anthropic behind a gateway",
        "400: the credit balance is too low",
        ENDS,
        fails(400, error("Your credit balance is too low to access the API. Please go to Plans & Billing.")),
        "EngineError",
        1,
        0,
        then=0,
        says="see to the account",
    ),
    Specimen(
        "Anthropic behind a gateway",
        "for `claude-3-5-sonnet-latest` with its date",
        "holds the server to it",
        always(model="claude-3-5-sonnet-20241022"),
        "Anna",
        1,
        1,
        model="claude-3-5-sonnet-latest",
    ),
    Specimen(
        "DashScope",
        "400 with `data_inspection_failed`",
        FAILS,
        fails(400, error("Input data may contain inappropriate content.", code="data_inspection_failed")),
        "RequestFailed",
        1,
        0,
        says="withheld",
    ),
    Specimen(
        "Zhipu",
        "finish `sensitive`",
        FAILS,
        always("", choice={"finish_reason": "sensitive"}),
        "RequestFailed",
        1,
        1,
        says="withheld",
    ),
    Specimen(
        "MiniMax",
        "200 with `insufficient balance` in `base_resp`",
        ENDS,
        fails(200, {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}),
        "EngineError",
        1,
        0,
        then=0,
        says="see to the account",
    ),
    Specimen(
        "DeepSeek",
        "402",
        ENDS,
        fails(402, error("Insufficient Balance")),
        "EngineError",
        1,
        0,
        then=0,
        says="see to the account",
    ),
    Specimen(
        "DeepSeek",
        "thinking beside the text",
        "takes the text",
        always(message={"reasoning_content": "Ben?"}),
        "Anna",
        1,
        1,
    ),
    Specimen(
        "DeepSeek",
        "finish `insufficient_system_resource`",
        "asks once more; the same again: the request fails",
        always("An", choice={"finish_reason": "insufficient_system_resource"}),
        "RequestFailed",
        2,
        2,
        then=2,
        says="not finished",
    ),
    Specimen(
        "Mistral",
        "422: `seed` is forbidden",
        "leaves it out",
        unless(
            lambda body: "seed" not in body,
            422,
            {
                "detail": [
                    {
                        "type": "extra_forbidden",
                        "loc": ["body", "seed"],
                        "msg": "Extra inputs are not permitted",
                        "input": 7,
                    }
                ]
            },
        ),
        "Anna",
        2,
        1,
    ),
    Specimen(
        "Mistral",
        "content in parts, thinking among them",
        "takes the parts that are text",
        always(
            [{"type": "thinking", "thinking": [{"type": "text", "text": "Ben?"}]}, {"type": "text", "text": "Anna"}]
        ),
        "Anna",
        1,
        1,
    ),
    Specimen(
        "Mistral",
        "finish `model_length`, for `-latest` as `-2411`",
        "takes the text as one that was cut",
        always(choice={"finish_reason": "model_length"}, model="mistral-large-2411"),
        "Anna",
        1,
        1,
        model="mistral-large-latest",
    ),
    Specimen(
        "Groq",
        "400: `n` must be at most 1",
        "asks draw by draw",
        unless(lambda body: body.get("n", 1) == 1, 400, error("'n' : number must be at most 1")),
        "Anna",
        4,
        3,
        then=3,
        ask={"n": 3},
    ),
    Specimen(
        "Groq",
        "429 with Retry-After",
        "waits so long, and asks again",
        first(429, error("Rate limit reached", code="rate_limit_exceeded"), {"Retry-After": "0.05"}),
        "Anna",
        2,
        1,
    ),
    Specimen(
        "Anyscale",
        "400: no support for n>1",
        "asks draw by draw",
        unless(lambda body: "n" not in body, 400, error("Validation failed: The current system does not support n>1")),
        "Anna",
        3,
        2,
        then=2,
        ask={"n": 2},
    ),
    Specimen(
        "Perplexity",
        "400: `stop` is not supported",
        "leaves it out, and cuts here",
        lambda asked: (
            (400, error("'stop' is not supported for this model"))
            if "stop" in asked.body
            else (200, chat_answer("Anna## Ben"))
        ),
        "Anna",
        2,
        1,
        ask={"stop": ("##",)},
    ),
    Specimen(
        "Together",
        "a plain list of models; finish `eos`",
        "takes the text",
        always(choice={"finish_reason": "eos"}),
        "Anna",
        1,
        1,
        models=(200, [{"id": "m", "object": "model"}]),
    ),
    Specimen(
        "Fireworks",
        "for `accounts/…/models/m` as `m`",
        "takes it for the asked one",
        always(model="m"),
        "Anna",
        1,
        1,
        model="accounts/fireworks/models/m",
    ),
]
ROUTERS = [
    Specimen(
        "OpenRouter",
        "200 with an error 429 inside",
        "waits, and asks again",
        first(200, {"error": {"message": "Provider returned error", "code": 429, "metadata": {"raw": "rate-limited"}}}),
        "Anna",
        2,
        1,
    ),
    Specimen(
        "OpenRouter",
        "200 with an error 402 inside",
        ENDS,
        fails(200, {"error": {"message": "Insufficient credits", "code": 402}}),
        "EngineError",
        1,
        0,
        then=0,
        says="see to the account",
    ),
    Specimen(
        "OpenRouter",
        "403: moderation",
        FAILS,
        fails(
            403,
            error(
                "Your chosen model requires moderation and your input was flagged",
                code=403,
                metadata={"reasons": ["violence"], "flagged_input": "…"},
            ),
        ),
        "RequestFailed",
        1,
        0,
        says="withheld",
    ),
    Specimen(
        "OpenRouter",
        "an error 502 in a choice, once",
        "asks again",
        first(
            200,
            chat_answer(
                "An", choice={"finish_reason": "error", "error": {"code": 502, "message": "Network connection lost"}}
            ),
        ),
        "Anna",
        2,
        2,
    ),
    Specimen(
        "OpenRouter",
        "400: no valid model",
        ENDS,
        fails(400, error("m is not a valid model ID", code=400)),
        "ModelMissingError",
        1,
        0,
        then=0,
        says="check engine.model",
    ),
    Specimen(
        "9router",
        "200 with no choices and no word why",
        "asks once more; the same again: the request fails",
        fails(200, {"id": None, "choices": None}),
        "RequestFailed",
        2,
        2,
        then=2,
        says="no choices",
    ),
    Specimen(
        "LiteLLM",
        "400: `seed` is no parameter of the model",
        "leaves it out",
        unless(
            lambda body: "seed" not in body,
            400,
            error(
                "litellm.UnsupportedParamsError: provider does not support parameters: ['seed']", param=None, code="400"
            ),
        ),
        "Anna",
        2,
        1,
    ),
    Specimen(
        "a gateway",
        'finish null, model ""',
        "takes the text",
        always(choice={"finish_reason": None}, model=""),
        "Anna",
        1,
        1,
    ),
    Specimen(
        "a gateway",
        "events, though no stream was asked for",
        "joins them",
        lambda asked: (
            200,
            b'data: {"model":"m","choices":[{"index":0,"delta":{"content":"An"}}]}\n\n'
            b'data: {"model":"m","choices":[{"index":0,"delta":{"content":"na"},"finish_reason":"stop"}]}\n\n'
            b'data: {"model":"m","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\ndata: [DONE]\n\n',
            {"Content-Type": "text/event-stream"},
        ),
        "Anna",
        1,
        1,
    ),
    Specimen(
        "Cloudflare before a server",
        "524 as a page, once",
        "asks again",
        first(524, b"<!DOCTYPE html><title>A timeout occurred</title>", {"Content-Type": "text/html"}),
        "Anna",
        2,
        1,
    ),
    Specimen(
        "Open WebUI, a login page",
        "200 with a page",
        ENDS,
        fails(200, b"<!doctype html><p>Log in"),
        "EngineError",
        1,
        0,
        then=0,
        says="web page",
    ),
    Specimen(
        "nginx",
        "301 to https",
        f"{ENDS}: a key goes to no other place",
        lambda asked: (301, b"<html>moved</html>", {"Location": "https://127.0.0.1/v1/chat/completions"}),
        "EngineError",
        1,
        0,
        then=0,
        says="redirect to",
    ),
]
LOCAL = [
    Specimen("vLLM", "draw i with the seed plus i", "asks for all draws at once, after two trial requests", seeded,
             "Anna", 3, 3, then=1, ask={"n": 3}),
    Specimen("vLLM", "400: the template has no system role", "puts the system's words before the user's", unless(
        lambda body: body["messages"][0]["role"] != "system", 400,
        {"object": "error", "message": "System role not supported", "type": "BadRequestError", "param": None,
         "code": 400}), "Anna", 2, 1, ask={"system": "be brief"}),
    Specimen("vLLM", "400: `max_tokens` is too large beside the prompt", FAILS, fails(400, {
        "object": "error", "message": "'max_tokens' or 'max_completion_tokens' is too large: 20. This model's maximum "
        "context length is 64 tokens and your request has 60 input tokens.", "param": "max_tokens", "code": 400}),
             "RequestFailed", 1, 0, says="too long for the model"),
    Specimen("vLLM without a reasoning parser", "`<think>` in the text", "takes what follows it", always(
        "<think>\nBen? No.\n</think>\n\nAnna"), "Anna", 1, 1),
    Specimen("R1 templates", "`</think>` whose beginning is in the prompt", "takes what follows it", always(
        "Ben? No.\n</think>\n\nAnna"), "Anna", 1, 1),
    Specimen("TGI", "finish `eos_token`; no list of models", "takes the text", always(
        choice={"finish_reason": "eos_token"}), "Anna", 1, 1, models=(404, b"")),
    Specimen("TGI", "422: temperature 0 is refused", "asks greedy texts at 0.01", unless(
        lambda body: body["temperature"] > 0, 422,
        {"error": "Input validation error: `temperature` must be strictly positive", "error_type": "validation"}),
             "Anna", 2, 1, ask=GREEDY),
    Specimen("TGI", "422: prompt and `max_new_tokens` exceed the context", FAILS, fails(422, {
        "error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` "
        "tokens", "error_type": "validation"}), "RequestFailed", 1, 0, says="too long"),
    Specimen("Ollama", "lists `m:latest`; ignores `n`", "asks draw by draw, after two trial requests at most",
             lambda asked: (200, chat_answer(f"Anna {asked.body['seed']}")), "Anna", 4, 4, then=3, ask={"n": 3},
             models=(200, {"object": "list", "data": [{"id": "m:latest"}]})),
    Specimen("Ollama", "404: try pulling the model", ENDS, fails(404, error("model 'm' not found, try pulling it")),
             "ModelMissingError", 1, 0, then=0, says="check engine.model"),
    Specimen("llama.cpp", "503 while the model is loading", "asks again", first(
        503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}), "Anna", 2, 1),
    Specimen("llama.cpp", "as `/models/m.gguf`", "takes it for the asked one", always(model="/models/m.gguf"),
             "Anna", 1, 1, models=(200, {"models": [{"name": "/models/m.gguf"}]})),
    Specimen("LM Studio", "with whichever model is loaded", ENDS, always(model="qwen2.5-7b-instruct"), "EngineError",
             1, 1, then=0, says="'m' was asked"),
    Specimen("Triton", "no usage", "takes the text, and books the most that it can have cost", always(usage=None),
             "Anna", 1, 1),
    Specimen("Triton", "400: n other than 1 is not supported", "asks draw by draw", unless(
        lambda body: "n" not in body, 400, {"detail": "Received n=2, but only single choice (n=1) is currently "
                                            "supported"}), "Anna", 3, 2, then=2, ask={"n": 2}),
    Specimen("a cache before a server", "n times the same text", "notices, and asks draw by draw", copies, "Anna", 4, 4,
             then=3, ask={"n": 3}),
]  # fmt: skip
ZOO = [*OPENAI, *CLOUDS, *ROUTERS, *LOCAL, *TRANSPORT]


def table() -> str:
    """The zoo as a Markdown table."""
    rows = ["| server | answers | the engine | sent, paid | next |", "|---|---|---|---|---|"]
    rows += [f"| {s.server} | {s.answers} | {s.does} | {s.sent}, {s.paid} | {s.then} |" for s in ZOO]
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())
