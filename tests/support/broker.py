"""A fresh vhost on a RabbitMQ, and ways to read it: exact counts over AMQP, all else over the management API.

Synchronous on purpose: usable from async tests, plain tests and threads alike; each call is a few milliseconds on
loopback. Counts in the management API lag by about a second on a private node, so wait for them with `wait_until`.
"""

import asyncio
import base64
import http.client
import inspect
import json
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, Self
from urllib.parse import quote, unquote, urlsplit

import pika
import pika.exceptions

from tests.support.waiting import PATIENCE, POLL, Deadline
from tools.rabbitmq import Node

HTTP_SECONDS = 60.0
LOOKS_NEED_PERMISSION = (4, 2, 6)


class Endpoint(Protocol):
    """A RabbitMQ whose user may make vhosts and users."""

    @property
    def amqp_url(self) -> str:
        """Its default vhost, with user and password."""

    @property
    def management_url(self) -> str:
        """Its management API, with user and password."""


class External:
    """A broker that is already running; its management API is on port 15672 unless named."""

    def __init__(self, amqp_url: str, management_url: str | None) -> None:
        parts = urlsplit(amqp_url)
        self.amqp_url = amqp_url
        self.management_url = management_url or f"http://{parts.username}:{parts.password}@{parts.hostname}:15672"


@dataclass(frozen=True)
class Message:
    """A message as a plain AMQP client sees it."""

    body: bytes
    properties: pika.BasicProperties
    redelivered: bool
    routing_key: str

    @property
    def headers(self) -> dict[str, Any]:
        return self.properties.headers or {}

    def json(self) -> Any:
        return json.loads(self.body)


