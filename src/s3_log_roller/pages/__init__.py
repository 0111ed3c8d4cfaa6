"""Pages for people: their look, their tables, bars and calendars, and the rules that hold for all of them."""
