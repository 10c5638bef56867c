"""The product's processes with stopwatches inside: where the time of one request goes.

Nothing in foreman knows of this: a traced process is started by a module of this package, which
puts the stopwatches around foreman's functions after they were imported.
"""
