"""The bytes of a register list as text: UTF-8, or what a Chinese spreadsheet writes."""

import codecs


class Unreadable(Exception):
    """Why the bytes are no text."""


def text_of(data: bytes) -> tuple[str, str]:
    """The text, and what is to be said of how it was read ("" for nothing).

    Raises:
        Unreadable: it is not UTF-8, and not by its look GB 18030.
    """
    try:
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError as error:
        text = _chinese(data)
        if text is None:
            raise Unreadable(f"is not UTF-8: byte {error.start}; save it as CSV UTF-8") from error
    return text, "the file is not UTF-8 and was read as GB 18030: look at its names and units"


def _chinese(data: bytes) -> str | None:
    """The text of GB 18030; None where most of its signs are none of plain Chinese, as if it were of another encoding.

    Almost any bytes can be read so: °C of Windows as 癈. Those of GB 2312 are pairs that others seldom have.
    """
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError:
        return None
    foreign = [sign for sign in text if not sign.isascii()]
    plain = sum(_is_plain(sign) for sign in foreign)
    return text if 2 * plain > len(foreign) else None


def _is_plain(sign: str) -> bool:
    try:
        codecs.encode(sign, "gb2312")
    except UnicodeEncodeError:
        return False
    return True
