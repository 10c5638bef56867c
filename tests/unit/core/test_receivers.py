"""Where a webhook may go: the forms of a URL, and the addresses that are never called."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.receivers import (
    ALL_PORTS,
    NEVER,
    Opening,
    is_blocked,
    parse_opening,
    parse_receiver,
    unwrapped,
)

EVERYTHING = (parse_opening("0.0.0.0/0"), parse_opening("::/0"))

BLOCKED = [
    # IPv4: this network, private, shared, loopback, link-local, special, multicast, reserved
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.0.1",
    "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1",
    "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1",
    "239.255.255.255", "240.0.0.1", "255.255.255.255",
    # IPv6
    "::", "::1", "fe80::1", "febf::1", "fec0::1", "fc00::1", "fd00::1", "fd00:ec2::254", "ff02::1",
    "2001:db8::1", "3fff::1", "100::1", "5f00::1", "64:ff9b:1::1", "2001::1", "2001:10::1",
    "4000::1",
    # IPv4 in IPv6: mapped (in full, too), compatible, translated, 6to4, NAT64
    "::ffff:127.0.0.1", "0:0:0:0:0:ffff:0a00:0001", "::ffff:169.254.169.254", "::127.0.0.1",
    "::ffff:0:127.0.0.1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "64:ff9b::127.0.0.1",
    "64:ff9b::a00:1",
]  # fmt: skip

PUBLIC = [
    "1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1",
    "192.167.0.1", "223.255.255.254", "2606:4700:4700::1111", "2a00:1450:4001::1",
    "::ffff:8.8.8.8", "2002:808:808::1", "64:ff9b::8.8.8.8",
]  # fmt: skip

# What no FOREMAN_WEBHOOK_ALLOW opens.
NEVER_CALLED = [
    "169.254.169.254", "169.254.0.1", "fe80::1", "fd00:ec2::254", "fd20:ce::254",
    "100.100.100.200", "168.63.129.16",
    "192.0.0.192", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255",
    "::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::",
]  # fmt: skip


@pytest.mark.parametrize("address", BLOCKED)
def test_no_private_or_special_address_is_called(address: str) -> None:
    assert is_blocked(ip_address(address), 443, ())


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_called(address: str) -> None:
    assert not is_blocked(ip_address(address), 443, ())


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.1.2.3", "10.1.0.0/16"),
        ("127.0.0.1", "127.0.0.0/8"),
        ("::1", "::1/128"),
        ("fd12::1", "fd12::/16"),
        ("::ffff:10.1.2.3", "10.1.0.0/16"),
    ],
)
def test_a_network_that_is_named_is_open(address: str, network: str) -> None:
    assert not is_blocked(ip_address(address), 443, [parse_opening(network)])


def test_only_the_network_that_is_named_is_open() -> None:
    assert is_blocked(ip_address("10.2.0.1"), 443, [parse_opening("10.1.0.0/16")])


@pytest.mark.parametrize(
    ("text", "network", "ports"),
    [
        ("10.0.0.0/8", "10.0.0.0/8", ALL_PORTS),
        ("10.0.0.0/8:443", "10.0.0.0/8", range(443, 444)),
        ("127.0.0.1:9000", "127.0.0.1/32", range(9000, 9001)),
        ("::1/128", "::1/128", ALL_PORTS),
        ("::1", "::1/128", ALL_PORTS),
        ("[::1]:9000", "::1/128", range(9000, 9001)),
        ("[fd12::/48]:443", "fd12::/48", range(443, 444)),
        ("[fd12::/48]", "fd12::/48", ALL_PORTS),
    ],
)
def test_a_network_is_opened_on_all_ports_or_on_one(text: str, network: str, ports: range) -> None:
    assert parse_opening(text) == Opening(ip_network(network), ports)


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:http", "127.0.0.1:-1",
        "127.0.0.1:80-90", "localhost:9000", "[::1]9000", "[::1", "[127.0.0.1", "::1]:9000",
        "10.0.0.1/8:443", "[::1]:", "127.0.0.1:٣", "",
    ],
)  # fmt: skip
def test_an_opening_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_opening(text)


@pytest.mark.parametrize(
    ("address", "port", "blocked"),
    [
        ("127.0.0.1", 9000, False),
        ("::ffff:127.0.0.1", 9000, False),
        ("127.0.0.1", 5555, True),
        ("127.0.0.2", 9000, True),
        ("10.1.2.3", 443, False),
        ("10.1.2.3", 80, True),
        ("8.8.8.8", 80, False),
    ],
)
def test_a_pair_opens_its_port_and_no_other(address: str, port: int, blocked: bool) -> None:
    allow = [parse_opening("127.0.0.1:9000"), parse_opening("10.0.0.0/8:443")]

    assert is_blocked(ip_address(address), port, allow) is blocked


@pytest.mark.parametrize("address", NEVER_CALLED)
def test_metadata_and_link_local_are_never_open(address: str) -> None:
    assert is_blocked(ip_address(address), 443, EVERYTHING)


@given(st.ip_addresses())
def test_an_address_is_never_opened_by_its_spelling(address: object) -> None:
    plain = ip_address(str(address))
    if plain.version == 4:
        mapped = ip_address(f"::ffff:{plain}")

        assert unwrapped(mapped) == plain
        assert is_blocked(mapped, 443, ()) == is_blocked(plain, 443, ())
    assert is_blocked(plain, 443, EVERYTHING) == any(
        unwrapped(plain) in network for network in NEVER
    )


@pytest.mark.parametrize(
    ("url", "name", "netloc", "path"),
    [
        ("https://a.example", "https://a.example:443", "a.example", "/"),
        ("https://A.Example:443/x?y=%20#z", "https://a.example:443", "a.example", "/x?y=%20"),
        ("http://a.example:80/", "http://a.example:80", "a.example", "/"),
        ("http://a_b:8080/h", "http://a_b:8080", "a_b:8080", "/h"),
        ("http://127.0.0.1:8787", "http://127.0.0.1:8787", "127.0.0.1:8787", "/"),
        ("http://[::1]:9876/", "http://[::1]:9876", "[::1]:9876", "/"),
        ("https://a.example./", "https://a.example.:443", "a.example.", "/"),
        ("https://1.example/", "https://1.example:443", "1.example", "/"),
    ],
)
def test_a_url_is_taken_apart(url: str, name: str, netloc: str, path: str) -> None:
    receiver = parse_receiver(url)

    assert (receiver.name, receiver.netloc, receiver.path) == (name, netloc, path)


@pytest.mark.parametrize(
    "url",
    [
        "", "a.example", "//a.example", "ftp://a.example", "file:///etc/passwd", "gopher://a",
        "http://", "http:///x", "http://?x", "http://:80",
        "http://user@a.example", "http://u:p@a.example", "http://@a.example", "http://a@[::1]/",
        "http://1:2@[::1]/",
        "http://a.example:0x50", "http://a.example:70000", "http://a.example:-1",
        "http://0x7f.1", "http://2130706433", "http://127.1", "http://0177.0.0.1", "http://0x7f000001",
        "http://127.0.0.1.", "http://1.2.3.4.5", "http://256.1.1.1", "http://127.0.0.0x1",
        "http://[::1", "http://::1", "http://[::1%25lo]/", "http://[fe80::1%eth0]/", "http://[v1.a]/",
        "http://a b/", "http://a\texample", "http://a.example/\r\nX: y", "http://a\\@b", "http://ä.de",
        "http://\uff11\uff12\uff17.0.0.1", "http://a..b", "http://.a", "http://%31.example", "http://a.example\0",
        "http://-a.example", "http://a.example/" + "x" * 2048,
    ],
)  # fmt: skip
def test_a_url_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the words are urlsplit's in part
        parse_receiver(url)


@given(st.text(max_size=60))
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        receiver = parse_receiver("http://" + text)
    except ValueError:
        return
    assert receiver.host
    assert "@" not in receiver.host
