"""Supervisor in a separate process, for stages of [[name, argv, stop_timeout_s]] in JSON.

In the arguments of a child with a liveness file, `{pulse}` is replaced by the path of the file.
"""

import json
import sys
from pathlib import Path

from cli.supervisor.processes import Program
from cli.supervisor.run_folder import RunFolder
from cli.supervisor.supervisor import StopRequested, Supervisor


def main(data_dir: Path, stages: list[list[tuple[str, list[str], float]]]) -> None:
    folder = RunFolder(data_dir, max_log_bytes=10_000)

    def note_death(program: Program, pid: int, returncode: int) -> None:
        (data_dir / f"{program.name}.died").write_text(str(pid))

    with folder.lock(), Supervisor(folder, note_death, pulse_every_s=0.1) as supervisor:
        try:
            for stage in stages:
                supervisor.start(*(program(folder, *child) for child in stage))
            supervisor.run_forever()
        except StopRequested:
            return


def program(folder: RunFolder, name: str, argv: list[str], stop_timeout_s: float) -> Program:
    pulse = folder.pulse_path(name)
    return Program(
        name=name,
        argv=tuple(part.replace("{pulse}", str(pulse)) for part in argv),
        stop_timeout_s=stop_timeout_s,
        pulse=pulse if "{pulse}" in " ".join(argv) else None,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
