"""Templates of a repository for a domain of a user's own, and the function that makes one: `parammem init`.

make_repository(Path("support"), "support", "open")     # files, git, DVC, the ledger's merge driver, a first commit
"""

from parammem.templates.repository import MadeRepository, make_repository

__all__ = ["MadeRepository", "make_repository"]
