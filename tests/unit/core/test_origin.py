"""Where a request comes from: what is believed of what it says."""

from ipaddress import ip_network

import pytest

from foreman.core.origin import UNKNOWN, Origin, origin_of

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("::1"))
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.7", [], "192.0.2.7"),
        ("192.0.2.7", ["198.51.100.1"], "192.0.2.7"),  # nobody has vouched for it
        ("10.1.2.3", [], "10.1.2.3"),
        ("10.1.2.3", ["198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", ["203.0.113.9, 198.51.100.1"], "198.51.100.1"),  # the first is invented
        ("10.1.2.3", ["203.0.113.9", "198.51.100.1, 10.9.9.9"], "198.51.100.1"),
        ("10.1.2.3", ["10.4.4.4"], "10.4.4.4"),
        ("10.1.2.3", ["unknown"], "10.1.2.3"),
        ("::ffff:10.1.2.3", ["2001:db8::5"], "2001:db8::5"),
        ("::1", ["[2001:db8::5]"], "2001:db8::5"),
        ("fe80::1%eth0", [], "fe80::1"),
        (None, ["198.51.100.1"], None),  # a unix socket
        ("", [], None),
    ],
)
def test_an_address_is_the_last_that_no_trusted_proxy_has(
    peer: str | None, forwarded: list[str], address: str | None
) -> None:
    headers = [("X-Forwarded-For", value) for value in forwarded]

    assert origin_of(headers, peer, TRUSTED).address == address


def test_what_a_client_says_of_itself_is_kept_as_one_short_line() -> None:
    headers = [
        ("x-foreman-client", " nightly\r\nevil\0 "),
        ("X-Request-Id", "r" * 1000),
        ("TraceParent", TRACE),
    ]

    origin = origin_of(headers, None, ())

    assert origin == Origin("nightlyevil", None, "r" * 200, TRACE)
    assert origin.facts() == {
        "client": "nightlyevil", "request_id": "r" * 200, "traceparent": TRACE
    }  # fmt: skip


@pytest.mark.parametrize("trace", ["", "00-x-y-01", TRACE + "-more", TRACE.upper(), "\n" + TRACE])
def test_a_trace_that_is_none_is_left_out(trace: str) -> None:
    assert origin_of([("traceparent", trace), ("X-Foreman-Client", "")], None, ()) == UNKNOWN
