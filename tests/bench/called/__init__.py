"""Notes which files of foreman a process runs, and when: `sitecustomize` is loaded by every Python
that is started with this folder on its path.
"""
