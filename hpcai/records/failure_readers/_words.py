"""Which part of a machine a log's own words speak of."""

from __future__ import annotations

import re
from typing import Final

_PARTS: Final = tuple(
    (component, re.compile(words, re.IGNORECASE))
    for component, words in (  # the first that is found counts: a GPU's memory is the GPU
        ("gpu", r"\bgpu|\bxid|nvidia|nvlink|nvswitch|nvrm|\bcuda|dcgm|\bdbe\b|off the bus|graphics|gfx"),
        ("power", r"\bpower|\bpsu\b|\bups\b|voltage|\bpdu\b"),
        ("cooling", r"\bfans?\b|temperature|\btemp\b|temphigh|ambient|thermal|chiller|cooling|overheat|heatsink"),
        ("memory", r"\bmem(ory)?\b|realmemory|dimm|\becc\b|\bddr|parity|\bcache\b|\btlb\b|\bedac\b"),
        ("cpu", r"\bcpu|processor|machine check|\bmce\b"),
        ("disk", r"\bdisk|\bdrive|\braid\b|file ?system|\blustre|\bnfs\b|\bgpfs\b|\bmount|\bscsi|storage|\bssd\b|nvme"),
        ("disk", r"\bsan\b|fibre|\bfs\b"),
        (
            "network",
            r"network|\blinks?\b|\bnic\b|\br?nic\b|infiniband|\bib\d?\b|ethernet|\bgig ?e\b|switch|interconnect",
        ),
        ("network", r"\btorus\b|tree network|\brdma\b|\bcables?\b|router|\bhca\b|link error|linkerror"),
        ("board", r"board|back ?plane|mid-?plane|\briser|\bpci\b|\bpcie\b|\bbmc\b|node card"),
        ("human", r"human error|operator error"),
        ("facility", r"facilit|environment"),
        (
            "software",
            r"kernel|software|panic|\bos\b|driver|slurm|kubelet|prolog|epilog|scheduler|\bmpi\b|patch|upgrade",
        ),
        ("software", r"kill task|lockup|container|health ?check|\bimage\b|reboot|\bciod\b|\brts\b|deadlock|runtime"),
    )
)


def component_of(text: str) -> str:
    """Return the component, one of COMPONENTS, that ``text`` is about; "unknown" if it names none."""
    return next((component for component, words in _PARTS if words.search(text)), "unknown")
