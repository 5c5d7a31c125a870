"""A few lines of every format of failure logs: what the readers' golden and fuzz tests read."""

from __future__ import annotations

import json

_LANL_HEADER = (
    "System,machine type,nodes,procstot,procsinnode,nodenum,nodenumz,node install,node prod,node decom,fru type,mem,"
    "cputype,memtype,num intercon,purpose,Prob Started,Prob Fixed,Down Time,Facilities,Hardware,Human Error,Network,"
    "Undetermined,Software,Same Event"
)


def _lanl(system: int, node: str, prod: str, decom: str, start: str, end: str, minutes: str, causes: str) -> str:
    return (
        f"{system},cluster,3,12,4,{node},{node},{prod},{prod},{decom},part,16,2,2,2,compute,"
        f"{start},{end},{minutes},{causes},No"
    )


LANL = "\n".join(
    [
        _LANL_HEADER,
        _lanl(20, "0", "1-Dec", "current", "12/31/2001 13:56", "12/31/2001 16:13", "137", ",CPU,,,,"),
        _lanl(20, "0", "1-Dec", "current", "12/31/2001 14:00", "12/31/2001 14:10", "10", ",,,,,DST"),
        _lanl(20, "2", "1-Dec", "2-Mar", "1/3/2002 9:00", "1/3/2002 9:45", "45", "Power Outage,,,,,"),
        _lanl(20, "2", "1-Dec", "2-Mar", "1/3/2002 9:00", "1/3/2002 9:45", "45", "Power Outage,,,,,"),
        _lanl(7, "0", "before tracking", "Dec-99", "5/19/1995 21:55", "5/19/1995 22:58", "", ",,,,,"),
        "17" + "," * 15 + ",1/8/1997 8:40,1/8/1997 8:50,10,,Other,,,,,No",
        _lanl(20, "1", "1-Dec", "current", "13/31/2001 13:56", "", "1", ",,,Network,,"),
        _lanl(20, "1", "1-Dec", "current", "6/1/2002 0:00", "", "-1", ",,,Network,,"),
        "20,cluster,3",
        _lanl(20, "1", "1-Dec", "current", "6/1/2002 0:00", "", "x", ",,,,Unresolvable,"),
    ]
)

_FAULTS = [
    ("s1", 3.5, "fault_start", "Hardware Failure", "GPU", "GPU xid Error"),
    ("s1", 3.75, "fault_start", "Hardware Failure", "Parameter Plane Cable", "Link Down"),
    ("s1", 4.5, "fault_end", "Hardware Failure", "GPU", "GPU xid Error"),
    ("s2", 10.0, "fault_start", "Software Failure", "Operating System", "Kernel Panic"),
    ("s2", 11.0, "fault_end", "Hardware Failure", "Fan", "Redundancy Lost"),
    ("s2", 11.0, "fault_begin", "Hardware Failure", "Fan", "Redundancy Lost"),
    ("s2", -1.0, "fault_start", "Hardware Failure", "Fan", "Redundancy Lost"),
]
INFINITEHBD = json.dumps(
    [
        {
            "node_id": node,
            "event_time": day,
            "event_type": kind,
            "fault_type": {"Level": level, "Class": group, "Desc": words},
        }
        for node, day, kind, level, group, words in _FAULTS
    ]
    + [{"node_id": "s3"}]  # type: ignore[list-item]
)

TITAN_HISTORY = """SN,location,insert,remove,duration,out,event
0320117100063,c6-2c1s2n0,2017-04-09 21:36:19,2019-08-01 20:07:33,72916274,FALSE,
0323812008541,c24-4c2s3n0,2014-01-21 10:28:50,2016-11-08 20:03:59,88335309,TRUE,DBE
0323812008541,c24-4c2s3n0,,2016-11-08 20:03:59,,,DBE
0320117100219,c13-5c2s2n1,2014-04-09 21:36:19,2018-03-03 10:04:58,28301319,FALSE,OTB
0320117100219,c3-2c0s3n0,2018-03-27 13:36:01,2018-05-12 22:41:16,4007115,FALSE,
0320117100220,c3-2,2018-03-27 13:36:01,2018-05-12 22:41:16,4007115,FALSE,DBE
0320117100221,c3-2c0s3n1,2018-05-27 13:36:01,2018-05-12 22:41:16,4007115,FALSE,
"""

TITAN_LIFETIMES = """SN,time,nlife,nloc,last,col,row,cage,slot,node,max_loc_events,time_max_loc,dbe,dbe_loc,otb,\
otb_loc,out,batch,days,years,dead,dead_otb,dead_dbe
0320117100063,72916274,1,1,2019-08-01 20:07:33,6,2,1,2,0,0,1,0,,0,,FALSE,new,843.9,2.3,FALSE,FALSE,FALSE
0323812008541,88335309,1,1,2016-11-08 20:03:59,24,4,2,3,0,2,1,2,TRUE,0,,TRUE,old,1022.4,2.8,TRUE,FALSE,TRUE
0323812008542,86400,1,1,2016-11-08 20:03:59,24,4,0,3,1,2,1,0,,0,,TRUE,old,1,0,FALSE,FALSE,FALSE
0323812008543,-86400,1,1,2016-11-08 20:03:59,24,4,0,3,1,2,1,0,,1,,TRUE,old,1,0,TRUE,TRUE,FALSE
0323812008544,a while,1,1,2016-11-08 20:03:59,24,4,0,3,1,2,1,0,,0,,TRUE,old,1,0,FALSE,FALSE,FALSE
"""

