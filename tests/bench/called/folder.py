"""Where the notes of the processes are, and how old they may be."""

FOLDER = "BENCH_CALLED"
WRITE_EVERY_S = 0.5
