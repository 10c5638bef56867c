"""Starting foreman from nothing: private servers, the Procfile's processes, and their end.

Only `foreman up` (`bin/run`) and the tests use this package; a production process never imports it.
"""
