"""Comparison with other servers and engines (peers) on the same weights, prompts and cores.

Each peer is one module that implements `bench.peers.peer`. The code that runs in the environment of
a peer is in `bench.peers.inside`, which imports nothing else of this project.
"""
