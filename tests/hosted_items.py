"""Items of tools that other servers have run, one of each type that is read as text."""

from typing import Any

HOSTED: list[dict[str, Any]] = [
    {
        "type": "file_search_call",
        "id": "fs_1",
        "status": "completed",
        "queries": ["rent"],
        "results": [{"file_id": "f", "filename": "a.txt", "score": 0.5, "text": "It is 7."}],
    },
    {
        "type": "code_interpreter_call",
        "id": "ci_1",
        "status": "completed",
        "container_id": "c",
        "code": "print(7)",
        "outputs": [{"type": "logs", "logs": "7"}],
    },
    {
        "type": "shell_call",
        "id": "sh_1",
        "call_id": "c1",
        "status": "completed",
        "action": {"commands": ["ls"], "timeout_ms": 100},
    },
    {
        "type": "shell_call_output",
        "id": "sho_1",
        "call_id": "c1",
        "status": "completed",
        "output": [
            {"stdout": "a.txt", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}},
        ],
    },
    {
        "type": "local_shell_call",
        "id": "lsh_1",
        "call_id": "c2",
        "status": "completed",
        "action": {"type": "exec", "command": ["ls"], "env": {}},
    },
    {"type": "local_shell_call_output", "id": "c2", "output": "a.txt"},
    {
        "type": "apply_patch_call",
        "id": "apc_1",
        "call_id": "c3",
        "status": "completed",
        "operation": {"type": "update_file", "path": "a.txt", "diff": "+a"},
    },
    {
        "type": "apply_patch_call_output",
        "id": "apco_1",
        "call_id": "c3",
        "status": "completed",
        "output": "Done.",
    },
]
