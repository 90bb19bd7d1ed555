"""One call in a daemon thread.

For calls that may never return (a name lookup, a download, a read): the process can end without them. Never for calls
into the model: a daemon thread that comes back from C++ while the interpreter shuts down aborts the process.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def start(call: Callable[[], T], *, name: str) -> Future[T]:
    """Start the call; the future gets its result or its exception."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # cancelling who waits must not cancel the future that the thread will fill

    def run() -> None:
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the future
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
