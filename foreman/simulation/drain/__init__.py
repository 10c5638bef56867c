"""The drain policy over made or recorded arrivals, beside others: events in a heap, no clock."""
