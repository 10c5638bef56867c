"""A simulated Ollama: its routes, words and habits without a model, for tests and benchmarks."""
