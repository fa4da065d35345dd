"""A supervisor in a process of its own, over stages of [[name, argv, stop_timeout_s]] as JSON."""

import json
import sys
from pathlib import Path

from cli.processes import Program
from cli.run_folder import RunFolder
from cli.supervisor import StopRequested, Supervisor


def main(data_dir: Path, stages: list[list[tuple[str, list[str], float]]]) -> None:
    folder = RunFolder(data_dir)
    with folder.locked(), Supervisor(folder) as supervisor:
        try:
            for stage in stages:
                programs = [
                    Program(name=name, argv=tuple(argv), stop_timeout_s=stop_timeout_s)
                    for name, argv, stop_timeout_s in stage
                ]
                supervisor.start(*programs)
            supervisor.run_forever()
        except StopRequested:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
