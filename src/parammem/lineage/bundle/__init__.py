"""The export for an outsider: materials, signed statements, and a verifier of its own."""
