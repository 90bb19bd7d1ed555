"""Doubtful segments are marked by name, sound ones are not, and no text is ever touched."""

import pytest

from sttd.consumer.engine.model.guards import CLEAR, NEVER_SPEECH, marked, parted
from sttd.consumer.pcm import SAMPLE_RATE
from sttd.schemas.reply import Segment


def segment(
    text: str,
    *,
    seconds: float = 5.0,
    number: int = 0,
    compression_ratio: float = 1.2,
    no_speech_prob: float = 0.1,
    avg_logprob: float = -0.3,
) -> Segment:
    """A segment that is unremarkable but for the given fields."""
    return Segment(
        id=number,
        start=0,
        end=seconds,
        text=text,
        avg_logprob=avg_logprob,
        no_speech_prob=no_speech_prob,
        compression_ratio=compression_ratio,
    )


@pytest.mark.parametrize(
    "text",
    [
        " Продолжение следует...",
        " Субтитры сделал DimaTorzok",
        " Субтитры создавал DimaTorzok.",
        " Редактор субтитров А.Семкин Корректор А.Егорова",
        " Субтитры подготовил Иван Иванов. Корректор А.Егорова",
        " Спасибо за просмотр!",
        " Подписывайтесь на наш канал!",
        " Дякую за перегляд!",
        " Підписуйтесь на канал!",
        " Көргеніңізге рахмет!",
        " Жалғасы бар...",
        " Untertitel von Stephanie Geiges",
        " Thanks for watching!",
        " Subtitles by the Amara.org community",
        " Untertitel im Auftrag des ZDF für funk, 2017",
        " Sous-titres réalisés par la communauté d'Amara.org",
        " Altyazı M.K.",
        " you",
        " СПОКОЙНАЯ МУЗЫКА",
        " АПЛОДИСМЕНТЫ",
        " МУЗЫКА",
        " СМЕХ",
        " ЛАЙ СОБАК",
        " ТРЕВОЖНАЯ МУЗЫКА.",
        " LAUGHTER",
        " MUSIC PLAYING",
        " [Музыка]",
        " (тихо играет музыка)",
        " *смеётся*",
        " [BLANK_AUDIO]",
        " (upbeat music)",
        " [Музыка].",
        " - [Смех]",
        " [Music] [Applause]",
        " (смех) ... (аплодисменты)",
        " ** Music **",
        " 【音楽】",
        " （拍手）",
        " ♪♪ (upbeat music) ♪♪",
        " ♪",
        " ♪ ♪ ♪",
        " ♪ Ла-ла-ла ♪",
        " ご視聴ありがとうございました",
    ],
)
def test_what_whisper_is_known_to_hear_in_silence_is_marked(text: str) -> None:
    """The bot can ask the user, or leave it out: its decision, by name."""
    (guarded,) = marked([segment(text)])
    assert guarded.flags == ["silence_phrase"]
    assert guarded.text == text


@pytest.mark.parametrize(
    "text",
    [
        " Купил продукты на две с половиной тысячи",
        " Спасибо за просмотр моего резюме, жду ответа",
        " Да, да, да, конечно",
        " Нет, нет, нет, нет!",
        " Субтитры в этом фильме ужасные",
        " Do you want to watch it? Thanks.",
        " очень-очень-очень хорошо",
        " ЮНЕСКО.",
        " НДС",
        " OK",
        " Смех, да и только",
        " Я купил хлеб (чёрный)",
        " (Да) или (нет)",
        " *",
        " 2 * 2 = 4",
        " Спокойная музыка",
        " [Музыка] Привет",
        " Он сказал: (тихо) иди сюда",
        " x * y * z",
        "",
        " ...",
    ],
)
def test_what_people_say_is_not_marked(text: str) -> None:
    """A flag that comes up in ordinary speech would be ignored everywhere."""
    assert marked([segment(text)])[0].flags == []


@pytest.mark.parametrize(
    "text", [" да" * 6, " ну вот" * 4, " я пошел домой" * 3, " раз два три четыре пять шесть семь восемь" * 3]
)
def test_words_that_come_over_and_over_are_a_loop(text: str) -> None:
    """One word six times, two words four times, more words three times, next to each other."""
    assert marked([segment(text, seconds=20)])[0].flags == ["repetition"]


def test_text_that_compresses_too_well_is_a_loop() -> None:
    """Whisper's own measure, taken where the fallback ladder gave up."""
    assert marked([segment(" что-то", compression_ratio=2.5)])[0].flags == ["repetition"]


def test_the_same_segment_three_times_is_a_loop_in_each() -> None:
    """A loop over windows: every window by itself looks right."""
    texts = [" Привет.", " Я иду домой.", " я иду домой", " Я иду домой!", " Пока."]
    flags = [guarded.flags for guarded in marked([segment(text, number=at) for at, text in enumerate(texts)])]
    assert flags == [[], ["repetition"], ["repetition"], ["repetition"], []]


def test_silence_by_the_models_own_word_and_text_too_dense_for_its_time_are_marked() -> None:
    """Nobody speaks forty characters in half a second."""
    assert marked([segment(" Тихо, тихо, тихо!", no_speech_prob=0.53)])[0].flags == ["no_speech"]
    assert marked([segment(" Skinny", no_speech_prob=0.49)])[0].flags == []
    assert marked([segment(" сорок букв за полсекунды не скажет никто", seconds=0.5)])[0].flags == ["too_dense"]


def test_text_that_no_temperature_made_probable_is_marked() -> None:
    """Under the noise of a keyboard the real `base` wrote Romanian, at -3.2, and nothing marked it (issue 11)."""
    assert marked([segment(" Sărtă, în acest reclet", avg_logprob=-1.01)])[0].flags == ["improbable"]
    assert marked([segment(" что-то", avg_logprob=-0.99)])[0].flags == []


def test_nothing_but_the_flags_changes() -> None:
    """Text, times and numbers leave as they came."""
    given = [segment(" Продолжение следует...", number=at) for at in range(4)]
    assert [guarded.model_copy(update={"flags": []}) for guarded in marked(given)] == given


CAPTION = " Продолжение следует..."


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (segment("Купил хлеба"), True),
        (segment("Купил хлеба", no_speech_prob=NEVER_SPEECH + 0.01), False),
        (segment(CAPTION, avg_logprob=CLEAR), True),  # somebody said it, clearly
        (segment(CAPTION, avg_logprob=CLEAR - 0.01), False),
        (segment("да да да да да да да"), True),  # a loop may have begun with speech
        (segment("Купил хлеба", avg_logprob=-1.2), True),  # unclear speech is speech
        (segment("мальчика, мальчика", seconds=2.0, avg_logprob=-0.85, no_speech_prob=0.2), False),  # of a murmur
        (segment("Совета.", seconds=1.9, avg_logprob=-0.92, no_speech_prob=0.2), True),  # one word may be as unclear
    ],
)
def test_only_what_was_most_probably_not_said_is_dropped(given: Segment, kept: bool) -> None:
    """Two signs are needed: of 1,000 words that people said at most two may go (issue 17)."""
    (found,) = marked([given])
    assert parted([found], None) == (([found], []) if kept else ([], [found]))


def test_text_under_which_the_detector_hears_no_voice_is_dropped() -> None:
    """Where voice detection is off, the detector is asked afterwards."""
    early, late = (
        segment("Купил хлеба", number=number).model_copy(update={"start": start, "end": start + 2.0})
        for number, start in enumerate((0.0, 10.0))
    )
    assert parted([early, late], [(0, SAMPLE_RATE)]) == ([early], [late])
    assert parted([early, late], []) == ([], [early, late])
