"""Ways to write the paths of the routes that change a target's models."""

from foreman.core.surface import ROUTES, RouteClass

_ADMIN = [route for route in ROUTES if route.route_class is RouteClass.ADMIN]
_DIGEST = "sha256:" + "0" * 64


def _spellings(path: str) -> list[str]:
    first, second, third = path.split("/", 3)[1:] + [""] * (4 - len(path.split("/", 3)))
    rest = "/" + third if third else ""
    encoded = "".join(f"%{ord(letter):02x}" for letter in second)
    return [
        f"/{first}/{second}{rest}", f"//{first}/{second}{rest}", f"/{first}//{second}{rest}",
        f"/{first}/{second}{rest}/", f"/{first}/{second}{rest}//", f"/{first}/{second}{rest}/.",
        f"/./{first}/{second}{rest}", f"/{first}/./{second}{rest}", f"/x/../{first}/{second}{rest}",
        f"/{first}/x/../{second}{rest}", f"/../{first}/{second}{rest}", f"/{first}/{encoded}{rest}",
        f"/{first}%2f{second}{rest}", f"/{first}%2F{second}{rest}", f"/%2f{first}/{second}{rest}",
        f"/{first}/{second}{rest}%2f", f"/{first}/{second}{rest};x=1", f"/{first};/{second}{rest}",
        f"/{first.upper()}/{second}{rest}", f"/{first}/{second.title()}{rest}",
        f"/{first}/{second}{rest}%00", f"/{first}/%00{second}{rest}", f"/{first}\\{second}{rest}",
        f"/{first}/{second}{rest}%20", f"/{first}/%20{second}{rest}", f"/{first}/{second}{rest}#x",
        f"/{first}/%2e/{second}{rest}", f"/x/%2e%2e/{first}/{second}{rest}",
        f"/{first}/{second}{rest}.", f"/{first}/{second}{rest}..", f"/{first}/{second}{rest}\xe9",
        f"/%2561pi/{second}{rest}", f"/api/tags/../{second}{rest}", f"/{first}/.{second}{rest}",
        f"/v1/models/../../{first}/{second}{rest}", f"/{first}/chat%2f..%2f{second}{rest}",
        f"/{first}/{second}{rest}%2f.", f"/jobs/../{first}/{second}{rest}", f"/{first}/{second}%0a",
        f"/{first}/{second}\u017f{rest}", f"/{first}/{second}{rest}%2f%2e%2e%2f{second}",
        f"/docs/..//{first}/{second}{rest}", f"/.//{first}///{second}{rest}",
        f"/{first}/{second}{rest}/%2e", f"/{first}/{second}{rest}/..",
        f"/{first}%252f{second}{rest}",
        f"/{first}/{second}%ff{rest}", f"/{first}/%c0%af{second}{rest}", f"/{first}/..;/{second}",
    ]  # fmt: skip


ADMIN_SPELLINGS = [
    (route, method, spelling)
    for route in _ADMIN
    for method in route.methods
    for spelling in _spellings(route.path + _DIGEST if route.path.endswith("/") else route.path)
]
