"""Tests of the embedded start."""
