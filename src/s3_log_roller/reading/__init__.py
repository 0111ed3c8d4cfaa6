"""The read side: list, read, search, verify and restore rollups, and logs not yet rolled up, without downloading
them whole."""
