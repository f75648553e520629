"""Adapters for agent frameworks, each in one file: they take advice before a run, and report its steps and outcome."""
