"""The mutation score of the data rules: defects, clean rows to put them into, and which of them the rules catch."""
