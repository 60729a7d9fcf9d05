"""The table of packed answers and the hot path that serves from it."""