BGL = """- 1117838570 2005.06.03 R02-M1-N0-C:J12-U11 2005-06-03-15.42.50.675872 R02-M1-N0-C:J12-U11 RAS KERNEL INFO \
instruction cache parity error corrected
APPREAD 1117869872 2005.06.04 R23-M1-N8-I:J18-U11 2005-06-04-00.24.32.432192 R23-M1-N8-I:J18-U11 RAS APP FATAL \
ciod: failed to read message prefix on control stream (CioStream socket to 172.16.96.116:33569
- 1118536327 2005.06.11 NULL 2005-06-11-17.32.07 NULL RAS MMCS ERROR idoproxydb hit ASSERT condition
- 1119977619 2005.06.28 R02-M1-NE 2005-06-28-09.53.39.479164 R02-M1-NE NULL DISCOVERY SEVERE Node card is not fully \
functional
a line of something else
"""

HPC = """134681 node-246 unix.hw state_change.unavailable 1077804742 1 Component State Change: Component \
\\042alt0\\042 is in the unavailable state (HWID=1973)
134682 gige7 gige temperature 1077804740 1 normal
134683 Interconnect-0N00 switch_module error 1077804800 1 Linkerror event interval expired
134684 node-1 node psu 1077804900 1 psu failure\\ ambient=29
"""

SLURM_NODES = """Cluster|NodeName|TimeStart|TimeEnd|State|Reason|User
green||2024-01-01T00:00:00|Unknown||Cluster Registered TRES|
green|gpu01|2024-01-03T10:00:00|2024-01-03T12:30:00|DOWN*|Not responding [slurm@2024-01-03T10:00:00]|slurm(981)
green|gpu01|2024-02-03T10:00:00|Unknown|DRAIN|gpu 3: Xid 79 | again|root(0)
green|cpu01|2024-01-10T00:00:00|2024-01-09T00:00:00|DOWN|Node unexpectedly rebooted|slurm(981)
green|cpu01|2024-01-10T00:00:00|2024-01-10T00:20:00|DOWN|Node unexpectedly rebooted|slurm(981)
green|cpu02|yesterday|2024-01-10T00:20:00|DOWN||slurm(981)
green|cpu02|2024-01-11T00:00:00|2024-01-11T01:00:00|DOWN||slurm(981)
"""

_GPU_NODE = {
    "kind": "Node",
    "metadata": {
        "name": "gpu-a",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"nvidia.com/gpu.product": "A100", "topology.kubernetes.io/zone": "row-3"},
    },
    "status": {
        "allocatable": {"nvidia.com/gpu": "8"},
        "conditions": [
            {"type": "MemoryPressure", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"},
            {
                "type": "Ready",
                "status": "Unknown",
                "reason": "NodeStatusUnknown",
                "message": "Kubelet stopped posting node status.",
                "lastTransitionTime": "2026-01-02T00:00:00Z",
                "lastHeartbeatTime": "2026-01-03T00:00:00Z",
            },
        ],
    },
}


def _node_event(reason: str, kind: str, first: str, last: str | None = None, of: str = "Node") -> dict[str, object]:
    return {
        "kind": "Event",
        "metadata": {"name": f"gpu-b.{reason}", "creationTimestamp": first},
        "involvedObject": {"kind": of, "name": "gpu-b"},
        "reason": reason,
        "message": f"Node gpu-b status is now: {reason}",
        "type": kind,
        "firstTimestamp": first,
        "lastTimestamp": last or first,
    }


KUBERNETES = json.dumps(
    {
        "kind": "List",
        "items": [
            _GPU_NODE,
            {"kind": "Node", "metadata": {"name": "gpu-b"}, "status": {}},
            _node_event("NodeReady", "Normal", "2026-01-02T01:30:00Z"),
            _node_event("NodeNotReady", "Normal", "2026-01-02T01:00:00Z"),
            _node_event("XidError79", "Warning", "2026-01-02T03:00:00Z", "2026-01-02T05:00:00Z"),
            _node_event("BackOff", "Warning", "2026-01-02T03:00:00Z", of="Pod"),
            _node_event("NodeNotReady", "Normal", "soon"),
            {"kind": "Event"},
        ],
    }
)

SYSLOG = """Dec 31 23:59:50 gpu01 kernel: [966.5] NVRM: Xid (PCI:0000:65:00): 79, pid=1, GPU has fallen off the bus.
Jan  1 00:00:20 gpu01 kernel: [  996.503025] NVRM: Xid (PCI:0000:65:00): 79, GPU has fallen off the bus.
Jan  1 00:00:21 gpu02 systemd[1]: Started Session 4 of user alice.
Jan  1 01:00:00 gpu02 kernel: NVRM: Xid (0000:01:00): 31, Ch 0000000b, engmask 00000120, intr 10000000
Jan  1 02:00:00 gpu02 kernel: NVRM: Xid (PCI:0000:01:00): 999, some  new error
Jan 32 02:00:00 gpu02 kernel: NVRM: Xid (PCI:0000:01:00): 48
not a line
"""

TABLE = """node,start,end,component,cause,severity
n1,2024-01-01 10:00,2024-01-01 11:30,GPU,fell off the bus,fatal
n2,2024-01-02 10:00:00,,,bad DIMM,degraded
n2,2024-01-03,,,reboot,awful
n2,later,,,,
n1,2024-01-05T00:00:00Z,2024-01-04T00:00:00Z,,,
,2024-01-05T00:00:00Z,,,,
"""

FAILURE_SAMPLES = {
    "lanl": LANL,
    "infinitehbd": INFINITEHBD,
    "titan_history": TITAN_HISTORY,
    "titan_lifetimes": TITAN_LIFETIMES,
    "bgl": BGL,
    "hpc": HPC,
    "slurm_nodes": SLURM_NODES,
    "kubernetes_nodes": KUBERNETES,
    "syslog": SYSLOG,
    "table": TABLE,
}
