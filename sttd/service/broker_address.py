"""The broker's address, or those of a cluster's nodes, separated by commas: checked, and shown without secrets."""

import itertools
import random
import re
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

SCHEMES = {"amqp": 5672, "amqps": 5671}
"""With their usual ports."""

BETWEEN = re.compile(r"\s*,\s*(?=amqps?://)")


TURN_SECONDS: Final = 2.0
DOUBLINGS: Final = 3


class Nodes:
    """One connection's nodes: all in turn, in an order of its own, so that a cluster's nodes share the clients."""

    def __init__(self, url: SecretStr) -> None:
        """`url`: of one node, or of several."""
        urls = shuffled(url)
        self.count, self._turn = len(urls), itertools.cycle(urls)

    def next(self) -> str:
        """The URL of the node to try now."""
        return next(self._turn)

    def patience(self, alone: float, failures: int) -> float:
        """Seconds that the next node gets to let us in after so many failures in a row; `alone` where it is the only.

        A node that stands still accepts connections, and one that is cut off from the others lets us in without
        serving. What a well one was asked while a lost leader is replaced, for 5 to 10 s, it may answer half a minute
        late; asked again afterwards it answers at once. So the first turns are short, and later ones suit a busy node.
        """
        return alone if self.count == 1 else TURN_SECONDS * 2.0 ** min(failures // self.count, DOUBLINGS)


def each(url: SecretStr) -> list[str]:
    """The URL of each node, as they are written."""
    return BETWEEN.split(url.get_secret_value().strip())


def shuffled(url: SecretStr) -> list[str]:
    """The same in an order of this process's own, so that a cluster's nodes share its clients."""
    urls = each(url)
    return random.sample(urls, len(urls))


def checked(url: SecretStr) -> SecretStr:
    """The same URL. Raises `ValueError`, never with the URL: it holds a password."""
    try:
        usable = all(_usable(one) for one in each(url))
    except ValueError:  # its text quotes what it read as the port: often the end of a password
        usable = False
    if not usable:
        raise ValueError(
            "must be amqp:// or amqps://, as in amqp://user:password@host:port/vhost, with / \\ # ? @ in a password "
            "written as %2F %5C %23 %3F %40; of several nodes, whole addresses separated by commas"
        )
    return url


def _usable(url: str) -> bool:
    parts = urlsplit(url)
    host = parts.hostname or ","
    # An @ behind the address alone: a password like 12/34 was cut in two, of which the second would be shown.
    cut = "@" not in parts.netloc and "@" in url
    host.encode("idna")  # as what connects does, where the ValueError would end the daemon, again and again
    broken = "," in host or "\\" in parts.netloc
    return parts.scheme in SCHEMES and parts.port != 0 and not cut and not broken


def shown(url: SecretStr) -> str:
    """Host, port and vhost: no user, no password."""
    parts = [urlsplit(one) for one in each(url)]
    return ", ".join(f"{part.hostname}:{part.port or SCHEMES[part.scheme]}{part.path or '/'}" for part in parts)
