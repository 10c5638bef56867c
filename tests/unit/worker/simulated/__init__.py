"""The parts of a simulated world, each built upon the one before."""
