"""Find day groups, roll them up, and delete what was proven: the use cases, without AWS, environment or clock."""
