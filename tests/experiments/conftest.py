"""The project folder in which stages have run, as the tests of stages make it."""

from tests.stages.conftest import trained

__all__ = ["trained"]
