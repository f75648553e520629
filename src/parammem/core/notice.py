"""Warnings of our own, told from those of libraries, which people are not shown."""


class Notice(UserWarning):
    """Something that people should read, and that stops nothing."""
