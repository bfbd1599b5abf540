"""An agent whose processes die soon after they are ready, as long as the file named by DIES is there."""

import os
import threading

from ledger import entrypoint

from workbench import Options, WorkerJob


def prewarm(process: object) -> None:
    if os.path.exists(os.environ["DIES"]):
        threading.Timer(0.05, os._exit, (9,)).start()


if __name__ == "__main__":
    WorkerJob(entrypoint, prewarm=prewarm, options=Options(agent_id="shortlived", load_threshold=float("inf"))).start()
