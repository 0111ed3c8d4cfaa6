"""Knowing before a run: which buckets log where, what is there, what rolling it up will take, cost and save."""
