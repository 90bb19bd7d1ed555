"""Users of RabbitMQ with a random password each: made once, kept, and written where only its own service reads it.

    users.py write [--users DIR] [--definitions DIR] [--url daemon=DIR ...] [--broker HOST:PORT]
    users.py show [--users DIR] [--broker HOST:PORT] USER

`write` makes definitions.json (salted hashes, no password) for RabbitMQ's `load_definitions`, and one file
STTD_AMQP_URL in each directory named by --url. A password is that of STTD_RABBITMQ_<USER>_PASSWORD, else of the last
run, else random. Standard library only: it runs before all other services, in a container or out of it. Only `show`
prints a password.
"""

import argparse
import base64
import hashlib
import json
import os
import secrets
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

TABLE = Path(__file__).with_name("users.json")
HOME = Path("/credentials")
URL_FILE = "STTD_AMQP_URL"
PASSWORD_BYTES = 24
SALT_BYTES = 4
PRIVATE, PUBLIC = 0o600, 0o644


def password_of(user: str, kept: Path) -> str:
    """The password of this user: the operator's, the last one, or a new one."""
    given = os.environ.get(f"STTD_RABBITMQ_{user.upper().replace('-', '_')}_PASSWORD")
    if given:
        return given
    path = kept / user
    return path.read_text(encoding="utf-8") if path.exists() else secrets.token_urlsafe(PASSWORD_BYTES)


def hashed(password: str) -> str:
    """RabbitMQ's form: base64 of salt and SHA-256 over salt and password."""
    salt = secrets.token_bytes(SALT_BYTES)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def definitions(table: dict[str, Any], passwords: dict[str, str]) -> dict[str, Any]:
    """Vhost, users and permissions as RabbitMQ imports them; the daemon declares the queues."""
    rights = ("configure", "write", "read")
    return {
        "vhosts": [{"name": table["vhost"]}],
        "users": [
            {
                "name": name,
                "password_hash": hashed(passwords[name]),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": user["tags"],
            }
            for name, user in table["users"].items()
        ],
        "permissions": [
            {"user": name, "vhost": table["vhost"], **{right: user[right] for right in rights}}
            for name, user in table["users"].items()
        ],
    }


def url(table: dict[str, Any], user: str, password: str, broker: str) -> str:
    """The address with which this user connects."""
    return f"amqp://{user}:{quote(password, safe='')}@{broker}/{quote(table['vhost'], safe='')}"


def put(path: Path, text: str, mode: int) -> None:
    """Replace a file whole; until it is, only its owner can read it."""
    # Not a name of our own: each container has the same process id, and what a crash has left would be in the way.
    number, fresh = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(number, "w", encoding="utf-8") as file:
        file.write(text)
    Path(fresh).chmod(mode)
    Path(fresh).replace(path)


def write(arguments: argparse.Namespace, table: dict[str, Any]) -> int:
    """Make every file; what exists keeps its password."""
    passwords = {user: password_of(user, arguments.users) for user in table["users"]}
    for user, password in passwords.items():
        put(arguments.users / user, password, PRIVATE)
    put(arguments.definitions / "definitions.json", json.dumps(definitions(table, passwords), indent=1), PUBLIC)
    for entry in arguments.url:
        user, _, directory = entry.partition("=")
        put(Path(directory) / URL_FILE, url(table, user, passwords[user], arguments.broker), PRIVATE)
    sys.stdout.write(f"users of vhost {table['vhost']}: {', '.join(passwords)}\n")
    return 0


def show(arguments: argparse.Namespace, table: dict[str, Any]) -> int:
    """Print one user's address, for `STTD_AMQP_URL`."""
    kept = arguments.users / arguments.user
    if arguments.user not in table["users"] or not kept.exists():
        sys.stderr.write(
            f"no such user: {arguments.user}; there are "
            f"{', '.join(sorted(p.name for p in arguments.users.glob('[a-z]*')))}\n"
        )
        return 1
    sys.stdout.write(url(table, arguments.user, kept.read_text(encoding="utf-8"), arguments.broker) + "\n")
    return 0


def main(words: list[str]) -> int:
    """Read the command line and run it."""
    parser = argparse.ArgumentParser(
        prog="users.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(required=True)
    writer = verbs.add_parser("write", help="make definitions.json and the services' addresses")
    writer.add_argument(
        "--definitions",
        type=Path,
        default=HOME / "definitions",
        metavar="DIR",
        help="where RabbitMQ reads definitions.json",
    )
    writer.add_argument(
        "--url",
        action="append",
        default=[],
        metavar="USER=DIR",
        help="where the service of this user reads its address",
    )
    writer.set_defaults(run=write)
    reader = verbs.add_parser("show", help="print the address of one user, password included")
    reader.add_argument("user", metavar="USER")
    reader.set_defaults(run=show)
    for verb, broker in ((writer, "rabbitmq:5672"), (reader, "127.0.0.1:5672")):
        verb.add_argument("--users", type=Path, default=HOME / "users", metavar="DIR", help="where passwords are kept")
        verb.add_argument(
            "--broker", default=broker, metavar="HOST:PORT", help="the broker as the user of the address sees it"
        )
    arguments = parser.parse_args(words)
    return int(arguments.run(arguments, json.loads(TABLE.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
