"""The audio that goes along with a picture: coded, and never touched."""

from typing import TYPE_CHECKING

import av

if TYPE_CHECKING:
    AudioPacket = av.Packet[av.AudioStream]
else:
    AudioPacket = av.Packet
