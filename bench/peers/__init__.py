"""Other servers and engines beside ours, on the same weights, prompts and cores.

One module a peer behind `bench.peers.peer`; what runs inside a peer's own environment is in
`bench.peers.inside`, which needs nothing of ours.
"""
