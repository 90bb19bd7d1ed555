"""STTD_AMQP_URL: one broker, or the nodes of a cluster."""

import pytest
from pydantic import SecretStr

from sttd.service import broker_address


@pytest.mark.parametrize(
    ("given", "urls"),
    [
        ("amqp://u:p@one/v", ["amqp://u:p@one/v"]),
        ("amqp://u:p@one/v,amqp://u:p@two:5673/v", ["amqp://u:p@one/v", "amqp://u:p@two:5673/v"]),
        (" amqps://one , amqp://two ", ["amqps://one", "amqp://two"]),
        ("amqp://u:p,w@one", ["amqp://u:p,w@one"]),
    ],
    ids=["one", "two", "with spaces", "a comma in a password"],
)
def test_nodes_are_separated_by_commas(given: str, urls: list[str]) -> None:
    """A comma that no URL follows belongs to what is before it."""
    secret = broker_address.checked(SecretStr(given))
    assert broker_address.each(secret) == urls
    assert sorted(broker_address.shuffled(secret)) == sorted(urls)


def test_each_node_is_shown_and_no_password() -> None:
    """For health pages and errors."""
    shown = broker_address.shown(SecretStr("amqp://u:hush@one/v,amqps://u:hush@two"))
    assert shown == "one:5672/v, two:5671/"


@pytest.mark.parametrize("given", ["", "amqp://one,", "amqp://one,two", "amqp://one,amqp://", "amqp://one,amqp://x:0"])
def test_each_node_must_be_one(given: str) -> None:
    """A second node that cannot be one would be found out on the day the first is gone."""
    with pytest.raises(ValueError, match="must be amqp"):
        broker_address.checked(SecretStr(given))


@pytest.mark.parametrize("given", ["amqp://u:p\\w@one/v", "amqp://one..two", f"amqp://{'x' * 64}"])
def test_an_address_that_the_library_cannot_take_is_a_wrong_setting(given: str) -> None:
    """It raised at each connecting what is no error of a connection: a traceback, exit code 1, and so on for ever."""
    with pytest.raises(ValueError, match="must be amqp"):
        broker_address.checked(SecretStr(given))


@pytest.mark.parametrize("sign", "/#?")
def test_a_password_that_cuts_the_address_in_two_is_refused(sign: str) -> None:
    """With digits before the sign it reads as a port, and the rest would be shown as a vhost."""
    with pytest.raises(ValueError, match="must be amqp"):
        broker_address.checked(SecretStr(f"amqp://user:12{sign}34@rabbit:5672/stt"))


def test_each_further_round_gives_a_node_twice_as_long_up_to_a_limit() -> None:
    """A busy cluster is slow, and must be let time; a node that stands still must not hold up the way to the others."""
    several, one = (broker_address.Nodes(SecretStr(url)) for url in ("amqp://one,amqp://two", "amqp://one"))
    assert [several.patience(10, failures) for failures in (0, 1, 2, 3, 4, 6, 99)] == [2, 2, 4, 4, 8, 16, 16]
    assert {one.patience(10, failures) for failures in (0, 9)} == {10}
    assert {several.next(), several.next()} == {"amqp://one", "amqp://two"}
