"""Properties are judged by what they say, not by how fast a shared machine says it."""

from hypothesis import settings

settings.register_profile("foreman", deadline=None)
settings.load_profile("foreman")
