import socket

from cli.embedded.ports import free_port, is_free


def test_a_port_is_free_until_somebody_listens_there() -> None:
    port = free_port()
    assert is_free("127.0.0.1", port)

    with socket.create_server(("127.0.0.1", port)):
        assert not is_free("127.0.0.1", port)
