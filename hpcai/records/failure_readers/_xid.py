"""What the numbers of NVIDIA's Xid errors mean, which part is at fault and how bad it is.

Source: NVIDIA, "XID Errors", https://docs.nvidia.com/deploy/xid-errors/. A fatal one takes the GPU out until it is
reset or replaced; a degraded one leaves it running; info is what a faulty program of a user also causes.
"""

from __future__ import annotations

from typing import Final

_FATAL: Final = {
    38: "driver firmware error",
    46: "GPU stopped processing",
    48: "double-bit ECC error",
    54: "auxiliary power is not connected to the GPU board",
    61: "internal micro-controller breakpoint or warning",
    62: "internal micro-controller halt",
    64: "ECC page retirement or row remapping failed",
    74: "NVLink error",
    79: "GPU has fallen off the bus",
    95: "uncontained ECC error",
    109: "context switch timeout",
    110: "security fault",
    119: "GSP RPC timeout",
    120: "GSP error",
    121: "C2C NVLink error",
    136: "ALI training failure",
    140: "unrecovered ECC error",
    143: "GPU initialisation failure",
}
_DEGRADED: Final = {
    56: "display engine error",
    57: "error programming the video memory interface",
    58: "unstable video memory interface detected",
    63: "ECC page retirement or row remapping recorded",
    92: "high rate of single-bit ECC errors",
    93: "non-fatal violation of the provisioned InfoROM wear limit",
    94: "contained ECC error",
    122: "SPI PMU RPC read failure",
    123: "SPI PMU RPC write failure",
    124: "SPI PMU RPC erase failure",
    125: "InfoROM file system failure",
    154: "GPU recovery action changed",
}
_INFO: Final = {
    8: "GPU stopped processing",
    13: "graphics engine exception",
    31: "GPU memory page fault",
    32: "invalid or corrupted push buffer stream",
    43: "GPU stopped processing",
    44: "graphics engine fault during context switch",
    45: "preemptive clean-up, due to previous errors",
    68: "NVDEC exception",
    69: "graphics engine class error",
}
XIDS: Final = {
    number: (meaning, severity)
    for severity, known in (("fatal", _FATAL), ("degraded", _DEGRADED), ("info", _INFO))
    for number, meaning in known.items()
}


def xid_of(number: int, words: str) -> dict[str, str]:
    """Return component, cause and severity of an Xid; one that is not in the table is degraded, in its own words."""
    meaning, severity = XIDS.get(number, (" ".join(words.split())[:80] or "not in the table", "degraded"))
    component = "software" if severity == "info" else "gpu"
    return {"component": component, "cause": f"Xid {number}: {meaning}", "severity": severity}
