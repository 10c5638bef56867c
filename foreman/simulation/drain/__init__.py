"""Policies compared on made or recorded arrivals: events in a heap, no clock."""
