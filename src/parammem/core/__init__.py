"""Frozen records, and how they are read and written. Nothing here decides anything, or imports a library
beside pydantic."""

from parammem.core.adapter import Adapter
from parammem.core.attempt import Attempt, Feedback, Score
from parammem.core.jsonl import read_jsonl, write_jsonl
from parammem.core.record import Record, digest_of
from parammem.core.reflection import Reflection, ReflectionExample
from parammem.core.task import AnswerKey, Task
from parammem.core.trajectory import Failure, Stop, Trajectory, Usage

__all__ = [
    "Adapter",
    "AnswerKey",
    "Attempt",
    "Failure",
    "Feedback",
    "Record",
    "Reflection",
    "ReflectionExample",
    "Score",
    "Stop",
    "Task",
    "Trajectory",
    "Usage",
    "digest_of",
    "read_jsonl",
    "write_jsonl",
]
