"""Properties are judged by what they say, not by how fast a shared machine says it."""

from hypothesis import HealthCheck, settings

settings.register_profile("foreman", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("foreman")
