"""Adapters for agent frameworks, each in one file: they take advice before a run, and report its steps and outcome.

`langchain`, `openai_agents`, `inspect` and `claude_code` need the framework that they are named after and the bare
package. docs/agents.md shows each in use.
"""
