"""The parts of `foreman.worker.step`, by what they are about; all of them pure."""
