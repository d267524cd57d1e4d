"""The resource classes of hosts, from the Loqua guide's table."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

__all__ = ["RESOURCES", "ResourceClass", "Resources"]

Resources = Literal["conversation", "ai-processing", "specialised"]
"""The name of a class, which is also that of its overlay in config/kubernetes."""


@dataclass(frozen=True, slots=True)
class ResourceClass:
    """The resources of a class of hosts, and its range of lessons.

    Attributes:
        cores: Its CPU limit.
        gibibytes: Its memory limit.
        lessons: The recommended number of concurrent lessons, least and most.
    """

    cores: int
    gibibytes: int
    lessons: tuple[int, int]


# Loqua's agent guide, "Resource Allocation Strategy".
RESOURCES: Final[Mapping[Resources, ResourceClass]] = MappingProxyType(
    {
        "conversation": ResourceClass(cores=2, gibibytes=4, lessons=(8, 10)),
        "ai-processing": ResourceClass(cores=4, gibibytes=8, lessons=(3, 5)),
        "specialised": ResourceClass(cores=2, gibibytes=4, lessons=(2, 3)),
    }
)