class Management:
    """The few calls of RabbitMQ's HTTP API that tests need. Errors are `RuntimeError` with the broker's own words."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 15672)
        credentials = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        self._headers = {
            "Authorization": "Basic " + base64.b64encode(credentials.encode()).decode(),
            "Content-Type": "application/json",
        }

    def call(self, method: str, path: str, payload: Any = None) -> Any:
        """One request below /api/; returns the parsed answer, None if it is empty. Raises `LookupError` on 404."""
        connection = http.client.HTTPConnection(*self._address, timeout=HTTP_SECONDS)
        try:
            connection.request(method, f"/api/{path}", None if payload is None else json.dumps(payload), self._headers)
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        if response.status == http.client.NOT_FOUND:
            raise LookupError(path)
        if response.status >= http.client.BAD_REQUEST:
            raise RuntimeError(f"{method} {path}: {response.status} {text.decode(errors='replace')}")
        return json.loads(text) if text else None


class Broker:
    """A vhost of its own with a user of its own. `amqp_url` is what a daemon gets."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.vhost = f"test-{secrets.token_hex(4)}"
        self.user = self.vhost
        self.password = f"secret-{secrets.token_hex(8)}"
        self._users: list[str] = []

    @property
    def management(self) -> Management:
        """The management API; of a cluster, a node's that is well now."""
        return Management(self.endpoint.management_url)

    @cached_property
    def version(self) -> tuple[int, ...]:
        """RabbitMQ's version, `(4, 3, 6)`: for tests of what differs between versions."""
        with self.connect() as connection:  # the management API lacks it just after a start
            told = str(connection._impl.server_properties["version"])
        return tuple(int(part) for part in told.partition("-")[0].split("."))

    @property
    def looks_are_free(self) -> bool:
        """Whether a user without any permission may check a queue or an exchange: until 4.2.6."""
        return self.version < LOOKS_NEED_PERMISSION

    @property
    def amqp_url(self) -> str:
        """The vhost with its user and password."""
        return self.url_for(self.user, self.password)

    def url_for(self, user: str, password: str) -> str:
        """The vhost with another user."""
        parts = urlsplit(self.endpoint.amqp_url)
        return f"amqp://{user}:{password}@{parts.hostname}:{parts.port or 5672}/{self.vhost}"

    def __enter__(self) -> Self:
        self.management.call("PUT", f"vhosts/{self.vhost}")
        self.add_user(self.user, self.password)
        return self

    def __exit__(self, *_exception: object) -> None:
        """Remove vhost and users; a private node keeps them until it ends itself.

        A queue that RabbitMQ 3.10 deletes just after it was declared can end that broker's dead-lettering: the worker
        of the queue looks for it, crashes, is started again and crashes again. Each new queue with at-least-once
        dead-lettering is then refused with INTERNAL_ERROR until a restart (docs/reliability.md).
        """
        if isinstance(self.endpoint, Node):
            return
        self.management.call("DELETE", f"vhosts/{self.vhost}")
        for user in self._users:
            self.management.call("DELETE", f"users/{user}")

    def add_user(self, user: str, password: str, *, configure: str = ".*", write: str = ".*", read: str = ".*") -> str:
        """Make a user with these permissions (regular expressions) on this vhost; returns its URL."""
        self._users.append(user)
        self.management.call("PUT", f"users/{user}", {"password": password, "tags": ""})
        self._permit(user, {"configure": configure, "write": write, "read": read})
        return self.url_for(user, password)

    def _permit(self, user: str, permissions: dict[str, str], tries: int = 100) -> None:
        """A node of a cluster may learn of the user a moment after another has made it."""
        try:
            self.management.call("PUT", f"permissions/{self.vhost}/{user}", permissions)
        except RuntimeError as error:
            if not tries or "vhost_or_user_not_found" not in str(error):
                raise
            self._permit(user, permissions, tries - 1)

    def queues(self) -> list[dict[str, Any]]:
        """All queues, as the management API describes them."""
        found: list[dict[str, Any]] = self.management.call("GET", f"queues/{self.vhost}")
        return found

    def queue(self, name: str) -> dict[str, Any]:
        """One queue: `messages`, `ready`, `unacked`, `consumers`, `arguments`, `type`, and all of the management API.

        Counts that it has not gathered yet are 0. Raises `LookupError` if there is no such queue.
        """
        told: dict[str, Any] = self.management.call("GET", f"queues/{self.vhost}/{quote(name, safe='')}")
        ready, unacked = told.get("messages_ready", 0), told.get("messages_unacknowledged", 0)
        return {"messages": 0, "consumers": 0, "arguments": {}} | told | {"ready": ready, "unacked": unacked}

    def connections(self) -> list[dict[str, Any]]:
        """The open AMQP connections of this vhost, as the management API describes them."""
        found: list[dict[str, Any]] = self.management.call("GET", f"vhosts/{self.vhost}/connections")
        return found

    def close_connections(self) -> int:
        """Have the broker close every connection of this vhost that it lists; returns how many those were.

        One may end by itself meanwhile: the broker then answers 404, or 500 while it ends.
        """
        found = self.connections()
        for connection in found:
            with suppress(LookupError, RuntimeError):
                self.management.call("DELETE", f"connections/{quote(connection['name'], safe='')}")
        return len(found)

    def depth(self, name: str) -> int:
        """Messages ready in a queue, exactly and now. Raises `LookupError` if there is no such queue.

        Just after a restart a quorum queue without a leader reports 0: wait for more with `wait_until`.
        """
        return self._declared(name)[0]

    def consumers(self, name: str) -> int:
        """Consumers of a queue, exactly and now. Raises `LookupError` if there is no such queue."""
        return self._declared(name)[1]

    def declare(self, name: str, **arguments: Any) -> str:
        """Declare a durable queue with these arguments (underscores stand for hyphens); returns its name."""
        table = {key.replace("_", "-"): value for key, value in arguments.items()}
        with self.connect() as connection:
            connection.channel().queue_declare(name, durable=True, arguments=table)
        return name

    def publish(self, name: str, body: bytes, **properties: Any) -> None:
        """Publish to a queue through the default exchange, confirmed; raises if there is no such queue."""
        with self.connect() as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish("", name, body, pika.BasicProperties(**properties), mandatory=True)

    def get(self, name: str, count: int = 1) -> list[Message]:
        """Read up to `count` messages and leave them in the queue (which raises a quorum queue's delivery count)."""
        return self._fetch(name, count, keep=True)

    def take(self, name: str, count: int = 1) -> list[Message]:
        """Take up to `count` messages out of a queue."""
        return self._fetch(name, count, keep=False)

    def connect(self) -> pika.BlockingConnection:
        """A plain AMQP connection to this vhost; close it, or use it in a `with` block."""
        return pika.BlockingConnection(pika.URLParameters(self.amqp_url))

    async def wait_until(self, predicate: Callable[[], Any | Awaitable[Any]]) -> Any:
        return await wait_until(predicate)

    def _declared(self, name: str) -> tuple[int, int]:
        with self.connect() as connection:
            try:
                answer = connection.channel().queue_declare(name, passive=True).method
            except pika.exceptions.ChannelClosedByBroker as error:
                raise LookupError(str(error)) from error
            return answer.message_count, answer.consumer_count

    def _fetch(self, name: str, count: int, *, keep: bool) -> list[Message]:
        with self.connect() as connection:
            channel = connection.channel()
            found: list[Message] = []
            while len(found) < count:
                method, properties, body = channel.basic_get(name)
                if method is None:
                    break
                found.append(Message(body, properties, method.redelivered, method.routing_key))
            if found and keep:
                channel.basic_nack(0, multiple=True, requeue=True)
            elif found:
                channel.basic_ack(0, multiple=True)
            return found


async def wait_until(predicate: Callable[[], Any | Awaitable[Any]], seconds: float = PATIENCE) -> Any:
    """Poll a predicate (plain or async) until it is true and return its value.

    Raises `TimeoutError` naming its last value. A `LookupError` in it counts as "not yet": a queue that does not exist
    so far.
    """
    deadline = Deadline(seconds)
    while True:
        late = deadline.passed
        try:
            value = predicate()
            value = await value if inspect.isawaitable(value) else value
        except LookupError as error:
            value, shown = None, repr(error)
        else:
            shown = repr(value)
        if value:
            return value
        if late:
            raise TimeoutError(f"still {shown} after {seconds:g} s")
        await asyncio.sleep(POLL)  # another process sets no event
