"""Every recorded link, checked again: the working tree against its records, the past against itself. Findings are
returned, nothing is mended."""
