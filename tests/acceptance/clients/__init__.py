"""Real clients against a running foreman: what their tests share."""
