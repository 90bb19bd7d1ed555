"""Voice notes in a Celery application: a task of yours that calls sttd, over one client per worker process.

`celery -A tasks worker`, and from anywhere `transcribe.delay("/srv/notes/1.ogg")`. Celery's messages never go to sttd's
queues.
"""

import os
from functools import cache

from celery import Celery, Task

from sttd import BlockingClient, errors

app = Celery(
    "notes", broker=os.environ.get("CELERY_BROKER_URL", "amqp://guest:guest@127.0.0.1:5672/"), backend="rpc://"
)


@cache
def client() -> BlockingClient:
    """Opened by the first task of each worker process, after Celery has forked it; ends with the process."""
    opened = BlockingClient(name="celery worker")
    opened.open()
    return opened


@app.task(bind=True, max_retries=5)  # type: ignore[untyped-decorator] # Celery ships no types
def transcribe(self: Task[[str], str], path: str) -> str:
    """The text of one file.

    A retryable failure is tried again by Celery; any other fails at once, with its code.
    """
    try:
        return client().transcribe(path, queue="stt.requests.bulk").text
    except errors.SttdClientError as error:
        if not error.retryable:
            raise
        raise self.retry(exc=error, countdown=60) from error
