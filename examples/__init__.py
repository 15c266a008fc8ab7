"""Programs to read: the demonstration, and one study for each of the five cases."""
