"""Extension of vLLM's workers: what the engine asks the processes that compute the logits."""

from worker.engine.vllm import drawing
from worker.engine.vllm.ipc_names import join_names

# vLLM imports this in each of its processes, before they make anything that they share.
join_names()


class DrawerExtension:
    """Methods that vLLM adds to its worker class, to be called by `collective_rpc`."""

    def take_failures(self, key: str) -> dict[str, str]:
        """Return why sequences of an engine could not go on, since the last call."""
        return drawing.take_failures(key)
