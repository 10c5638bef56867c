"""What the URL of a broker says about TLS."""

import pytest

from foreman.core.broker_tls import BrokerTls, read_tls, with_options

VERIFIED = BrokerTls(host="b.example")


@pytest.mark.parametrize("scheme", ["rediss", "amqps"])
def test_certificate_and_host_name_are_verified_unless_the_url_says_otherwise(scheme: str) -> None:
    assert read_tls(f"{scheme}://u:p@b.example:1/0") == BrokerTls(
        host="b.example", is_verified=True, checks_host=True
    )


@pytest.mark.parametrize("scheme", ["redis", "amqp", "redis+socket"])
def test_without_tls_in_the_scheme_there_is_none(scheme: str) -> None:
    assert read_tls(f"{scheme}://u:p@b.example:1/0") is None


@pytest.mark.parametrize("scheme", ["rediss", "amqps"])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("ssl_cert_reqs=none", BrokerTls(host="b.example", is_verified=False)),
        ("ssl_cert_reqs=CERT_NONE", BrokerTls(host="b.example", is_verified=False)),
        ("ssl_cert_reqs=required", VERIFIED),
        ("ssl_cert_reqs=CERT_REQUIRED", VERIFIED),
        ("ssl_cert_reqs=optional", VERIFIED),
        ("ssl_check_hostname=false", BrokerTls(host="b.example", checks_host=False)),
        ("ssl_ca_certs=/ca.pem", BrokerTls(host="b.example", ca_file="/ca.pem")),
        (
            "ssl_certfile=/c.pem&ssl_keyfile=/k.pem",
            BrokerTls(host="b.example", cert_file="/c.pem", key_file="/k.pem"),
        ),
        ("virtual_host=x", VERIFIED),
    ],
)
def test_the_url_may_say_how(scheme: str, query: str, expected: BrokerTls) -> None:
    assert read_tls(f"{scheme}://u:p@b.example/0?{query}") == expected


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("rediss://b?ssl_cert_reqs=maybe", "ssl_cert_reqs"),
        ("rediss://b?ssl_check_hostname=1", "ssl_check_hostname"),
        ("rediss://b?ssl_ca_cert=/ca.pem", "ssl_ca_cert"),
        ("redis://b?ssl_cert_reqs=none", "ssl_cert_reqs"),
        ("amqp://b?ssl_ca_certs=/ca.pem", "ssl_ca_certs"),
    ],
)
def test_a_parameter_that_cannot_be_meant_is_named(url: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        read_tls(url)


def test_the_parameters_of_tls_are_replaced_and_the_others_kept() -> None:
    url = "rediss://u:p%40@b:1/0?ssl_cert_reqs=none&virtual_host=x"

    assert with_options(url, {}) == "rediss://u:p%40@b:1/0?virtual_host=x"
    assert with_options(url, {"ssl_ca_certs": "/a"}).endswith("?virtual_host=x&ssl_ca_certs=%2Fa")
