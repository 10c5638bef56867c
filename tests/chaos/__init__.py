"""The chaos command: a whole foreman under load, one fault at a time, and an oracle that judges."""
