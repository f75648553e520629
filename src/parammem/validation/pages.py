"""A verdict as one HTML file that opens offline. (Great Expectations' own Data Docs load their style from the web.)"""

from __future__ import annotations

from html import escape
from pathlib import Path

from parammem.core.jsonl import write_text
from parammem.validation.result import RuleResult, ValidationResult

_STYLE = """
:root{color-scheme:light dark} body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%;margin:1rem 0} th,td{text-align:left;padding:.3rem .6rem;vertical-align:top}
tr+tr{border-top:1px solid #8884} td.n{text-align:right;font-variant-numeric:tabular-nums}
.bar{background:#8883;border-radius:3px;overflow:hidden;display:flex;height:1rem}
.kept{background:#2a8a5a}.out{background:#c8632b} .ok{color:#2a8a5a}.bad{color:#c8632b;font-weight:600}
small{opacity:.75} code{font-size:.92em}
"""


def write_summary_page(verdict: ValidationResult, path: Path) -> None:
    """Write the page atomically. It shows row numbers, hashes and counts, and no text of a row."""
    write_text(path, summary_page(verdict))


def summary_page(verdict: ValidationResult) -> str:
    """Return the page's HTML; equal verdicts give equal bytes."""
    word = '<span class="ok">passed</span>' if verdict.passed else '<span class="bad">failed</span>'
    kept, out = len(verdict.kept), len(verdict.quarantined)
    share = 100 * kept / verdict.rows if verdict.rows else 0
    rules = "".join(_rule_line(rule) for rule in verdict.rules)
    rows = "".join(
        f"<tr><td class=n>{item.row}</td><td>{escape(', '.join(item.reasons))}</td>"
        f"<td><code>{escape(item.row_hash[:16])}</code></td></tr>"
        for item in verdict.quarantined
    )
    table = f"<table><tr><th>row<th>broke<th>row hash</tr>{rows}</table>" if rows else "<p>None.</p>"
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Reflection rows: {escape(verdict.domain)}</title>"
        f"<style>{_STYLE}</style><h1>Reflection rows: {escape(verdict.domain)}</h1>"
        f"<p>The suite {word}: <b>{kept}</b> of {verdict.rows} rows kept, <b>{out}</b> quarantined.</p>"
        f'<div class=bar><div class=kept style="width:{share:.2f}%"></div>'
        f'<div class=out style="width:{100 - share if verdict.rows else 0:.2f}%"></div></div>'
        f"<p><small>suite <code>{verdict.suite_digest[:16]}</code>, kept rows <code>{verdict.kept_digest[:16]}</code>. "
        f"Texts are left out on purpose: a quarantined row may hold a secret.</small></p>"
        f"<h2>Rules</h2><table><tr><th>rule<th>about<th>bounds<th>broken by<th>why</tr>{rules}</table>"
        f"<h2>Quarantined rows</h2>{table}</html>\n"
    )


def _rule_line(rule: RuleResult) -> str:
    sign = '<span class="ok">✓</span>' if rule.success else '<span class="bad">✗</span>'
    bounds = ", ".join(f"{k} {v}" for k, v in rule.kwargs.items() if k != "column_set")
    seen = f"{rule.observed:g}" if rule.observed is not None else f"{rule.unexpected} ({rule.unexpected_percent:g}%)"
    return (
        f"<tr><td>{sign} {escape(rule.rule)}</td><td><code>{escape(rule.column or 'table')}</code></td>"
        f"<td>{escape(bounds)}</td><td class=n>{seen}</td><td>{escape(rule.why)}</td></tr>"
    )
