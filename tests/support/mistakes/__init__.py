"""Wrong inputs and environments, as a user types them, and what the program answers.

`table` says what is tried, `scene` has the servers and files it is tried with, `page` makes
docs/reference/mistakes.md of the answers.
"""
