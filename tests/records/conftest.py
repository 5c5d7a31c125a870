"""Where the recorded logs are, and small files of every format."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

RECORDED = Path(__file__).parents[2].parent / "shared"


@pytest.fixture
def recorded() -> Callable[[str], Path]:
    """Return a function that finds a recorded log, or skips the test where it is not at hand."""

    def find(name: str) -> Path:
        path = RECORDED / name
        if not path.exists():
            pytest.skip(f"the recorded log {path.name} is not part of the repository")
        return path

    return find


def _swf_line(number: int, submit: int, run: int, processors: int, user: int = 3) -> str:
    return f"{number} {submit} 5 {run} {processors} -1 -1 {processors} 600 2048 1 {user} 2 -1 1 1 -1 -1"


POD = {
    "kind": "Pod",
    "metadata": {
        "name": "train-0",
        "namespace": "vision",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"user": "alice", "job": "train", "kueue.x-k8s.io/queue-name": "gold"},
        "ownerReferences": [{"kind": "Job", "name": "train"}],
    },
    "spec": {
        "containers": [
            {"resources": {"requests": {"cpu": "500m", "memory": "2Gi", "nvidia.com/gpu": "2"}}},
            {"resources": {"limits": {"cpu": "1500m", "memory": "512Mi"}}},
        ],
        "initContainers": [{"resources": {"requests": {"cpu": "4", "memory": "1Gi"}}}],
        "nodeSelector": {"nvidia.com/gpu.product": "A100"},
        "priorityClassName": "high",
    },
    "status": {
        "phase": "Succeeded",
        "startTime": "2026-01-01T00:01:00Z",
        "containerStatuses": [
            {
                "state": {
                    "terminated": {
                        "startedAt": "2026-01-01T00:02:00Z",
                        "finishedAt": "2026-01-01T01:02:00Z",
                        "reason": "Completed",
                    }
                }
            }
        ],
    },
}
NODE = {
    "kind": "Node",
    "metadata": {"name": "n1", "labels": {"nvidia.com/gpu.product": "A100"}},
    "status": {"allocatable": {"cpu": "64", "memory": "512Gi", "nvidia.com/gpu": "8"}},
}
PHILLY_JOB = {
    "status": "Pass",
    "vc": "ee9e8c",
    "jobid": "application_1",
    "attempts": [
        {
            "start_time": "2017-10-07 01:12:09",
            "end_time": "2017-10-07 01:13:23",
            "detail": [{"ip": "m1", "gpus": ["gpu0", "gpu1"]}, {"ip": "m2", "gpus": ["gpu0", "gpu1"]}],
        },
        {"start_time": "2017-10-07 01:13:30", "end_time": "2017-10-07 02:12:09", "detail": []},
    ],
    "submitted_time": "2017-10-07 01:11:39",
    "user": "ce2f4c",
}

SAMPLES: dict[str, tuple[str, str]] = {
    "swf": (
        "log.swf",
        "; MaxProcs: 128\n; UnixStartTime: 1000000000\n"
        + "\n".join([_swf_line(1, 0, 100, 4), _swf_line(2, 10, 50, 8, user=-1), _swf_line(3, 20, 7, 128)])
        + "\n",
    ),
    "sacct": (
        "sacct.txt",
        "# sacct -P\n"
        "JobID|JobName|User|Account|Partition|QOS|State|Submit|Eligible|Start|End|ElapsedRaw|TimelimitRaw|"
        "AllocNodes|AllocCPUS|ReqCPUS|ReqMem|ReqTRES|AllocTRES|NodeList\n"
        "7|a|alice|ml|main|normal|COMPLETED|2026-01-01T00:00:00|2026-01-01T00:00:10|2026-01-01T00:01:00|"
        "2026-01-01T00:02:00|60|5|2|16|16|4Gn|cpu=16,gres/gpu=4|cpu=16,gres/gpu:v100=4,gres/gpu=4|n[1-2]\n"
        "7.batch|batch||ml|||COMPLETED|2026-01-01T00:01:00|2026-01-01T00:01:00|2026-01-01T00:01:00|"
        "2026-01-01T00:02:00|60||1|8|8|||cpu=8|n1\n"
        "8|b|bob|ml|main|normal|CANCELLED by 0|2026-01-01T00:00:30|Unknown|Unknown|2026-01-01T00:03:00|0|"
        "UNLIMITED|0|0|4|2800Mc|cpu=4||None assigned\n",
    ),
    "jobcomp": (
        "jobcomp.txt",
        "JobId=521 UserId=alice(1000) GroupId=ml(100) Name=a b JobState=COMPLETED Partition=main TimeLimit=5 "
        "StartTime=2026-01-01T00:01:00 EndTime=2026-01-01T00:02:00 NodeList=n[1-2] NodeCnt=2 ProcCnt=16 "
        "WorkDir=/home/alice ReservationName= Tres=cpu=16,mem=4G,node=2,gres/gpu=8 Account=ml QOS=normal WcKey= "
        "Cluster=c SubmitTime=2026-01-01T00:00:00 EligibleTime=2026-01-01T00:00:00 ArrayJobId=519 "
        "ArrayTaskId=2 DerivedExitCode=0:0 ExitCode=0:0 \n",
    ),
    "slurm_db": (
        "slurm.csv",
        "id_job,id_array_job,id_array_task,id_user,nodes_alloc,nodelist,cpus_req,partition,state,timelimit,"
        "time_submit,time_eligible,time_start,time_end,tres_alloc,tres_req\n"
        "9,0,4294967294,1000,1,\"['r1-n2']\",20,normal,3,60,1609535912,1609535912,1609808470,1609808777,"
        '"1=20,2=170000,4=1,5=20,1002=2","1=20,2=170000,4=1"\n'
        '10,10,3,1000,0,,4,normal,4,4294967295,1609535913,0,0,1609808777,,"1=4,2=1000,4=1"\n',
    ),
    "slurm_events": (
        "week.events",
        "-dt 10.5 -e submit_batch_job | -sim-walltime 100.00 --uid=u1 -J j1 -N 2 -n 18 -t 3-00:00:00 -q q -p p "
        "--mem=500G --gres=gpu:v100:2 pseudo.job\n",
    ),
    "kubernetes": ("pods.json", json.dumps({"kind": "List", "items": [POD, NODE]})),
    "openb": (
        "pods.csv",
        "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,"
        "scheduled_time\n"
        "p0,11908,16384,1,460,V100|T4,LS,Succeeded,0,100,7\np1,6000,1024,2,1000,,BE,Pending,5,50,\n",
    ),
    "philly": ("philly.csv", "timestamp,duration,num_gpus,gpu_time,cluster\n2017-09-04 10:30:41,20.0,8,160.0,7f\n"),
    "helios": (
        "cluster_log.csv",
        "job_id,user,vc,gpu_num,cpu_num,node_num,state,submit_time,start_time,end_time,duration,queue\n"
        "1425511,uX,vcJ,16,64,2,COMPLETED,2020-06-09 18:41:01,2020-06-09 18:41:11,2020-06-09 18:42:11,60,10\n"
        "1425512,uV,vch,4,16,1,CANCELLED,2020-06-09 18:41:27,,2020-06-09 18:45:36,,\n",
    ),
    "acme": (
        "trace_kalos.csv",
        "job_id,user,node_num,gpu_num,cpu_num,mem_per_pod_GB,type,state,submit_time,start_time,end_time,duration,"
        "queue,gpu_time\n"
        "dlc1,uf,8,64,960,1000,Pretrain,FAILED,2023-05-17 11:00:58+00:00,2023-05-17 11:01:08+00:00,"
        "2023-05-17 11:01:16+00:00,18,10.0,1152.0\n",
    ),
    "tiresias": (
        "60_job.csv",
        "job_id,num_gpu,submit_time,iterations,model_name,duration,interval\n0,1,0,606,vgg19,164,30\n1,8,30,133,vgg11,147,23\n",
    ),
    "gavel": (
        "list.trace",
        "ResNet-50 (batch size 128)\tpython3 main.py -a resnet50\t--steps\t1\t400\t0.000000\t1\n"
        "LM (batch size 10)\tpython main.py\t--steps\t1\t600\t11.5\t4\n"
        "A3C\tpython3 main.py\t--max-steps\t0\t7\t12.0\t1\n",
    ),
    "pai": (
        "pai_job_table.csv",
        "4b3f04b66a525d2df903eb16,8cb3,5854,Terminated,100.0,551416.0\naa3f04b66a525d2df903eb16,8cb4,5854,Failed,7,9\n",
    ),
}
PAI_TASKS = (
    "4b3f04b66a525d2df903eb16,ps,1.0,Terminated,120.0,551416.0,600.0,29.296875,,\n"
    "4b3f04b66a525d2df903eb16,worker,2.0,Terminated,110.0,551416.0,400.0,29.296875,50.0,T4\n"
)


THROUGHPUTS = {
    "v100": {
        "('ResNet-50 (batch size 128)', 1)": {"null": 4.0, "('A3C', 1)": [1.0, 1.0]},
        "('LM (batch size 10)', 4)": {"null": 30},
        "('A3C', 1)": {"null": 0.0},
    },
    "k80": {"('A3C', 1)": {"null": 0.5}},
}
COMPANIONS = {
    "pai": ("pai_task_table.csv", PAI_TASKS),
    "gavel": ("oracle_throughputs.json", json.dumps(THROUGHPUTS)),
}


@pytest.fixture
def sample(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that writes the small file of a format, with its companions."""

    def write(format: str) -> Path:
        name, text = SAMPLES[format]
        (tmp_path / name).write_text(text)
        if format in COMPANIONS:
            companion, content = COMPANIONS[format]
            (tmp_path / companion).write_text(content)
        return tmp_path / name

    return write
