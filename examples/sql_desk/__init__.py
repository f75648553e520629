"""The SQL desk: questions in English over a database whose rules are unwritten (docs/sql-desk.md)."""
