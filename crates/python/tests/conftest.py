"""What pytest leaves alone: programs that made the fixtures import what the tests do without."""

collect_ignore = ["fixtures"]
