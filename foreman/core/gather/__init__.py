"""The whole answer out of a streamed one: what a call with `stream: false` would have returned.

`choose` picks the dialect, `gathering` says what every dialect can do.
"""
