"""The books of a chaos run in SQLite: every request, reply, dead letter and fault, and their balance.

Thread-safe. `check` is the rule "never nothing" in one place: a failure names what is missing.
"""

import sqlite3
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.notes import spoken

CRASHES_OF_A_POISON = (
    4  # two on its own lane, of which one may be a restart that handed it back, and three more as a suspect
)
SLACK = 2.0  # s around a fault in which its consequences count as its own
SHOWN = 8  # entries of one kind of fault in a failure's text

TABLES = """
CREATE TABLE asked (
    id TEXT PRIMARY KEY, body TEXT, expect TEXT, says TEXT, parkable INT, asked REAL, confirmed REAL, refused REAL
);
CREATE TABLE reply (
    id TEXT, queue TEXT, wire TEXT, reply_id TEXT, status TEXT, code TEXT, says TEXT, joined INT, at REAL
);
CREATE TABLE dead (id TEXT, wire TEXT, reason TEXT, code TEXT, at REAL);
CREATE TABLE fault (kind TEXT, crash INT, began REAL, ended REAL);
"""


@dataclass(frozen=True, slots=True)
class Expected:
    """What must become of a request. `parkable`: its reply queue may be gone.

    `outcome`: `text`, `long` (of which `text` is the beginning), `no_speech`, a failure's code, or `dead:<reason>`.
    """

    outcome: str
    text: str = ""
    parkable: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """A terminal reply as it came from a queue. `wire`: its own message id, which a republished copy shares.

    `joined`: computed for another request.
    """

    request: str
    queue: str
    wire: str
    reply_id: str
    status: str
    code: str
    text: str
    joined: bool = False


@dataclass
class Balance:
    """Counts of one run; `wrong` holds a sentence for each broken rule."""

    asked: int = 0
    confirmed: int = 0
    unknown: int = 0
    replied: int = 0
    parked: int = 0
    dead: int = 0
    poisoned: int = 0
    queued: int = 0
    lost: int = 0
    duplicates: int = 0
    joined: int = 0
    unexplained_dead: int = 0
    wrong: list[str] = field(default_factory=list)


