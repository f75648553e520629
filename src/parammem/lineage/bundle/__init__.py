"""The export for an outsider: materials, signed statements, and a verifier of its own. What is
said in it comes from `pages` and `checks`."""
