"""Read a request body as Ollama does: Go's encoding/json into the type of its route.

Nothing is built that is not needed, and no step does more than a bounded amount of work.
"""
