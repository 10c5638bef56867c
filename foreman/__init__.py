"""foreman: a queue with a memory in front of one or more Ollama servers."""
