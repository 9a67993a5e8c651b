"""Whether the packets of a transport stream are whole coded pictures, each by itself."""

import re

from streamer.errors import SourceLostError

#: Codec → what a coded picture begins with in a transport stream (a delimiter), and what only key
#: pictures have near their beginning (a set of parameters).
_MARKS = {
    "h264": (b"\0\0\1\x09", re.compile(rb"\x00\x00\x01[\x27\x47\x67]")),
    "hevc": (b"\0\0\1\x46", re.compile(rb"\x00\x00\x01\x42")),
}
#: A key picture's parameters lie within so many bytes.
_NEAR = 1024
#: From so many packets that are none on, the rule does not hold; each ten that are make up for one.
_MOST = 4.0
_MADE_UP = 0.1


class NotWholeError(SourceLostError):
    """Packets are not whole pictures; the source is to be opened again and parsed."""


class WholePictures:
    """Watches over what the least delay rests on.

    FFmpeg cuts a transport stream's packets into pictures, for which it has to see the beginning of
    the next one: a whole frame of delay. But nearly every sender puts just one picture into each
    packet, with the delimiter that the standard asks for, and then there is nothing to cut. Single
    damaged packets prove nothing; a sender that does otherwise does so with every packet.
    """

    def __init__(self) -> None:
        #: The rule does not hold for this source.
        self.refuted = False
        # The first packet of all decides alone.
        self._against = _MOST - 1

    def check(self, codec: str, packet: bytes) -> bool:
        """Look at a packet.

        Args:
            codec: FFmpeg's name.

        Returns:
            Whether it is a key picture.

        Raises:
            NotWholeError: the rule does not hold.
        """
        if codec not in _MARKS:
            self.refuted = True
            raise NotWholeError(f"{codec} has no delimiters")
        delimiter, key = _MARKS[codec]
        fits = packet.find(delimiter, 0, 5) in (0, 1) and packet.count(delimiter) == 1
        self._against = max(0.0, self._against + (-_MADE_UP if fits else 1.0))
        if self._against >= _MOST:
            self.refuted = True
            raise NotWholeError("its packets are not whole pictures")
        return key.search(packet, 0, _NEAR) is not None
