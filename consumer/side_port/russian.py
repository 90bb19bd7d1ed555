"""The status page in Russian, by the English sentence. What brokers and libraries say stays as it is."""

from collections.abc import Mapping
from typing import Final

from sttd.schemas.codes import ErrorCode


class Words:
    """`words[english]` in the reader's language; what has no translation stays English."""

    def __init__(self, accept_language: str = "") -> None:
        """`accept_language`: the header of that name. Browsers put their own language first, as the gateway's page."""
        self.language = "ru" if accept_language.strip().lower().startswith("ru") else "en"
        self._known = RUSSIAN if self.language == "ru" else {}

    def __getitem__(self, english: str) -> str:
        return self._known.get(english, english)


RUSSIAN: Final[Mapping[str, str]] = {
    "ok": "работает",
    "starting": "запускается",
    "unavailable": "недоступен",
    "model": "модель",
    "up for": "работает",
    "{} s": "{} с",
    "{} min": "{} мин",
    "{} h": "{} ч",
    "{} days": "{} дн.",
    "{} ago": "{} назад",
    "{} of {}": "{} из {}",
    "notes in hand": "сообщений в работе",
    "slots at work": "слотов занято",
    "waiting in the queues": "ждут в очередях",
    "none": "нет",
    "oldest waiting note, at most": "ждёт самое старое, не дольше",
    "transcripts in the last minute": "расшифровано за последнюю минуту",
    "transcripts since the start": "расшифровано с запуска",
    "Transcripts and failures in a minute": "Расшифровки и отказы за минуту",
    "{} failed": "отказов: {}",
    "Time to the answer, mean": "Время до ответа, среднее",
    "Waiting in the queues": "Ждут в очередях",
    "Slots at work": "Занятые слоты",
    "top: {}": "верх: {}",
    "now": "сейчас",
    "The last {} failures by code": "Последние отказы по кодам, не больше {}",
    "None since the start.": "С запуска ни одного.",
    "Code": "Код",
    "Times": "Раз",
    "Last": "Последний",
    "failed": "отказ",
    "dead lettered": "отложено в stt.dead",
    "retried": "повтор",
    "suspected": "под подозрением",
    "Checks": "Проверки",
    "Check": "Проверка",
    "State": "Состояние",
    "Reason": "Причина",
    "accepting": "приём",
    "breaker": "без сбоев",
    "paused by an operator; `sttd control resume` ends it": "остановлен оператором; продолжить: `sttd control resume`",
    "publisher": "ответы",
    "consumer": "запросы",
    "draining": "завершает работу",
    "the broker has blocked us (memory or disk alarm)": "брокер остановил отправку (мало памяти или места на диске)",
    "not ok": "сбой",
    "Reloads itself every {} seconds.": "Обновляется каждые {} секунд.",
    "metrics": "метрики",
    "readiness": "готовность",
    "liveness": "процесс жив",
    "old health": "прежний health",
    ErrorCode.BAD_REQUEST.sentence: "Запрос нарушает контракт: неизвестная или недопустимая опция, или тело не того "
    "типа, который назван.",
    ErrorCode.BODY_TOO_LARGE.sentence: "Тело сообщения или объект по ссылке больше, чем принимает демон.",
    ErrorCode.UNSUPPORTED_MEDIA.sentence: "Это не тот формат звука, который демон умеет читать.",
    ErrorCode.AUDIO_UNREADABLE.sentence: "Похоже на звук, но прочитать его не удалось.",
    ErrorCode.NO_AUDIO_STREAM.sentence: "Файл читается, но звуковой дорожки в нём нет.",
    ErrorCode.AUDIO_EMPTY.sentence: "Звука нет: пустое тело или файл без единого отсчёта.",
    ErrorCode.AUDIO_TOO_LONG.sentence: "Запись длиннее, чем принимает демон.",
    ErrorCode.AUDIO_REF_DENIED.sentence: "По ссылке нет того, что демону можно читать: ссылки выключены, адреса нет в "
    "списке, или там ничего нет.",
    ErrorCode.AUDIO_REF_UNAVAILABLE.sentence: "Хранилище не отдало звук по ссылке ни с одной попытки.",
    ErrorCode.EXPIRED.sentence: "Срок запроса прошёл раньше, чем был готов текст.",
    ErrorCode.CANCELLED.sentence: "Запрос отменил тот, кто его послал.",
    ErrorCode.MODEL_ERROR.sentence: "Модель не справилась с этим звуком ни с одной попытки.",
    ErrorCode.INTERNAL_ERROR.sentence: "Демон не справился с запросом ни с одной попытки.",
    ErrorCode.TIMED_OUT.sentence: "Работа заняла больше времени, чем демон отводит одному запросу.",
    ErrorCode.POISON.sentence: "Процесс погибал каждый раз с этим запросом в работе; больше его не пробуют.",
    ErrorCode.BAD_REPLY_TO.sentence: "reply_to называет очередь, в которую нельзя отвечать; запрос отложен в stt.dead.",
}
