"""Health as a sum of named checks."""

import pytest

from sttd.consumer.side_port.health import LONGEST_REASON, DaemonHealth


def test_everything_starts_as_not_ok() -> None:
    """No check is ok before it was set so."""
    health = DaemonHealth(["model", "consumer"])

    assert not health.ready
    assert health.status == "starting"
    assert health.as_dict()["checks"] == {
        "model": {"ok": False, "reason": "starting"},
        "consumer": {"ok": False, "reason": "starting"},
    }


def test_ready_means_every_check() -> None:
    """One failing check is enough to stop work from being sent here."""
    health = DaemonHealth(["model", "consumer"])

    health.set("model", ok=True)
    assert not health.ready

    health.set("consumer", ok=True)
    assert health.ready

    health.set("model", ok=False, reason="the engine died")
    assert not health.ready
    assert health.status == "unavailable"


def test_an_undeclared_check_is_a_mistake_of_ours() -> None:
    """A misspelt name would leave the real check at "starting" for ever."""
    with pytest.raises(KeyError):
        DaemonHealth(["model"]).set("modle", ok=True)


def test_a_change_is_told_once_when_it_turns_and_not_with_each_reason() -> None:
    """A download reports its percentage a hundred times; the log gets one line when the model is there."""
    told: list[tuple[str, bool, str]] = []
    health = DaemonHealth(["model"], lambda check, ok, reason: told.append((check, ok, reason)))

    for percent in range(100):
        health.set("model", ok=False, reason=f"downloading base: {percent} %")
    health.set("model", ok=True, reason="what was wrong before")
    health.set("model", ok=True)
    health.set("model", ok=False, reason="the engine died")

    assert told == [("model", True, ""), ("model", False, "the engine died")]


def test_who_shows_the_state_hears_of_each_new_reason() -> None:
    """`systemctl status` must not show a lost connection where by now the password is refused."""
    shown: list[str] = []
    health = DaemonHealth(["consumer"], on_news=lambda: shown.append(health.summary))

    health.set("consumer", ok=False, reason="lost the connection")
    health.set("consumer", ok=False, reason="lost the connection")
    health.set("consumer", ok=False, reason="refuses the password")
    health.set("consumer", ok=True)

    assert shown == ["starting, consumer: lost the connection", "starting, consumer: refuses the password", "ok"]


def test_a_reason_is_clamped_and_goes_away_when_the_check_is_ok() -> None:
    """A broker's stack trace does not fill the page, and an old reason does not stand beside an ok."""
    health = DaemonHealth(["model"])

    health.set("model", ok=False, reason="x" * 10_000)
    assert len(health.as_dict()["checks"]["model"]["reason"]) == LONGEST_REASON

    health.set("model", ok=True, reason="leftover")
    assert health.as_dict()["checks"]["model"] == {"ok": True, "reason": ""}


def test_uptime_follows_the_clock() -> None:
    """`/healthz` shows for how long the process has been up."""
    now = 100.0
    health = DaemonHealth([], clock=lambda: now)

    now = 160.25

    assert health.alive == {"alive": True, "uptime_seconds": 60.2}
