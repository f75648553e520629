"""Training rows: the datasets that hold them, and everything that one of them touched. Rows are made by
`agents.labels` and checked by `validation`."""
