"""The only place with SQL: one function per statement, rows become frozen dataclasses here."""
