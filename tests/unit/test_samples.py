"""The samples are what `python -m tools.samples` writes."""

from tools import samples


def test_the_manifest_is_what_the_tool_writes() -> None:
    """A sentence that is changed in one place only would be judged by words that are in no note."""
    assert (samples.FOLDER / "manifest.json").read_text(encoding="utf-8") == samples.manifest()


def test_every_entry_has_its_file_and_every_file_its_entry() -> None:
    """The demo plays the entries; a file without one is dead weight in every install."""
    assert {path.name for path in samples.FOLDER.glob("*.ogg")} == {entry.file for entry in samples.entries()}
