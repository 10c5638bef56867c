"""Which models a target keeps loaded, and whose jobs it runs: values in, decisions out."""
