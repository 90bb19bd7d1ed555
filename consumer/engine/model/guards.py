"""What is suspicious about a segment: known inventions on silence, loops, text too dense for its time. Pure.

Marks; what is left out with `doubtful: drop` needs more: a person may well have said "thanks for watching".
"""

import re
import zlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final, get_args

from sttd.consumer.engine.glue import Span
from sttd.consumer.engine.transcriber import JobOptions, Transcription
from sttd.consumer.pcm import SAMPLE_RATE
from sttd.schemas.reply import Segment, SegmentFlag

ALL: Final[tuple[SegmentFlag, ...]] = get_args(SegmentFlag)

COMPRESSES: Final = 2.4
"""Whisper's own threshold: text that gzip shrinks more than this repeats itself."""
NO_SPEECH: Final = 0.5
"""No speech is more likely than speech. None of 832 segments of human speech was above it; almost all that `base`
invented was."""
NEVER_SPEECH: Final = 0.6
"""Above it no segment of human speech was, not even at -50 dB or cut inside words (docs/benchmarks/invented.md)."""
UNHEARD: Final = 0.4
"""Above it a window of at least `LONG_ENOUGH` that is improbable too is no speech. It is skipped, as Whisper does above
0.6: what higher temperatures make of a murmur of voices is noise. With `base` no human window of that length was so."""
MUMBLED: Final = 0.15
"""Above it a segment of at least `LONG_ENOUGH` that is not `CLEAR` was not said. Of 494 human ones the least clear had
an average log probability of -0.70."""
LONG_ENOUGH: Final = 2.0
"""Seconds. A word alone, without a sound before it, is as unclear as no word."""
CLEAR: Final = -0.8
"""Average log probability from which on a caption sentence was said: in units of a human voice it is -0.6 and above,
with a `no_speech_prob` of 0.02; what `base` invents has 0.4 and more (docs/benchmarks/invented.md)."""
DENSE: Final = 35.0
"""Characters a second; the fastest speakers stay below 25."""
DENSE_FROM: Final = 20
"""Characters; the times of shorter segments are too coarse to judge."""
IMPROBABLE: Final = -1.0
"""Average log probability below which Whisper tries a higher temperature: the last one was below it too. With `base`, 8
of 581 human utterances were below, and all 8 were wrong."""
SAME_SEGMENTS: Final = 3
LONGEST_GROUP: Final = 8
FEWEST_TIMES: Final = {1: 6, 2: 4}
"""How often a group of so many words in a row makes a loop; of three words and more: three times."""

_PHRASES: Final = frozenset(
    phrase.strip()
    for phrase in """
    продолжение следует
    спасибо за просмотр
    спасибо за субтитры
    подписывайтесь на канал
    подписывайтесь на наш канал
    подпишись на канал
    ставьте лайки и подписывайтесь на канал
    не забудьте подписаться на канал
    смотрите продолжение в следующей части
    до новых встреч
    дякую за перегляд
    дякую за увагу
    дякуємо за перегляд
    підписуйтесь на канал
    підписуйтесь на наш канал
    до зустрічі в наступному відео
    көргеніңізге рахмет
    назарларыңызға рахмет
    арнаға жазылыңыз
    жалғасы бар
    thanks for watching
    thank you for watching
    thank you so much for watching
    please subscribe to my channel
    please like and subscribe
    you
    vielen dank fürs zuschauen
    danke fürs zuschauen
    untertitel von stephanie geiges
    bis zum nächsten mal
    merci d avoir regardé cette vidéo
    gracias por ver el video
    obrigado por assistir
    grazie per aver guardato
    dziękuję za obejrzenie
    izlediğiniz için teşekkür ederim
    ご視聴ありがとうございました
    시청해주셔서 감사합니다
    """.strip().splitlines()
)
_PATTERN: Final = re.compile(
    r"субтитры (с?делал|создавал|добавил|подогнал|предоставил)\w* \w+( \w+)?"
    r"|(редактор субтитров|субтитры) [\w ]{1,40}корректор [\w ]{1,30}"
    r"|субтитри \w+ \w+|фондю субтитры"
    r"|[\w ]{0,60}amara org[\w ]{0,20}"
    r"|untertitel(ung)? im auftrag des zdf[\w ]{0,30}|untertitel(ung)? des zdf[\w ]{0,20}"
    r"|sous titrage [\w ]{1,30}|altyazı m k|sottotitoli [\w ]{0,30}qtss"
    r"|请不吝点赞.*|字幕由.*"
)
"""Signatures that subtitle authors left in Whisper's training data, each as the whole of a segment."""

CAPTION_LETTERS: Final = 8
"""A segment of at least so many letters, all of them capitals, is a caption of sounds ("СПОКОЙНАЯ МУЗЫКА"): speech is
not written so, names of companies are shorter."""

_SOUNDS: Final = frozenset(
    """
    музыка песня пение напев мелодия заставка тишина шум шумы гул гудок гудки звонок стук топот шорох шаги треск скрип
    свист смех хохот плач крик крики вопль визг стон вздох кашель чих храп лай рев рык мяу гром взрыв выстрел выстрелы
    удар сирена
    music song singing silence noise static beep buzz ring ringing knock knocking footsteps crash laughs laughter laugh
    crying cry scream sigh sighs cough coughs snoring barking bark thunder bang gunshot siren applause cheers
    """.split()
)
"""Words of captions that are too short for `CAPTION_LETTERS`: "СМЕХ", "ЛАЙ"."""

