"""Settings laid over settings, as data and in the text of a YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from parammem.overlays import laid_over, written_over

TEXT = """\
# The first line.
domains: [code, math]

tasks:                      # why
  world: 11                 # a number
  name: 'off'
  deep: {a: 1, b: {c: 2}}
  # a comment between
  many:
  - one: 1
  - two: 2   # inside

engine:
  server: null              # for a server
last: 1
"""
BASE = yaml.safe_load(TEXT)
CASES = {
    "a number": {"tasks": {"world": 3}},
    "a list": {"domains": ["qa"]},
    "null": {"tasks": {"world": None}},
    "a block for null": {"engine": {"server": {"url": "http://x", "keys": {"a": "off"}}}},
    "a block for a block": {"tasks": {"many": [{"three": {"x": [1]}}]}},
    "a value for a block": {"tasks": {"many": []}},
    "a key of a mapping on one line": {"tasks": {"deep": {"b": {"c": 3}, "new": [1]}}},
    "new keys": {"tasks": {"new": "yes"}, "engine": {"kind": "off"}, "section": {"key": {"inner": 1}}},
    "an emptied mapping stays": {"tasks": {"deep": {}}},
    "a word YAML takes for another": {"tasks": {"name": "on"}, "last": "1e3"},
}


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_the_text_holds_the_changes_and_keeps_its_comments(changes):
    after = written_over(TEXT, changes)
    assert yaml.safe_load(after) == laid_over(BASE, changes)
    kept = [comment for comment in ("# The first line.", "# why", "# a number", "# for a server") if comment in after]
    assert len(kept) == 4
    unchanged = set(TEXT.splitlines()) - set(after.splitlines())
    assert len(unchanged) <= 4, "only what is changed is written anew"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=8) | st.floats(0, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=3), inner),
    max_leaves=8,
)
SECTIONS = st.dictionaries(
    st.sampled_from(["tasks", "engine", "x"]), st.dictionaries(st.sampled_from(["w", "off", "a b"]), VALUES)
)


def differences(base: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the least that must be laid over `base` to get `wanted`, which has every key of it."""
    out: dict[str, Any] = {}
    for key, value in wanted.items():
        below = base.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping) and below.keys() <= value.keys():
            inner = differences(below, value)
            if inner:
                out[key] = inner
        elif key not in base or value != below:
            out[key] = value
    return out


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(SECTIONS, SECTIONS)
@example({}, {"tasks": {"w": "a\x85\u2028\u2029b"}})
@example({"tasks": {"w": 1}}, {"tasks": {"w": ["\x85"]}})
def test_any_settings_laid_over_any_text_are_as_the_data_say(base, changes):
    text = yaml.safe_dump(base, sort_keys=False, allow_unicode=True)
    assume(yaml.safe_load(text) == base)  # PyYAML itself turns a line break of Unicode into a space
    wanted = laid_over(base, changes)
    assert yaml.safe_load(written_over(text, changes)) == wanted
    assert laid_over(base, differences(base, wanted)) == wanted


def test_the_base_is_not_changed_and_aliases_are_refused():
    laid_over(BASE, {"tasks": {"deep": {"a": 9}}})
    assert BASE["tasks"]["deep"]["a"] == 1
    with pytest.raises(ValueError, match="aliases"):
        written_over("a: &x {k: 1}\nb: *x\n", {"b": {"k": 2}})
    with pytest.raises(ValueError, match="no mapping"):
        written_over("- 1\n", {"a": 1})
