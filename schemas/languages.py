"""The language codes that Whisper supports, as one set; never a model's own subset."""

import re
from typing import Final

AUTO: Final = "auto"
"""Detect the language from the first window."""

_NAMES: Final = """
    af afr afrikaans | am amh amharic | ar ara arabic | as asm assamese | az aze azerbaijani | ba bak bashkir | be bel
    belarusian | bg bul bulgarian | bn ben bengali | bo bod tib tibetan | br bre breton | bs bos bosnian | ca cat
    catalan valencian | cs ces cze cz czech | cy cym wel welsh | da dan danish | de deu ger german | el ell gre greek |
    en eng english | es spa spanish castilian | et est estonian | eu eus baq basque | fa fas per persian | fi fin
    finnish | fo fao faroese | fr fra fre french | gl glg galician | gu guj gujarati | ha hau hausa | haw hawaiian | he
    heb iw hebrew | hi hin hindi | hr hrv croatian | ht hat haitian haitian_creole | hu hun hungarian | hy hye arm
    armenian | id ind in indonesian | is isl ice icelandic | it ita italian | ja jpn jp japanese | jw jv jav javanese |
    ka kat geo georgian | kk kaz kz kazakh | km khm khmer | kn kan kannada | ko kor korean | la lat latin | lb ltz
    luxembourgish letzeburgesch | ln lin lingala | lo lao | lt lit lithuanian | lv lav latvian | mg mlg malagasy | mi
    mri mao maori | mk mkd mac macedonian | ml mal malayalam | mn mon mongolian | mr mar marathi | ms msa may malay | mt
    mlt maltese | my mya bur burmese myanmar | ne nep nepali | nl nld dut dutch flemish | nn nno nynorsk | no nor nb nob
    norwegian | oc oci occitan | pa pan punjabi panjabi | pl pol polish | ps pus pashto pushto | pt por portuguese | ro
    ron rum mo romanian moldovan moldavian | ru rus russian | sa san sanskrit | sd snd sindhi | si sin sinhala sinhalese
    | sk slk slo slovak | sl slv slovenian | sn sna shona | so som somali | sq sqi alb albanian | sr srp serbian | su
    sun sundanese | sv swe swedish | sw swa swahili | ta tam tamil | te tel telugu | tg tgk tajik | th tha thai | tk tuk
    turkmen | tl tgl fil tagalog | tr tur turkish | tt tat tatar | uk ukr ua ukrainian | ur urd urdu | uz uzb uzbek | vi
    vie vietnamese | yi yid ji yiddish | yo yor yoruba | yue cantonese | zh zho chi cmn chinese mandarin
"""
"""Each Whisper code, then its other names: the codes of ISO 639-2 and 639-3, which phones give, former codes (`iw`),
codes of countries that are no language's, and the English names, which Whisper's own library takes; `_` stands for a
space."""

_CODE_OF: Final = {name: names[0] for names in map(str.split, _NAMES.split("|")) for name in names}

CODES: Final = frozenset(_CODE_OF.values())

_TAG: Final = re.compile(r"([a-z]{2,3})(?:(?:[-_]{1,2}#?|#)[a-z0-9]{1,8})*(?:\.[a-z0-9-]+)?(?:@[a-z0-9]+)?")
"""A language tag (`ru-RU`, `zh-Hans-CN`) or a locale (`ru_RU.UTF-8`, Java's `zh_TW_#Hant`), in small letters; its group
is the primary subtag."""


def code(given: str) -> str:
    """The Whisper code of a code, a name, a language tag or a locale, in any case: only the primary subtag counts.

    Raises `ValueError`.
    """
    text = given.strip().lower()
    tag = _TAG.fullmatch(text)
    found = _CODE_OF.get(text.replace(" ", "_")) or _CODE_OF.get(tag[1] if tag else "")
    if found is None:
        raise ValueError(f"{given!r} is not a Whisper language code (ru), nor a tag that begins with one (ru-RU)")
    return found


def code_or_auto(given: str) -> str:
    """The same, where `auto` is allowed too. Raises `ValueError`."""
    return AUTO if given.strip().lower() == AUTO else code(given)
