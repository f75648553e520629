"""The process that renders chat templates: `python -I -S template_worker.py BOUNDS`, with JSON lines in and out.

A template from elsewhere may loop for ever or fill the memory, in code that no exception reaches. So the kernel ends
this process when one rendering takes too long or too much; whoever asked sees the pipe close. The environment is that
of transformers' apply_chat_template: the same sandbox, filters and functions. Imports nothing of the project.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from datetime import datetime
from typing import Any


def environment() -> Any:
    """Return jinja as transformers sets it up for chat templates."""
    import jinja2
    from jinja2 import nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class GenerationTag(Extension):
        """{% generation %} marks what the assistant said; nothing is done with that here."""

        tags = {"generation"}

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
            return nodes.CallBlock(self.call_method("_through"), [], [], body).set_lineno(line)

        def _through(self, caller: Any) -> str:
            return caller()

    class Dict:
        """dict(…) without the class itself."""

        def __call__(self, *words: Any, **named: Any) -> dict[Any, Any]:
            return dict(*words, **named)

        def fromkeys(self, *words: Any) -> dict[Any, Any]:
            return dict.fromkeys(*words)

    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, loopcontrols], cache_size=16
    )
    made.filters["tojson"] = _tojson
    made.globals.update(raise_exception=_refuse, strftime_now=lambda text: datetime.now().strftime(text), dict=Dict())
    made.globals["namespace"] = _namespace(jinja2)
    return made


def _tojson(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _refuse(message: str) -> None:
    import jinja2

    raise jinja2.exceptions.TemplateError(message)


def _namespace(jinja2: Any) -> Any:
    class Namespace(jinja2.utils.Namespace):
        """One that takes no names with an underscore before them."""

        def __setitem__(self, name: str, value: Any) -> None:
            if isinstance(name, str) and name.startswith("_"):
                raise jinja2.exceptions.SecurityError(f"no name may begin with an underscore: {name!r}")
            super().__setitem__(name, value)

    return Namespace


def answer(question: dict[str, Any], templates: dict[str, Any], made: Any, seconds: float, largest: int) -> Any:
    """Return {"texts": […]} or {"error": why}. Ends the process when a chat takes more than `seconds` of CPU."""
    try:
        texts, variables = [], json.loads(question["variables"])
        for chat in question["chats"]:
            signal.setitimer(signal.ITIMER_PROF, seconds)  # unhandled, SIGPROF ends the process, whatever it is doing
            if question["template"] not in templates:
                templates.clear()
                templates[question["template"]] = made.from_string(question["template"])
            seen = {"messages": chat, "tools": None, "documents": None, "add_generation_prompt": True}
            texts.append(templates[question["template"]].render(**{**variables, **seen}))
            if len(texts[-1]) > largest + 2 * sum(len(turn["content"]) for turn in chat):
                return {"error": f"the text has {len(texts[-1])} characters"}
    except MemoryError:
        return None
    except Exception as error:  # templates raise whatever they like
        lines = str(error).strip().splitlines() or [""]
        return {"error": f"{type(error).__name__}: {lines[0][:300]}"}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return {"texts": texts}


def main() -> None:
    places, (seconds, megabytes, largest) = json.loads(sys.argv[1])
    sys.path[:0] = places
    made, templates = environment(), {}
    for kind, bound in (
        (resource.RLIMIT_AS, int(megabytes) << 20),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (bound, bound))
    for line in sys.stdin.buffer:
        said = answer(json.loads(line), templates, made, seconds, largest)
        if said is None:
            return  # too much memory: as if the kernel had ended it
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
