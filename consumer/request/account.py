"""What the metrics keep of one request, written once, when this process is done with it.

What must be seen while a request is in hand is not here: worker.py counts deliveries, and those in hand, at once.
"""

from datetime import UTC, datetime

from sttd.consumer.request.delivery import Delivery
from sttd.consumer.request.verdict import Verdict
from sttd.consumer.side_port.metrics import Metrics
from sttd.consumer.timeline import Timeline
from sttd.schemas.reply import Transcript

ENGINE_STAGES = {"wait": ("wait",), "encode": ("encode",), "generate": ("generate", "align", "detect_language")}
"""Stages of the metrics, and the steps of a timeline that make them up."""


def record(
    metrics: Metrics, delivery: Delivery, *, judged: Verdict | None, done: Verdict | None, seconds: float
) -> None:
    """Count one request.

    `judged`: what the handler judged; None where it was stopped before. `done`: what was settled; None where the
    request is left to the broker. `seconds`: from the delivery until now.
    """
    _observe(metrics, delivery.timeline, "fetch", "reply")
    if delivery.timeline.seconds("park"):
        metrics.parked.inc()
    if judged is not None and isinstance(judged.answer, Transcript):
        _transcribed(metrics, delivery, judged.answer)
    if done is None:
        metrics.request_finished("handed_back", "ok")
        return
    if done.answer is not None:
        asked = delivery.incoming.properties.timestamp or delivery.first_seen
        metrics.answered(delivery.lane, (datetime.now(UTC) - asked).total_seconds())
    metrics.request_finished(done.outcome, done.code)
    if done.outcome != "moved":  # not an end: thousands of next to nothing would hide what the others took
        metrics.observe_stage("total", seconds)
    if done.outcome == "retried":
        metrics.retried(done.code)
    if done.dead_reason is not None:
        metrics.dead_lettered(str(done.dead_reason))


def _transcribed(metrics: Metrics, delivery: Delivery, transcript: Transcript) -> None:
    if transcript.joined:
        metrics.joined.inc()
    if delivery.begun.counted:
        return
    delivery.begun.counted = True  # once, for the first that has the result: who began the work may have left
    work = delivery.begun.timeline
    if transcript.timings.queued is not None:
        metrics.observe_stage("queued", transcript.timings.queued)
    metrics.observe_stage("decode", work.seconds("decode"))
    metrics.observe_stage("transcribe", work.seconds("transcribe"))
    _observe(metrics, work, *ENGINE_STAGES)
    for step in work.steps:
        if step.name in ENGINE_STAGES["generate"]:
            metrics.batch_sizes.observe(step.together)
    metrics.observe_audio(transcript.duration, no_speech=transcript.no_speech)
    metrics.bad_packets.inc(transcript.audio.bad_packets)
    if transcript.duration > 0:
        metrics.real_time_factor.observe(work.seconds("transcribe") / transcript.duration)


def _observe(metrics: Metrics, timeline: Timeline, *stages: str) -> None:
    for stage in stages:
        if spent := timeline.seconds(*ENGINE_STAGES.get(stage, (stage,))):
            metrics.observe_stage(stage, spent)
