"""The drain policy over made or recorded arrivals, compared with others: events in a heap, no clock."""