_NOTES: Final = "♩♪♫♬🎵🎶"
_BRACKETED: Final = re.compile(
    rf"[\[(][^\])]*[\])]|[【（][^】）]*[】）]|\*[^*]+\*|[{_NOTES}][^{_NOTES}]*[{_NOTES}]|[{_NOTES}]"
)
"""In brackets or asterisks, or between notes: "[Музыка]", "*laughs*", "♪"."""


def marked(segments: Sequence[Segment], flags: Collection[SegmentFlag] = ALL) -> list[Segment]:
    """The same segments, each with what is suspicious about it in `flags`.

    `flags`: those that mean something for this engine.
    """
    looping = _in_loops(segments)
    found = ([flag for flag in _flags(one, loops=one.id in looping) if flag in flags] for one in segments)
    return [one.model_copy(update={"flags": own}) for one, own in zip(segments, found, strict=True)]


def _flags(segment: Segment, *, loops: bool) -> list[SegmentFlag]:
    words = normalized(segment.text)
    judged: dict[SegmentFlag, bool] = {
        "silence_phrase": is_silence_phrase(words) or is_caption(segment.text),
        "repetition": loops or segment.compression_ratio > COMPRESSES or repeats_itself(words.split()),
        "no_speech": segment.no_speech_prob > NO_SPEECH,
        "too_dense": too_dense(words, segment.end - segment.start),
        "improbable": segment.avg_logprob < IMPROBABLE,
    }
    return [flag for flag, is_so in judged.items() if is_so]


def parted(segments: Iterable[Segment], spoken: Sequence[Span] | None) -> tuple[list[Segment], list[Segment]]:
    """Marked segments -> those to keep, and those that were most probably not said, each in order.

    `spoken`: samples in which the detector hears speech; None where nothing else was transcribed.
    """
    judged = [(segment, _not_said(segment, spoken)) for segment in segments]
    return [one for one, bad in judged if not bad], [one for one, bad in judged if bad]


def without_doubtful(found: Transcription, options: JobOptions, hear: Callable[[], Sequence[Span]]) -> Transcription:
    """Without what was most probably not said, where that is asked for. `hear()`: samples with speech."""
    if not options.drop_doubtful or not found.segments:
        return found
    kept, dropped = parted(found.segments, None if options.vad else hear())
    return replace(found, segments=kept, dropped=dropped)


def _not_said(segment: Segment, spoken: Sequence[Span] | None) -> bool:
    """Whether no voice is under it, or the text shows that; a caption sentence that is said clearly stays."""
    if spoken is not None and not any(
        start < segment.end * SAMPLE_RATE and segment.start * SAMPLE_RATE < end for start, end in spoken
    ):
        return True
    unclear = segment.avg_logprob < CLEAR or segment.no_speech_prob > NO_SPEECH / 2
    if segment.no_speech_prob > NEVER_SPEECH or ("silence_phrase" in segment.flags and unclear):
        return True
    mumbled = segment.avg_logprob < CLEAR and segment.no_speech_prob > MUMBLED
    return mumbled and segment.end - segment.start >= LONG_ENOUGH


def normalized(text: str) -> str:
    """Small letters, no punctuation, single spaces, ё as е."""
    return " ".join(re.findall(r"\w+", text.lower().replace("ё", "е")))


def compression(text: str) -> float:
    """How many times smaller zlib makes it, as faster-whisper measures repetition."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw))


def is_silence_phrase(words: str) -> bool:
    """Whether the whole segment is one of the sentences that Whisper is known to write on silence."""
    return words in _PHRASES or _PATTERN.fullmatch(words) is not None


def is_caption(text: str) -> bool:
    """Whether the whole segment, but for its signs, is written as captions of sounds are: in brackets or capitals."""
    if any(letter in _NOTES or letter.isalpha() for letter in text) and not normalized(_BRACKETED.sub("", text)):
        return True
    if not text.isupper():
        return False
    return sum(letter.isalpha() for letter in text) >= CAPTION_LETTERS or not _SOUNDS.isdisjoint(
        normalized(text).split()
    )


def too_dense(words: str, seconds: float) -> bool:
    """Whether the text is denser than the fastest speech."""
    return len(words) > DENSE_FROM and len(words) > DENSE * seconds


def says_twice(words: Sequence[str]) -> bool:
    """Whether three words or more come twice, next to each other.

    Too little to call it a loop, enough for a second run.
    """
    return repeats_itself(words) or any(_longest_run(words, size) > 1 for size in range(3, len(words) // 2 + 1))


def repeats_itself(words: Sequence[str]) -> bool:
    """Whether some words come over and over, next to each other."""
    return any(_longest_run(words, size) >= FEWEST_TIMES.get(size, 3) for size in range(1, LONGEST_GROUP + 1))


def _longest_run(words: Sequence[str], size: int) -> int:
    """How many times in a row the same `size` words come, at most."""
    same = (words[at] == words[at - size] for at in range(size, len(words)))
    longest = max((sum(1 for _ in run) for equal, run in groupby(same) if equal), default=0)
    return longest // size + 1


def _in_loops(segments: Sequence[Segment]) -> set[int]:
    """Ids of segments with the same text as their neighbours, three or more of them."""
    runs = (list(run) for text, run in groupby(segments, lambda segment: normalized(segment.text)) if text)
    return {segment.id for run in runs if len(run) >= SAME_SEGMENTS for segment in run}
