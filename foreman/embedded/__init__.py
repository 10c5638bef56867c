"""Starting foreman from nothing: private servers, the Procfile's processes, and their end.

Only `bin/run` and the tests use this package; a production slug never imports it. Its command line
is `python -m foreman.embedded`.
"""