class Ledger:
    """One run's books, kept in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._books = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._books.execute("PRAGMA synchronous = OFF")
        self._books.executescript(TABLES)

    def close(self) -> None:
        self._books.close()

    def _write(self, statement: str, *values: object) -> int:
        with self._lock:
            return self._books.execute(statement, values).rowcount

    def _rows(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        with self._lock:
            return list(self._books.execute(statement, values))

    def _number(self, statement: str, *values: object) -> int:
        return int(str(self._rows(statement, *values)[0][0]))

    def ask(self, request: str, body: str, expected: Expected) -> None:
        """Write down a request before it is published: from now on it may be answered."""
        says = " ".join(spoken(expected.text))
        self._write(
            "INSERT INTO asked VALUES (?, ?, ?, ?, ?, ?, NULL, NULL)",
            request,
            body,
            expected.outcome,
            says,
            expected.parkable,
            time.time(),
        )

    def confirm(self, request: str) -> None:
        """The broker took it: it must not get lost any more."""
        self._write("UPDATE asked SET confirmed = ? WHERE id = ?", time.time(), request)

    def refuse(self, request: str) -> None:
        """The broker returned or nacked it."""
        self._write("UPDATE asked SET refused = ? WHERE id = ?", time.time(), request)

    def reply(self, answer: Answered, *, redelivered: bool) -> None:
        """Write down a reply; what comes a second time because its reader had not acked it is one reply."""
        if redelivered and self._rows("SELECT 1 FROM reply WHERE wire = ?", answer.wire):
            return
        values = (
            answer.request,
            answer.queue,
            answer.wire,
            answer.reply_id,
            answer.status,
            answer.code,
            " ".join(spoken(answer.text)),
            answer.joined,
        )
        self._write("INSERT INTO reply VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", *values, time.time())

    def die(self, request: str, wire: str, reason: str, code: str, *, redelivered: bool) -> None:
        """Write down a dead letter."""
        if redelivered and self._rows("SELECT 1 FROM dead WHERE wire = ? AND id = ?", wire, request):
            return
        self._write("INSERT INTO dead VALUES (?, ?, ?, ?, ?)", request, wire, reason, code, time.time())

    @contextmanager
    def fault(self, kind: str, *, crash: bool = False) -> Iterator[None]:
        """Record when a fault began, and when service was back. `crash`: a daemon died with what it had in hand."""
        began = time.time()
        try:
            yield
        finally:
            self._write("INSERT INTO fault VALUES (?, ?, ?, ?)", kind, crash, began, time.time())

    def outstanding(self) -> int:
        """Confirmed requests without a reply or a dead letter."""
        return self._number(f"SELECT COUNT(*) FROM asked WHERE confirmed NOT NULL AND {_UNHEARD}")

    def confirmed(self) -> int:
        """Requests that the broker has confirmed so far."""
        return self._number("SELECT COUNT(*) FROM asked WHERE confirmed NOT NULL")

    def answers(self) -> int:
        return self._number("SELECT COUNT(*) FROM reply")

    def answered_since(self, moment: float) -> int:
        """Requests asked after `moment` (epoch seconds) that have their reply."""
        return self._number(
            "SELECT COUNT(DISTINCT r.id) FROM reply r JOIN asked a USING (id) WHERE a.asked > ?", moment
        )

    def waits(self, since: float, until: float) -> list[float]:
        """Seconds from asking to the first reply, of the requests asked between these two moments (epoch seconds)."""
        statement = (
            "SELECT MIN(r.at) - a.asked FROM asked a JOIN reply r USING (id) WHERE a.asked BETWEEN ? AND ? GROUP BY "
            "a.id"
        )
        return [float(str(row[0])) for row in self._rows(statement, since, until)]

    def check(self, queued: Collection[str]) -> Balance:
        """Balance the books; `queued`: ids that a queue still holds.

        Raises `AssertionError` with what is wrong and where the books are.
        """
        balance = self._count(queued)
        balance.wrong += [f"lost: {found}" for found in self._lost(queued)]
        balance.lost = len(balance.wrong)
        balance.wrong += self._wrong_answers() + self._wrong_duplicates() + self._wrong_parkings()
        unexplained = self._unexplained_dead()
        balance.unexplained_dead = len(unexplained)
        balance.wrong += unexplained
        if balance.wrong:
            more = f"\n... {len(balance.wrong) - SHOWN} more" if len(balance.wrong) > SHOWN else ""
            raise AssertionError(
                "\n".join(balance.wrong[:SHOWN]) + f"{more}\nthe books are in {self.path}\n{balance_line(balance)}"
            )
        return balance

    def _count(self, queued: Collection[str]) -> Balance:
        return Balance(
            asked=self._number("SELECT COUNT(*) FROM asked"),
            confirmed=self._number("SELECT COUNT(*) FROM asked WHERE confirmed NOT NULL"),
            unknown=self._number("SELECT COUNT(*) FROM asked WHERE confirmed IS NULL AND refused IS NULL"),
            replied=self._number("SELECT COUNT(DISTINCT id) FROM reply"),
            parked=self._number("SELECT COUNT(DISTINCT id) FROM reply WHERE queue = 'stt.replies.dead'"),
            dead=self._number("SELECT COUNT(DISTINCT id) FROM dead"),
            poisoned=self._number("SELECT COUNT(DISTINCT id) FROM dead WHERE reason = 'poison'"),
            queued=len(queued),
            duplicates=self._number("SELECT COUNT(*) - COUNT(DISTINCT id) FROM reply"),
            joined=self._number("SELECT COUNT(*) FROM reply WHERE joined"),
        )

    def _lost(self, queued: Collection[str]) -> list[str]:
        rows = self._rows(
            f"SELECT id, asked, confirmed, expect FROM asked WHERE confirmed NOT NULL AND {_UNHEARD} ORDER BY asked"
        )
        return [
            f"{row[0]} (asked {row[1]}, confirmed {row[2]}, expected {row[3]})" for row in rows if row[0] not in queued
        ]

    def _wrong_answers(self) -> list[str]:
        """The right text for the right request; failures only where they are due; no other caller's correlation id."""
        strangers = self._rows("SELECT id, queue FROM reply WHERE id NOT IN (SELECT id FROM asked)")
        rows = self._rows(
            "SELECT a.id, a.expect, a.says, r.status, r.code, r.says FROM reply r JOIN asked a USING (id)"
        )
        poisoned = {row[0] for row in self._rows("SELECT id FROM dead WHERE reason = 'poison'")}
        return [f"a reply to nobody's request: {row}" for row in strangers] + [
            f"wrong answer to {request}: {status} {code} {said!r} instead of {expect} {says!r}"
            for request, expect, says, status, code, said in rows
            if not _right(str(expect), str(says), str(status), str(code), str(said))
            and not (code == "poison" and request in poisoned)
        ]

    def _wrong_duplicates(self) -> list[str]:
        rows = self._rows(
            "SELECT r.id, COUNT(*), COUNT(DISTINCT r.reply_id), MIN(a.asked), MAX(r.at) FROM reply r JOIN asked a "
            "USING (id) GROUP BY r.id HAVING COUNT(*) > 1"
        )
        different = [f"{row[1]} replies to {row[0]} with {row[2]} reply ids" for row in rows if row[2] != 1]
        return different + [
            f"{row[1]} replies to {row[0]} without a fault" for row in rows if not self._faults(row[3], row[4])
        ]

    def _wrong_parkings(self) -> list[str]:
        statement = (
            "SELECT r.id FROM reply r JOIN asked a USING (id) WHERE r.queue = 'stt.replies.dead' AND NOT a.parkable"
        )
        return [f"the reply to {row[0]} was parked although its queue was there" for row in self._rows(statement)]

    def _unexplained_dead(self) -> list[str]:
        rows = self._rows(
            "SELECT d.id, d.reason, d.code, d.at, a.expect, a.asked FROM dead d LEFT JOIN asked a USING (id)"
        )
        return [
            f"a dead letter without an explanation: {request} {reason} {code}"
            for request, reason, code, at, expect, asked in rows
            if expect != f"dead:{reason}"
            and not (reason == "poison" and self._crashes(asked, at) >= CRASHES_OF_A_POISON)
        ]

    def _crashes(self, begin: object, end: object) -> int:
        return self._faults(begin, end, crash=True) if begin else 0

    def _faults(self, begin: object, end: object, *, crash: bool = False) -> int:
        statement = "SELECT COUNT(*) FROM fault WHERE began < ? + ? AND ended > ? - ? AND crash >= ?"
        return self._number(statement, end, SLACK, begin, SLACK, crash)


_UNHEARD = "id NOT IN (SELECT id FROM reply) AND id NOT IN (SELECT id FROM dead)"


def _right(expect: str, says: str, status: str, code: str, said: str) -> bool:
    if expect == "long":
        return status == "completed" and said.startswith(says)
    return said == says and (
        status == "completed" if expect in {"text", "no_speech"} else (status, code) == ("failed", expect)
    )


def balance_line(balance: Balance) -> str:
    """One line of figures."""
    return ", ".join(f"{name} {value}" for name, value in vars(balance).items() if name != "wrong")
