"""The shop: its database, the questions that departments ask about it, and the rules that a query depends on.

A question leaves two or three rules open. Which value of a rule a department means is written nowhere that the agent
looks: `house.json` says it, and only the judge reads that file.
"""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

DATABASE = Path("desk") / "shop.sqlite"
HOUSE = Path("desk") / "house.json"
DEPARTMENTS = ("finance", "logistics", "marketing", "purchasing", "sales", "support")
CATEGORIES = ("garden", "kitchen", "lighting", "office", "sports", "toys")
COUNTRIES = ("Austria", "Belgium", "Denmark", "France", "Germany", "Italy")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
ASKED = {
    "money": "how much money did {category} articles bring in {country} {period}?",
    "orders": "how many orders of {category} articles came from {country} {period}?",
    "customers": "how many customers from {country} bought {category} articles {period}?",
}
RULES = {
    "day": ("ordered", "paid"),
    "cancelled": ("in", "out"),
    "amount": ("net", "gross"),
    "customer": ("once", "every order"),
    "last day": ("in", "out"),
}
"""Rule → its values."""
TABLES = (
    "CREATE TABLE customers (id integer primary key, country text)",
    "CREATE TABLE orders (id integer primary key, customer integer references customers(id), category text, "
    "net integer, gross integer, status text, ordered_on text, paid_on text)",
)
YEAR = 2025
ORDERS, CUSTOMERS = 30_000, 1_500
_PERIOD = rf"(?:in (?P<month>[A-Z]\w+) {YEAR}|from (?P<first>\d+ [A-Z]\w+) to (?P<last>\d+ [A-Z]\w+) {YEAR})"
_QUESTION = [
    (measure, re.compile(
        r"(?P<department>[A-Z]\w+) asks: "
        + re.escape(text.removesuffix("?")).replace(r"\{category\}", r"(?P<category>\w+)")
        .replace(r"\{country\}", r"(?P<country>\w+)").replace(r"\{period\}", _PERIOD)
    ))
    for measure, text in ASKED.items()
]  # fmt: skip

House = Mapping[str, Mapping[str, str]]
"""Department → rule → value."""


@dataclass(frozen=True)
class Question:
    """What a department wants to know."""

    department: str
    measure: str
    category: str
    country: str
    first: date
    last: date
    month: bool
    """The period is a whole month, and its last day belongs to it."""

    @property
    def text(self) -> str:
        if self.month:
            period = f"in {MONTHS[self.first.month - 1]} {YEAR}"
        else:
            period = f"from {_day(self.first)} to {_day(self.last)} {YEAR}"
        asked = ASKED[self.measure].format(category=self.category, country=self.country, period=period)
        return f"{self.department.capitalize()} asks: {asked}"

    @property
    def open_rules(self) -> tuple[str, ...]:
        """Return names of the rules that it leaves open."""
        own = {"money": ("amount",), "customers": ("customer",), "orders": ()}[self.measure]
        return ("day", "cancelled", *own, *(() if self.month else ("last day",)))


def parse_question(text: str) -> Question | None:
    """Return the question that stands in a text; None: there is none."""
    for measure, pattern in _QUESTION:
        if found := pattern.search(text):
            part = found.groupdict()
            if part["month"]:
                first = date(YEAR, MONTHS.index(part["month"]) + 1, 1)
                last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
            else:
                first, last = _date(part["first"]), _date(part["last"])
            department = part["department"].lower()
            return Question(
                department, measure, part["category"], part["country"], first, last, month=bool(part["month"])
            )
    return None


def draw_questions(rng: random.Random, count: int) -> list[Question]:
    """Return questions of which no two are about the same category, country, measure and department."""
    about = [(d, m, a, c) for d in DEPARTMENTS for m in ASKED for a in CATEGORIES for c in COUNTRIES]
    return [_draw(rng, *one) for one in rng.sample(about, count)]


def _draw(rng: random.Random, department: str, measure: str, category: str, country: str) -> Question:
    month = rng.random() < 0.5
    first = date(YEAR, rng.randint(1, 12), 1)
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    if not month:
        first += timedelta(days=rng.randrange(10))
        last = first + timedelta(days=rng.randint(8, 16))
    return Question(department, measure, category, country, first, last, month)


def draw_house(rng: random.Random) -> dict[str, dict[str, str]]:
    """Return the rules of a house: every department has its own."""
    return {department: {rule: rng.choice(values) for rule, values in RULES.items()} for department in DEPARTMENTS}


def query(question: Question, rules: Mapping[str, str]) -> str:
    """Return the SQL that answers a question by these rules."""
    day = "o.ordered_on" if rules["day"] == "ordered" else "o.paid_on"
    counted = "count(distinct o.customer)" if rules.get("customer") == "once" else "count(*)"
    selected = {"money": f"sum(o.{rules.get('amount')})", "orders": "count(*)", "customers": counted}[question.measure]
    whole = f"{day} between '{question.first}' and '{question.last}'"
    short = f"{day} >= '{question.first}' and {day} < '{question.last}'"
    where = [
        f"o.category = '{question.category}'",
        f"c.country = '{question.country}'",
        whole if question.month or rules["last day"] == "in" else short,
        *(["o.status <> 'cancelled'"] if rules["cancelled"] == "out" else []),
    ]
    return f"select {selected} from orders o join customers c on c.id = o.customer where {' and '.join(where)}"


def make_database(path: Path, seed: int) -> None:
    """Write the shop's database."""
    rng = random.Random(seed)
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database:
        for table in TABLES:
            database.execute(table)
        customers = [(n, rng.choice(COUNTRIES)) for n in range(1, CUSTOMERS + 1)]
        database.executemany("insert into customers values (?, ?)", customers)
        database.executemany(
            "insert into orders values (?, ?, ?, ?, ?, ?, ?, ?)", (_order(rng, n) for n in range(ORDERS))
        )
        database.commit()


def _order(rng: random.Random, number: int) -> tuple[int | str, ...]:
    net = rng.randint(5, 400)
    ordered = date(YEAR, 1, 1) + timedelta(days=rng.randrange(365))
    paid = ordered + timedelta(days=rng.randint(0, 21))
    status = "cancelled" if rng.random() < 0.15 else "done"
    # Few customers buy most: the same one orders several times in a month.
    customer = 1 + int(CUSTOMERS * rng.random() ** 3)
    gross = net + round(net * 0.2)
    return (number, customer, rng.choice(CATEGORIES), net, gross, status, str(ordered), str(paid))


def _day(day: date) -> str:
    return f"{day.day} {MONTHS[day.month - 1]}"


def _date(text: str) -> date:
    day, month = text.split()
    return date(YEAR, MONTHS.index(month) + 1, int(day))
