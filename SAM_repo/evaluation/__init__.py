"""How well a teacher segments."""
