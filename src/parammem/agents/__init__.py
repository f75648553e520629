"""Agents that work on tasks: one loop (loop.py), the methods composed from it (methods.py), and what drives many runs
at once (run.py, asking.py). labels, teacher, repair and synthesis ask models for texts to train on.

No answer key and no hidden verdict is here: stages ask for verdicts, after the loop.
"""

from parammem.agents.loop import Agent, Budget, solve
from parammem.agents.methods import METHODS, Method, get_method

__all__ = ["METHODS", "Agent", "Budget", "Method", "get_method", "solve"]
